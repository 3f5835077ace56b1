"""Requests with one key at the same time, on PostgreSQL and on databases that speak its protocol.

What holds on every storage is tested with the other repositories.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from threading import Event
from unittest.mock import patch
from uuid import uuid4

import pytest

from todo_adapters.sql import kept_responses
from todo_api.container import Container
from todo_core.entities.idempotency import RETENTION, IdempotencyKey, IdempotentRequest
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Creation
from todo_core.entities.user import User, UserId
from todo_core.errors import IdempotencyInProgress
from todo_core.use_cases.once import Written
from todo_core.use_cases.task_writes import TaskWrites

PASSWORD = "a rather long sentence"


def registered(container: Container) -> User:
    email = f"{uuid4().hex}@example.com"
    return container.application().register_user(name="Ada", email=email, password=PASSWORD)


def request_of(user: User, key: str = "a-key") -> IdempotentRequest:
    return IdempotentRequest(user.id, IdempotencyKey(key), "a request")


@contextmanager
def ids_of_new_tasks(container: Container, ids: Iterator[TaskId]) -> Iterator[None]:
    """Give these ids to new tasks while the block runs."""

    def task_ids(_: object, owner_id: UserId, count: int, *, created_at: datetime) -> list[TaskId]:
        return list(islice(ids, count))

    with patch.object(type(container.identifiers()), "task_ids", task_ids):
        yield


class SlowWrite:
    """A write that creates a task and then waits, as if its process were slow."""

    def __init__(self, user: User, title: str = "slow") -> None:
        self.user = user
        self.title = title
        self.began, self.goes_on = Event(), Event()

    def __call__(self, writes: TaskWrites) -> bytes:
        task = writes.create_task(owner_id=self.user.id, title=self.title)
        self.began.set()
        assert self.goes_on.wait(10)
        return str(task.id).encode()


@contextmanager
def in_progress(container: Container, write: SlowWrite) -> Iterator[list[Written]]:
    """Run the write until the block ends, and return what it was answered after that."""
    written: list[Written] = []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(container.application().write_once, request_of(write.user), write)
        assert write.began.wait(10)
        try:
            yield written
        finally:
            write.goes_on.set()
        written.append(running.result(10))


def fail(_: TaskWrites) -> bytes:
    raise AssertionError("it takes effect a second time")


def test_a_request_with_a_key_in_progress_is_refused_at_once(
    postgresql_container: Container,
) -> None:
    application, ada = postgresql_container.application(), registered(postgresql_container)
    with in_progress(postgresql_container, SlowWrite(ada)) as first:
        began = time.monotonic()
        with pytest.raises(IdempotencyInProgress):
            application.write_once(request_of(ada), fail)
        assert time.monotonic() - began < 2
        # Keys of others, and other keys, are not in progress.
        bob = registered(postgresql_container)
        assert application.write_once(request_of(bob), lambda _: b"bob").response == b"bob"
        with postgresql_container.unit_of_work()() as work:
            now = datetime.now(UTC)
            assert (
                work.kept_responses.claim(request_of(ada, "other"), now=now, kept_since=now) is None
            )
    assert application.write_once(request_of(ada), fail).response == first[0].response
    assert len(application.list_tasks(owner_id=ada.id).tasks) == 1


def test_a_request_whose_kept_response_is_too_old_can_be_in_progress_too(
    postgresql_container: Container,
) -> None:
    application, ada = postgresql_container.application(), registered(postgresql_container)
    with postgresql_container.unit_of_work()() as work:
        long_ago = datetime.now(UTC) - 2 * RETENTION
        work.kept_responses.claim(request_of(ada), now=long_ago, kept_since=long_ago)
    with in_progress(postgresql_container, SlowWrite(ada)), pytest.raises(IdempotencyInProgress):
        application.write_once(request_of(ada), fail)


def test_without_such_locks_a_request_waits_for_the_one_in_progress_and_returns_its_response(
    postgresql_container: Container,
) -> None:
    """Some databases that speak PostgreSQL's protocol grant every advisory lock."""
    numbers = iter(range(1, 100))
    application, ada = postgresql_container.application(), registered(postgresql_container)
    with (
        patch.object(kept_responses, "_lock_number", lambda _: next(numbers)),
        ThreadPoolExecutor(1) as pool,
    ):
        with in_progress(postgresql_container, SlowWrite(ada)) as first:
            second = pool.submit(application.write_once, request_of(ada), fail)
            time.sleep(0.2)
            assert not second.done()
        replay = second.result(10)
    assert replay.is_replay
    assert replay.response == first[0].response
    assert len(application.list_tasks(owner_id=ada.id).tasks) == 1


def test_an_identifier_in_use_makes_the_whole_transaction_run_again(container: Container) -> None:
    """PostgreSQL refuses every further statement of a transaction after the error."""
    application, ada = container.application(), registered(container)
    taken = application.create_task(owner_id=ada.id, title="The first").id
    drawn = iter([taken, taken, TaskId(taken + 1)])
    with ids_of_new_tasks(container, drawn):
        written = application.write_once(
            request_of(ada),
            lambda writes: str(writes.create_task(owner_id=ada.id, title="Second").id).encode(),
        )
    assert written == Written(str(taken + 1).encode(), is_replay=False)
    assert application.write_once(request_of(ada), fail).response == written.response
    assert len(application.list_tasks(owner_id=ada.id).tasks) == 2


def test_an_identifier_in_use_makes_the_transaction_of_a_bulk_run_again(
    container: Container,
) -> None:
    application, ada = container.application(), registered(container)
    taken = application.create_task(owner_id=ada.id, title="The first").id
    drawn = iter([taken, TaskId(taken + 1)])

    def create(writes: TaskWrites) -> bytes:
        [task] = writes.change_tasks(owner_id=ada.id, operations=[Creation({"title": "Second"})])
        assert isinstance(task, Task)
        return str(task.id).encode()

    with ids_of_new_tasks(container, drawn):
        written = application.write_once(request_of(ada), create)
    assert written == Written(str(taken + 1).encode(), is_replay=False)
    assert len(application.list_tasks(owner_id=ada.id).tasks) == 2


def test_a_write_that_fails_after_its_effect_leaves_neither(container: Container) -> None:
    application, ada = container.application(), registered(container)

    def crash(writes: TaskWrites) -> bytes:
        writes.create_task(owner_id=ada.id, title="Lost")
        raise RuntimeError("a crash")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            application.write_once(request_of(ada), crash)
    assert application.list_tasks(owner_id=ada.id).tasks == []
    assert application.count_tasks(owner_id=ada.id).revision == 0
    assert not application.write_once(request_of(ada), lambda _: b"").is_replay
