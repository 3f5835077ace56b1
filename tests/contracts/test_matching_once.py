"""Changes of all tasks that match a filter, with a key: once, also in the parts that are done."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from unittest.mock import patch

import pytest

from tests.support.storages import Storage, stored_owner
from tests.support.tasks import all_tasks
from tests.support.todo import NOW, Todo
from todo_core.entities.idempotency import RETENTION, IdempotencyKey, IdempotentRequest
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import IdempotencyKeyReused
from todo_core.use_cases import bulk
from todo_core.use_cases.bulk import ChangeMatchingTasks, MatchingChanged

PENDING = TaskQuery(completed=False)
CHANGES: Mapping[str, Callable[[Todo, UserId, IdempotentRequest], MatchingChanged]] = {
    "complete": lambda todo, owner, request: todo.application.complete_matching_tasks(
        owner_id=owner, query=PENDING, once=request
    ),
    "delete": lambda todo, owner, request: todo.application.delete_matching_tasks(
        owner_id=owner, query=PENDING, once=request
    ),
}
each_change = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


@pytest.fixture
def todo(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Todo:
    monkeypatch.setattr(bulk, "BATCH_SIZE", 2)
    return Todo.on(storage)


def request_of(owner: UserId, fingerprint: str = "a request") -> IdempotentRequest:
    return IdempotentRequest(owner, IdempotencyKey("a-key"), fingerprint)


def pending(todo: Todo) -> int:
    return sum(not task.completed for task in todo.all())


def interrupt_after(
    batches: int, meanwhile: Callable[[], object] = lambda: None
) -> AbstractContextManager[object]:
    """Let the process fail after this many batches, in the middle of the next one."""
    change_batch = ChangeMatchingTasks._change_batch
    done: list[object] = []

    def fail_later(*arguments: object) -> object:
        meanwhile()
        batch = change_batch(*arguments)  # type: ignore[arg-type]  # those of the method
        if len(done) == batches:
            raise ConnectionError
        done.append(batch)
        return batch

    return patch.object(ChangeMatchingTasks, "_change_batch", fail_later)


@each_change
def test_a_replay_changes_nothing_that_has_come_since(
    todo: Todo, change: Callable[[Todo, UserId, IdempotentRequest], MatchingChanged]
) -> None:
    for _ in range(5):
        todo.create()
    request = request_of(todo.owner)
    assert change(todo, todo.owner, request) == MatchingChanged(5, is_replay=False)
    todo.ids.first = [99]
    todo.application.create_task(owner_id=todo.owner, title="Later")
    assert change(todo, todo.owner, request) == MatchingChanged(5, is_replay=True)
    assert pending(todo) == 1


@each_change
def test_that_nothing_matched_is_kept_too(
    todo: Todo, change: Callable[[Todo, UserId, IdempotentRequest], MatchingChanged]
) -> None:
    request = request_of(todo.owner)
    assert change(todo, todo.owner, request) == MatchingChanged(0, is_replay=False)
    todo.create()
    assert change(todo, todo.owner, request) == MatchingChanged(0, is_replay=True)
    assert pending(todo) == 1


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_after_an_interruption_it_continues_and_completes_no_successor(
    todo: Todo, batches: int
) -> None:
    for _ in range(5):
        todo.create(due_date="2999-01-01", recurrence_rule="daily")
    request, complete = request_of(todo.owner), CHANGES["complete"]
    with interrupt_after(batches), pytest.raises(ConnectionError):
        complete(todo, todo.owner, request)
    todo.require_counts(revision=5 + 4 * batches, total=5 + 2 * batches, completed=2 * batches)
    assert complete(todo, todo.owner, request) == MatchingChanged(5, is_replay=False)
    assert complete(todo, todo.owner, request) == MatchingChanged(5, is_replay=True)
    todo.require_counts(revision=15, total=10, completed=5)


def test_parts_of_a_request_that_is_no_longer_kept_are_not_found(todo: Todo) -> None:
    for _ in range(5):
        todo.create()
    request, complete = request_of(todo.owner), CHANGES["complete"]
    with interrupt_after(9, meanwhile=lambda: todo.world.clock.advance(timedelta(hours=1))):
        assert complete(todo, todo.owner, request).count == 5
    todo.world.clock.advance(RETENTION - timedelta(hours=2))
    for number in range(5):
        todo.ids.first = [50 + number]
        todo.application.create_task(owner_id=todo.owner, title="Later")
    assert complete(todo, todo.owner, request) == MatchingChanged(5, is_replay=False)
    assert pending(todo) == 0


@each_change
def test_a_key_with_another_request_is_refused_also_after_an_interruption(
    todo: Todo, change: Callable[[Todo, UserId, IdempotentRequest], MatchingChanged]
) -> None:
    for _ in range(5):
        todo.create()
    with interrupt_after(1), suppress(ConnectionError):
        change(todo, todo.owner, request_of(todo.owner))
    before = todo.state()
    other = request_of(todo.owner, "another request")
    with pytest.raises(IdempotencyKeyReused):
        change(todo, todo.owner, other)
    with pytest.raises(IdempotencyKeyReused):
        todo.application.write_once(other, lambda _: b"")
    assert todo.state() == before


@each_change
def test_the_same_key_of_another_user_is_independent(
    todo: Todo, change: Callable[[Todo, UserId, IdempotentRequest], MatchingChanged]
) -> None:
    other = stored_owner(todo.storage, 2, now=NOW).id
    for _ in range(3):
        todo.create()
    todo.ids.first = [77]
    todo.application.create_task(owner_id=other, title="Other")
    assert change(todo, todo.owner, request_of(todo.owner)).count == 3
    assert not all_tasks(todo.storage.tasks, other)[0].completed
    assert change(todo, other, request_of(other)) == MatchingChanged(1, is_replay=False)
