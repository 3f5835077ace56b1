"""The documented tree of errors is complete, and every error has a problem."""

import re
from collections.abc import Iterator

from todo_api.http.problems import CORE_PROBLEMS
from todo_core import errors
from todo_core.errors import TodoError


def tree(
    root: type[TodoError] = TodoError, depth: int = 0
) -> Iterator[tuple[int, type[TodoError]]]:
    yield depth, root
    for child in root.__subclasses__():
        yield from tree(child, depth + 1)


def test_every_error_has_its_problem() -> None:
    assert set(CORE_PROBLEMS) == {error for _, error in tree()}


def test_the_docstring_of_the_errors_shows_their_tree() -> None:
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+)", errors.__doc__ or "", re.MULTILINE)
    assert [(len(branch) // 4, name) for branch, name in drawn] == [
        (depth, error.__name__) for depth, error in tree()
    ]


def test_codes_and_details_of_problems_are_well_formed() -> None:
    for kind in CORE_PROBLEMS.values():
        assert re.fullmatch("[a-z_]+", kind.code)
        assert kind.detail[0].isupper()
        assert kind.detail.endswith(".")
