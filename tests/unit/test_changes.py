"""Changes of tasks are told to those who watch their owners, and cost others nothing."""

import time
from collections.abc import Iterator, Mapping, Sequence
from queue import Empty, SimpleQueue
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from tests.support.waiting import until
from tests.support.world import World
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.tasks import InMemoryTaskRepository
from todo_adapters.system.changes import PolledChanges
from todo_core.entities.user import UserId
from todo_core.errors import PreconditionFailed, TaskNotFound, Unavailable, ValidationFailed

SECONDS = 0.1


class ObservedTasks(InMemoryTaskRepository):
    """Tasks that record which revisions are read, and can fail."""

    def __init__(self) -> None:
        self.store = InMemoryStore()
        super().__init__(self.store)
        self.reads: list[Sequence[UserId]] = []
        self.failure: Exception | None = None

    def revisions(self, owner_ids: Sequence[UserId]) -> Mapping[UserId, int]:
        self.reads.append(owner_ids)
        if self.failure is not None:
            raise self.failure
        return super().revisions(owner_ids)


@pytest.fixture
def tasks() -> ObservedTasks:
    return ObservedTasks()


@pytest.fixture
def changes(tasks: ObservedTasks) -> Iterator[PolledChanges]:
    polled = PolledChanges(tasks, seconds=SECONDS)
    polled.start()
    yield polled
    polled.close()


def observed(changes: PolledChanges) -> SimpleQueue[Mapping[UserId, int]]:
    told: SimpleQueue[Mapping[UserId, int]] = SimpleQueue()
    changes.observe(told.put)
    return told


def a_user_id() -> UserId:
    return UserId(uuid4())


def test_a_published_change_is_told_before_the_next_poll(tasks: ObservedTasks) -> None:
    changes = PolledChanges(tasks, seconds=60)
    changes.start()
    told = observed(changes)
    ada = a_user_id()
    changes.watch(ada)
    assert told.get(timeout=5) == {ada: 0}
    tasks.store.owner_revisions[ada] = 4
    changes.publish(ada)
    assert told.get(timeout=5) == {ada: 4}
    changes.close()


def test_a_change_that_is_not_published_is_told_at_the_next_poll(
    changes: PolledChanges, tasks: ObservedTasks
) -> None:
    told = observed(changes)
    ada, bob = a_user_id(), a_user_id()
    changes.watch(ada)
    changes.watch(bob)
    first: dict[UserId, int] = {}
    while len(first) < 2:
        first |= told.get(timeout=5)
    tasks.store.owner_revisions[bob] = 1
    assert told.get(timeout=5) == {bob: 1}
    with pytest.raises(Empty):
        told.get(timeout=3 * SECONDS)


def test_each_poll_is_one_query_for_all_watched_owners(
    changes: PolledChanges, tasks: ObservedTasks
) -> None:
    owners = {a_user_id() for _ in range(100)}
    for owner in owners:
        changes.watch(owner)
    time.sleep(2 * SECONDS)
    del tasks.reads[:]
    time.sleep(5 * SECONDS)
    assert 3 <= len(tasks.reads) <= 6
    assert all(set(read) == owners for read in tasks.reads)


def test_many_owners_are_read_a_thousand_at_a_time(
    changes: PolledChanges, tasks: ObservedTasks
) -> None:
    for _ in range(2500):
        changes.watch(a_user_id())
    time.sleep(2 * SECONDS)
    assert max(len(read) for read in tasks.reads) == 1000


def test_nothing_is_read_while_nobody_watches(changes: PolledChanges, tasks: ObservedTasks) -> None:
    changes.publish(a_user_id())
    ada = a_user_id()
    time.sleep(3 * SECONDS)
    assert tasks.reads == []
    changes.watch(ada)
    until(lambda: tasks.reads)
    changes.unwatch(ada)
    time.sleep(2 * SECONDS)
    del tasks.reads[:]
    changes.publish(ada)
    time.sleep(3 * SECONDS)
    assert tasks.reads == []


def test_a_failure_is_logged_once_and_the_change_is_told_afterwards(
    changes: PolledChanges, tasks: ObservedTasks
) -> None:
    told = observed(changes)
    ada = a_user_id()
    changes.watch(ada)
    assert told.get(timeout=5) == {ada: 0}
    with capture_logs() as logs:
        tasks.failure = Unavailable("database")
        tasks.store.owner_revisions[ada] = 1
        del tasks.reads[:]
        until(lambda: len(tasks.reads) > 4)
        tasks.failure = None
        assert told.get(timeout=5) == {ada: 1}
        until(lambda: len(logs) == 2)
    assert [entry["event"] for entry in logs] == ["changes.failed", "changes.recovered"]


def test_an_observer_that_fails_is_notified_again(
    changes: PolledChanges, tasks: ObservedTasks
) -> None:
    told: list[Mapping[UserId, int]] = []

    def fail_at_first(revisions: Mapping[UserId, int]) -> None:
        told.append(revisions)
        if len(told) < 3:
            raise Unavailable("database")

    changes.observe(fail_at_first)
    ada = a_user_id()
    changes.watch(ada)
    until(lambda: len(told) == 3)
    time.sleep(3 * SECONDS)
    assert told == [{ada: 0}] * 3


def test_use_cases_publish_what_they_changed_and_nothing_else(world: World) -> None:
    ada, app = world.register(), world.application
    task = app.create_task(owner_id=ada.id, title="Buy milk")
    app.update_task(owner_id=ada.id, task_id=task.id, title="Buy oats")
    app.toggle_completion(owner_id=ada.id, task_id=task.id)
    assert world.changes.published == [ada.id] * 3
    app.update_task(owner_id=ada.id, task_id=task.id, title="Buy oats")
    app.list_tasks(owner_id=ada.id)
    with pytest.raises(ValidationFailed):
        app.create_task(owner_id=ada.id, title="")
    with pytest.raises(PreconditionFailed):
        app.delete_task(owner_id=ada.id, task_id=task.id, expected=[1])
    assert world.changes.published == [ada.id] * 3
    app.delete_task(owner_id=ada.id, task_id=task.id, expected=[3])
    with pytest.raises(TaskNotFound):
        app.delete_task(owner_id=ada.id, task_id=task.id)
    assert world.changes.published == [ada.id] * 4


def test_the_clean_up_deletes_expired_tickets(world: World) -> None:
    ada = world.register()
    caller = world.access_tokens.verify(
        world.log_in().tokens.access_token.value, now=world.clock.now()
    )
    ticket = world.application.issue_stream_ticket(caller, owner_name=str(ada.id))
    assert world.application.clean_up() == 0
    world.clock.advance(ticket.expires_in * 2)
    assert world.application.clean_up() == 1
    assert not world.store.stream_tickets
