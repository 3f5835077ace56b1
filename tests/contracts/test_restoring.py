"""The contract of the trash where writers compete: held to on every storage."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.support.concurrency import at_once
from tests.support.storages import Storage
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.user import EmailAddress, PersonName, User, UserId
from todo_core.errors import QuotaExceeded, StaleVersion, TaskNotFound
from todo_core.ports.repositories import UNLIMITED

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
ROUNDS = 20
AT_ONCE = 4


@pytest.fixture
def ada(storage: Storage) -> UserId:
    user = User.register(
        id=UserId(uuid4()),
        name=PersonName("Ada"),
        email=EmailAddress("ada@example.com"),
        password_hash="a hash",
        now=NOW,
    )
    storage.users.add(user)
    return user.id


def stored_task(storage: Storage, owner: UserId, id: int = 1) -> TaskId:
    task = Task.create(id=TaskId(id), owner_id=owner, title="Buy milk", description=None, now=NOW)
    storage.tasks.add(task)
    return task.id


def restore(storage: Storage, owner: UserId, task_id: TaskId, *, most: int = UNLIMITED) -> Task:
    return storage.tasks.restore(task_id, owner_id=owner, now=LATER, most=most)


def test_a_task_stays_in_the_trash_if_its_owner_has_no_room_for_it(
    storage: Storage, ada: UserId
) -> None:
    first, second = stored_task(storage, ada), stored_task(storage, ada, 2)
    storage.tasks.remove(first, owner_id=ada, expires_at=LATER)
    with pytest.raises(QuotaExceeded):
        restore(storage, ada, first, most=1)
    with pytest.raises(TaskNotFound):
        storage.tasks.get(first, owner_id=ada)
    assert storage.tasks.counts(ada) == TaskCounts(3, total=1, completed=0)
    storage.tasks.remove(second, owner_id=ada, expires_at=LATER)
    assert restore(storage, ada, first, most=1).version == 2
    assert storage.tasks.counts(ada) == TaskCounts(5, total=1, completed=0)


def test_a_refused_write_takes_no_revision(storage: Storage, ada: UserId) -> None:
    task_id = stored_task(storage, ada)
    before = storage.tasks.counts(ada)
    with pytest.raises(StaleVersion):
        storage.tasks.remove(task_id, owner_id=ada, expires_at=LATER, version=7)
    with pytest.raises(TaskNotFound):
        storage.tasks.remove(TaskId(2), owner_id=ada, expires_at=LATER)
    with pytest.raises(TaskNotFound):
        restore(storage, ada, task_id)
    assert storage.tasks.counts(ada) == before


def test_a_task_that_is_restored_several_times_at_once_is_restored_once(
    storage: Storage, ada: UserId
) -> None:
    task_id = stored_task(storage, ada)
    for number in range(ROUNDS):
        storage.tasks.remove(task_id, owner_id=ada, expires_at=LATER)
        outcomes = at_once(AT_ONCE, lambda _: restore(storage, ada, task_id))
        assert sorted(map(str, outcomes)) == sorted(
            [str(None), *[str(TaskNotFound)] * (AT_ONCE - 1)]
        )
        assert storage.tasks.get(task_id, owner_id=ada).version == number + 2
    assert storage.tasks.counts(ada) == TaskCounts(1 + 2 * ROUNDS, total=1, completed=0)
