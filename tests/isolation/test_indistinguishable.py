"""Resources of other users cannot be distinguished from missing ones by response or by time."""

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.proof import note
from tests.support.users import PASSWORD, ApiUser

type Operation = tuple[str, str, dict[str, Any] | None]

ON_A_TASK: list[Operation] = [
    ("GET", "", None),
    ("PUT", "", {"title": "Mine now"}),
    ("PATCH", "", {"title": "Mine now"}),
    ("PATCH", "/complete", {"completed": True}),
    ("DELETE", "", None),
]
CASES: list[tuple[str, Operation]] = [
    *(("a task", operation) for operation in ON_A_TASK),
    *(("another user's task", operation) for operation in ON_A_TASK),
    ("another user", ("GET", "", None)),
    ("another user", ("POST", "", {"title": "Mine now"})),
    ("a session", ("DELETE", "", None)),
]
"""Resources that may belong to another user or be missing, and the operations on them."""

PAIRS = 20
ROUNDS = 3
TELLING = 0.06
"""How far the advantage may be from one half. Chance exceeds it once in a thousand times."""

SAMPLES = [
    pytest.param(60, 0.25, id="everyday"),
    pytest.param(500, TELLING, id="proof", marks=pytest.mark.proof),
]


def advantage(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return how often one of the first is larger than one of the others: 0.5 if they are alike."""
    ordered = sorted(others)
    larger = sum(bisect_left(ordered, one) + bisect_right(ordered, one) for one in ones) / 2
    return larger / (len(ones) * len(ordered))


def test_the_advantage_measures_how_well_two_samples_can_be_distinguished() -> None:
    assert advantage([1, 2, 3], [1, 2, 3]) == 0.5
    assert advantage([2, 3, 4], [0, 1, 1.5]) == 1
    assert advantage([1], [2]) == 0


def url_pairs(
    what: str, path: str, ada: ApiUser, bob: ApiUser
) -> list[tuple[httpx.URL, httpx.URL]]:
    """Return pairs of URLs for Bob to request: of a resource of Ada, and of a missing one."""
    if what == "a session":
        missing_ids = [str(uuid4()) for _ in range(PAIRS)]
        return [
            (_session(id), _session(other))
            for id, other in zip(sessions_of(ada), missing_ids, strict=True)
        ]
    if what == "another user":
        return [(bob.tasks_of(ada.id), bob.tasks_of(str(uuid4()))) for _ in range(PAIRS)]
    foreign = [ada.create(f"{number}")["id"] for number in range(PAIRS)]
    missing = [bob.create(f"{number}")["id"] for number in range(PAIRS)]
    for task_id in missing:
        bob.http.delete(bob.tasks(f"/{task_id}")).raise_for_status()
    if what == "a task":
        owners = [(bob.id, bob.id)] * PAIRS
    else:
        owners = [(ada.id, str(uuid4())) for _ in range(PAIRS)]
    return [
        (bob.tasks_of(owner, f"/{theirs}{path}"), bob.tasks_of(nobody, f"/{none}{path}"))
        for (owner, nobody), theirs, none in zip(owners, foreign, missing, strict=True)
    ]


def _session(session_id: str) -> httpx.URL:
    return httpx.URL(f"/api/auth/sessions/{session_id}")


def sessions_of(user: ApiUser) -> list[str]:
    """Log in once for each pair, and return the ids of the sessions."""
    login = {"email": user.email, "password": PASSWORD}
    for _ in range(PAIRS - 1):
        user.http.post("/api/auth/login", json=login).raise_for_status()
    return [each["id"] for each in user.http.get("/api/auth/sessions").json()]


@pytest.mark.alone
@pytest.mark.parametrize(("samples", "telling"), SAMPLES)
@pytest.mark.parametrize(("what", "operation"), CASES)
def test_resources_of_other_users_and_missing_ones_have_the_same_response_and_response_time(
    ada: ApiUser,
    bob: ApiUser,
    what: str,
    operation: Operation,
    samples: int,
    telling: float,
) -> None:
    method, path, body = operation
    pairs = url_pairs(what, path, ada, bob)
    answers = set()

    def seconds(url: httpx.URL) -> float:
        began = time.perf_counter()
        answer = bob.http.request(method, url, json=body, headers={"X-Request-ID": "same"})
        took = time.perf_counter() - began
        headers = {each for each in answer.headers.multi_items() if each[0] != "date"}
        answers.add((answer.status_code, answer.content, frozenset(headers)))
        return took

    # A real difference shows in every round. One that is due to chance, or to other load on the
    # machine, does not.
    found: list[float] = []
    for _ in range(ROUNDS):
        ones, others = [], []
        for number in range(samples):
            foreign, missing = pairs[number % PAIRS]
            if number % 2:
                ones.append(seconds(foreign))
                others.append(seconds(missing))
            else:
                others.append(seconds(missing))
                ones.append(seconds(foreign))
        found.append(advantage(ones, others) - 0.5)
        if abs(found[-1]) < telling:
            break
    told = all(each > telling for each in found) or all(each < -telling for each in found)
    note(
        "404s",
        "compared and timed, another user's and missing",
        tried=2 * samples * len(found),
        failed=int(told or len(answers) != 1),
    )
    [(status, _, _)] = answers
    assert status == 404
    assert not told, found
