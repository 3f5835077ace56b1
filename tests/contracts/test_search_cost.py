"""The slowest search that a user can send takes a small multiple of an ordinary one.

Users choose both the text that is searched for and the texts in which it is searched.
"""

import time
from datetime import UTC, datetime

import pytest

from tests.support.storages import Storage, stored_owner
from todo_core.entities.task import Description, Task, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.text import SearchText, fold
from todo_core.entities.user import UserId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TASKS = 300
ATTEMPTS = 5
FACTOR = 40
"""Up to 14 were measured. Compared by `LIKE`, the same texts took 48 to 232 times as long."""

LIGATURE = "\ufdfa"
ORDINARY = "What has to be done, in some more words, as users write them. " * 16
HOSTILE = [
    pytest.param(fold(LIGATURE * 11)[:197] + "x", LIGATURE * 1000, id="ligatures"),
    pytest.param("ä" * 199 + "b", "ä" * 1000, id="a repeated letter, and another at the end"),
    pytest.param("b" + "ä" * 199, "ä" * 1000, id="a repeated letter, and another at the start"),
    pytest.param("ß" * 99 + "b", "ß" * 1000, id="a letter that becomes two"),
    pytest.param(
        "b" + "ä" * 199, "b" + "ä" * 31 + "c" + "ä" * 967, id="the first 32 characters are found"
    ),
]


@pytest.mark.alone
@pytest.mark.parametrize("storage", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(("searched", "description"), HOSTILE)
def test_a_hostile_search_takes_a_small_multiple_of_an_ordinary_one(
    storage: Storage, searched: str, description: str
) -> None:
    ordinary = an_owner_of_tasks(storage, 1, ORDINARY)
    hostile = an_owner_of_tasks(storage, 2, description)
    usual = seconds_to_search(storage, ordinary, "report")
    slowest = seconds_to_search(storage, hostile, searched)
    assert slowest < FACTOR * usual


def an_owner_of_tasks(storage: Storage, number: int, description: str) -> UserId:
    owner = stored_owner(storage, number, now=NOW)
    with storage.unit_of_work() as work:
        for task_id in range(1, TASKS + 1):
            work.tasks.add(
                Task.create(
                    id=TaskId(task_id),
                    owner_id=owner.id,
                    title="Buy milk",
                    description=description[: Description.max_length],
                    now=NOW,
                )
            )
    return owner.id


def seconds_to_search(storage: Storage, owner: UserId, text: str) -> float:
    """Return how long the fastest of some counts takes, of which each reads all tasks."""
    query = TaskQuery(search=SearchText(text))
    return min(_seconds(storage, owner, query) for _ in range(ATTEMPTS))


def _seconds(storage: Storage, owner: UserId, query: TaskQuery) -> float:
    began = time.perf_counter()
    assert storage.tasks.count(owner, query) == 0
    return time.perf_counter() - began
