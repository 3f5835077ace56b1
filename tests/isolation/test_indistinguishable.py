"""By the time of its answer, too, another's task cannot be told from one that does not exist."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

import pytest

from tests.api.conftest import *  # noqa: F403 - the servers and people
from tests.proof import note
from tests.running_server import Person

OPERATIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "", None),
    ("PUT", "", {"title": "Mine now"}),
    ("PATCH", "", {"title": "Mine now"}),
    ("PATCH", "/complete", {"completed": True}),
    ("DELETE", "", None),
]
ROUNDS = 3
TELLING = 0.06
"""How far from one half it may be; by chance alone it is that far once in a thousand times."""

SAMPLES = [
    pytest.param(100, 0.2, id="everyday"),
    pytest.param(500, TELLING, id="proof", marks=pytest.mark.proof),
]


def advantage(ones: Sequence[float], others: Sequence[float]) -> float:
    """How often one of the first is larger than one of the others: a half, if they are alike."""
    ordered = sorted(others)
    larger = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in ones) / 2
    return larger / (len(ones) * len(ordered))


def test_the_measure_can_tell() -> None:
    assert advantage([1, 2, 3], [1, 2, 3]) == 0.5
    assert advantage([2, 3, 4], [0, 1, 1.5]) == 1
    assert advantage([1], [2]) == 0


@pytest.mark.parametrize(("samples", "telling"), SAMPLES)
@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_foreign_and_missing_take_as_long(
    ada: Person,
    bob: Person,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    samples: int,
    telling: float,
) -> None:
    foreign = [ada.create(f"{number}")["id"] for number in range(20)]
    missing = [bob.create(f"{number}")["id"] for number in range(20)]
    for task_id in missing:
        bob.http.delete(bob.tasks(f"/{task_id}")).raise_for_status()

    def seconds(task_id: int) -> float:
        url = bob.tasks(f"/{task_id}{path}")
        began = time.perf_counter()
        answer = bob.http.request(method, url, json=body)
        took = time.perf_counter() - began
        assert answer.status_code == 404
        return took

    # A difference that is there is there each time; one of chance, or of a machine that
    # does something else meanwhile, is not.
    found = []
    for _ in range(ROUNDS):
        pairs = [
            (seconds(foreign[number % 20]), seconds(missing[number % 20]))
            if number % 2
            else (seconds(missing[number % 20]), seconds(foreign[number % 20]))[::-1]
            for number in range(samples)
        ]
        ones, others = zip(*pairs, strict=True)
        found.append(advantage(ones, others) - 0.5)
        if abs(found[-1]) < telling:
            break
    told = all(each > telling for each in found) or all(each < -telling for each in found)
    note("404s", "timed, foreign and missing", tried=2 * samples * len(found), failed=int(told))
    assert not told, found
