"""Tests share code only through `tests/support`, so that each test module can be read by itself."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

VIOLATIONS = {
    "unit/test_a.py": [
        "from tests.conftest import SECRET",
        "from tests.api.conftest import migrate",
        "from tests.api import conftest",
        "import tests.api.conftest",
        "from tests.api.test_command import served",
        "from tests.api import test_command",
        "from .test_b import served",
        "from . import conftest",
        "from tests.support.users import *",
        "def test_later() -> None:\n    from tests.unit.test_b import served",
        "class TestA:\n    def test_b(self):\n        with x:\n            import tests.conftest",
        "try:\n    pass\nfinally:\n    import tests.conftest",
    ],
    "support/users.py": ["from tests.isolation.targets import Target", "from ..unit import world"],
}


def violations(tests: Path) -> Iterator[str]:
    """Return the forbidden imports: of a conftest, a test module or `*`, and by support itself."""
    for path in sorted(tests.rglob("*.py")):
        file = path.relative_to(tests).as_posix()
        for node in _statements(ast.parse(path.read_text()).body):
            for name in _imported(node, ("tests", *path.relative_to(tests).parts[:-1])):
                if name.startswith("tests.") and (
                    _is_private(name)
                    or (file.startswith("support/") and not name.startswith("tests.support."))
                ):
                    yield f"{file}: {name}"


def _is_private(name: str) -> bool:
    """Return whether the name is `*`, or is or belongs to a module that pytest collects."""
    *modules, last = name.split(".")
    return last == "*" or any(
        part == "conftest" or part.startswith("test_") for part in (*modules, last)
    )


def _statements(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Return all statements, without their expressions, which are far more numerous."""
    for node in body:
        yield node
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            if isinstance(inner := getattr(node, field, None), list):
                yield from _statements(inner)


def _imported(node: ast.AST, package: tuple[str, ...]) -> Iterator[str]:
    """Return the absolute names that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package[: len(package) - node.level + 1] if node.level else ()
        module = ".".join((*parents, *([node.module] if node.module else [])))
        yield from (f"{module}.{alias.name}" for alias in node.names)


def test_no_test_module_imports_a_conftest_or_another_test_module() -> None:
    assert list(violations(TESTS)) == []


@pytest.mark.parametrize(
    ("file", "line"), [(file, line) for file, lines in VIOLATIONS.items() for line in lines]
)
def test_a_planted_import_is_reported(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(line)
    assert len(list(violations(tmp_path))) == 1
