"""Firing reminders, and telling of them, touches and reveals only the owner's tasks."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from dependency_injector import providers

from tests.support.event_streams import watching
from tests.support.servers import running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.tasks import all_tasks, revisions_of
from tests.support.world import World
from todo_adapters.in_memory.changes import InMemoryChanges
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.in_memory.mail import InMemoryMailer
from todo_api.container import Container
from todo_api.http.event_streams import EventStream
from todo_api.http.watchers import Watchers
from todo_core.application import Application
from todo_core.entities.caller import Caller
from todo_core.entities.fired_reminder import ClaimedEmail, FiredReminder
from todo_core.entities.session import SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.ports.changes import Observer
from todo_core.ports.mail import ReminderEmail
from todo_core.ports.reminders import ReminderRepository
from todo_core.ports.repositories import TaskRepository

PASSWORD = "a rather long sentence"
NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
ZONES = ("Pacific/Niue", "UTC", "Pacific/Kiritimati")
DUE, DELETED = TaskId(1), TaskId(3)


@dataclass(frozen=True)
class Todo:
    """The use cases on a storage, with three owners whose tasks have the same ids."""

    application: Application
    tasks: TaskRepository
    reminders: ReminderRepository
    mailer: InMemoryMailer
    clock: ManualClock
    owners: Sequence[UserId]

    @classmethod
    def of(
        cls,
        application: Application,
        tasks: TaskRepository,
        reminders: ReminderRepository,
        mailer: InMemoryMailer,
        clock: ManualClock,
    ) -> "Todo":
        def owner(name: str) -> UserId:
            email = f"{name}@example.com"
            return application.register_user(name=name, email=email, password=PASSWORD).id

        owners = sorted(owner(name) for name in ("first", "second", "third"))
        todo = cls(application, tasks, reminders, mailer, clock, owners)
        for user_id, zone in zip(owners, ZONES, strict=True):
            application.update_profile(user_id=user_id, time_zone=zone)
            for number in (1, 2, 3):
                todo.add(user_id, number)
            tasks.remove(DELETED, owner_id=user_id, expires_at=NOW + 30 * DAY)
        return todo

    def add(self, owner: UserId, number: int) -> None:
        """Store a task that reminds in a minute, and before a day in the owner's zone.

        How long before is different for each owner.
        """
        reminders: Any = [
            {"remind_at": (NOW + MINUTE).isoformat()},
            {"remind_at": (NOW + 2 * MINUTE).isoformat()},
            {"minutes_before": 10 * self.owners.index(owner)},
        ]
        self.tasks.add(
            Task.create(
                id=TaskId(number),
                owner_id=owner,
                now=NOW,
                title=f"Of {owner}",
                due_date="2026-03-01",
                zone=TimeZone(ZONES[self.owners.index(owner)]),
                reminders=reminders,
            )
        )

    def state(self, owner: UserId) -> object:
        """Return everything that is stored of the owner's tasks and their reminders."""
        tasks, trash = self.tasks, TaskQuery(deleted=True)
        return (
            [*map(repr, all_tasks(tasks, owner))],
            [*map(repr, tasks.page(owner, trash, limit=99).tasks)],
            revisions_of(tasks, owner),
            tasks.counts(owner),
            self.reminders.fired_after({owner: 0}),
            [self.waiting(at).get(owner) for at in (NOW, NOW + MINUTE, NOW + 90 * DAY)],
        )

    def waiting(self, at: datetime) -> Mapping[UserId, Sequence[TaskId]]:
        found = self.reminders.due(now=at, limit=99)
        return {owner: sorted(task_ids) for owner, task_ids in found.items()}

    def fire(self, owner: UserId, *, at: datetime = NOW + MINUTE) -> int:
        return self.reminders.fire(owner, [DUE], now=at, with_emails=True)

    def claimed(self) -> Mapping[UserId, ClaimedEmail]:
        """Claim all emails, and return that of each owner."""
        now = NOW + MINUTE
        found = self.reminders.claim_emails(now=now, until=now + SECOND, latest=now + DAY, limit=99)
        assert len(found) == len(self.owners)
        return {each.reminder.owner_id: each for each in found}


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def todo(request: pytest.FixtureRequest) -> Todo:
    clock, mailer = ManualClock(NOW), InMemoryMailer()
    if request.param == "in_memory":
        world = World(clock=clock, mailer=mailer)
        return Todo.of(world.application, world.tasks, world.reminders, mailer, clock)
    container: Container = request.getfixturevalue(f"{request.param}_container")
    container.clock.override(providers.Object(clock))
    container.mailer.override(providers.Object(mailer))
    return Todo.of(container.application(), container.tasks(), container.reminders(), mailer, clock)


@pytest.mark.parametrize("number", [0, 1, 2])
class TestOneOwner:
    def test_firing_touches_no_task_of_another_owner(self, todo: Todo, number: int) -> None:
        owner = todo.owners[number]
        others = [each for each in todo.owners if each != owner]
        before = [todo.state(each) for each in others]
        assert todo.fire(owner) == 1
        assert [todo.state(each) for each in others] == before
        assert todo.reminders.fired_after({owner: 0}) == [
            FiredReminder(owner, DUE, NOW + MINUTE, todo.tasks.counts(owner).revision)
        ]
        assert todo.waiting(NOW + MINUTE)[owner] == [2]
        assert all(todo.waiting(NOW + MINUTE)[each] == [1, 2] for each in others)

    def test_a_move_to_another_zone_moves_no_reminder_of_another_owner(
        self, todo: Todo, number: int
    ) -> None:
        owner = todo.owners[number]
        others = [each for each in todo.owners if each != owner]
        before = [todo.state(each) for each in others]
        todo.application.update_profile(user_id=owner, time_zone="Asia/Kathmandu")
        assert [todo.state(each) for each in others] == before
        start = datetime(2026, 2, 28, 18, 15, tzinfo=UTC) - 10 * number * MINUTE
        tasks = [
            *all_tasks(todo.tasks, owner),
            todo.tasks.get_in_trash(DELETED, owner_id=owner),
        ]
        assert [task.reminders[2].at for task in tasks] == [start] * 3
        todo.fire(owner, at=NOW + DAY)
        assert DUE not in todo.waiting(start - SECOND)[owner]
        assert DUE in todo.waiting(start)[owner]

    @pytest.mark.parametrize("way", ["settled", "put off"])
    def test_the_email_of_another_owner_is_left_alone(
        self, todo: Todo, number: int, way: str
    ) -> None:
        for owner in todo.owners:
            todo.fire(owner)
        claimed, owner = todo.claimed(), todo.owners[number]
        if way == "settled":
            todo.reminders.settle_email(claimed[owner].reminder)
        else:
            todo.reminders.put_off_email(claimed[owner].reminder, until=NOW + 5 * MINUTE)
        later = NOW + 2 * MINUTE
        again = todo.reminders.claim_emails(
            now=later, until=later + SECOND, latest=later + DAY, limit=99
        )
        assert {each.reminder.owner_id for each in again} == {*todo.owners} - {owner}

    def test_fired_reminders_are_listed_to_their_owner_only(self, todo: Todo, number: int) -> None:
        for each in todo.owners:
            todo.fire(each)
        owner = todo.owners[number]
        [fired] = todo.application.list_fired_reminders({owner: 0})
        assert fired.owner_id == owner

    def test_a_deleted_account_takes_only_its_own_reminders_along(
        self, todo: Todo, number: int
    ) -> None:
        for each in todo.owners:
            todo.fire(each)
        owner = todo.owners[number]
        others = [each for each in todo.owners if each != owner]
        before = [todo.state(each) for each in others]
        todo.application.delete_account(user_id=owner, current_password=PASSWORD)
        assert [todo.state(each) for each in others] == before
        assert todo.reminders.fired_after({owner: 0}) == []


def test_each_owner_gets_the_email_about_their_own_task_in_their_own_zone(todo: Todo) -> None:
    todo.clock.advance(MINUTE)
    todo.application.update_task(owner_id=todo.owners[1], task_id=TaskId(2), completed=True)
    assert todo.application.fire_reminders() == 5
    while todo.application.send_reminder_emails():
        pass
    sent = [each for each in todo.mailer.sent if isinstance(each, ReminderEmail)]
    assert len(sent) == 5
    for owner, zone in zip(todo.owners, ZONES, strict=True):
        user = todo.application.get_profile(user_id=owner)
        own = [each for each in sent if each.to == user.email]
        assert len(own) == (1 if owner == todo.owners[1] else 2)
        for email in own:
            assert (email.name, email.title, email.time_zone) == (user.name, f"Of {owner}", zone)


class ObservedChanges(InMemoryChanges):
    """Changes of which a test can tell the observer several at once."""

    def observe(self, observer: Observer) -> None:
        self.tell = observer


def test_each_owner_is_told_of_their_own_reminders_that_are_found_together() -> None:
    async def scenario() -> None:
        world = World()
        changes = ObservedChanges(world.tasks)
        moment = world.clock.now()
        callers = [Caller(UserId(UUID(int=id)), SessionId(uuid4())) for id in (1, 2, 3)]
        fired = [FiredReminder(each.user_id, DUE, moment, 1) for each in callers[:2]]
        watchers = Watchers(
            changes, lambda _: fired, world.revoked_sessions, world.clock, session_check_seconds=60
        )
        streams = [EventStream(each, revision=0, told=0) for each in callers]
        for stream in streams:
            watchers.add(stream)
            stream.begin([])
        changes.tell({each.user_id: 1 for each in callers})
        await asyncio.sleep(0)
        told = [stream.beginning().count(b"event: reminder") for stream in streams]
        assert told == [1, 1, 0]
        watchers.end_all()

    asyncio.run(scenario())


def test_only_the_owner_is_told_of_a_reminder(tmp_path: Path) -> None:
    settings = embedded_settings(tmp_path)
    migrate(settings)
    with running_server(settings) as server:
        ada, bob = server.register("Ada"), server.register("Bob")
        soon = (datetime.now(UTC) - SECOND).isoformat()
        with (
            ada.http,
            bob.http,
            watching(server.url, ada) as of_ada,
            watching(server.url, bob) as of_bob,
        ):
            assert of_ada.next().revision == of_bob.next().revision == 0
            task = ada.create(remind_at=soon)
            bob.create()
            server.container.application().fire_reminders()
            while (event := of_ada.next()).fields["event"] == "changed":
                pass
            assert str(task["id"]) in event.fields["data"]
            assert of_bob.next().revision == 1
            assert of_bob.is_quiet(0.3)
        with watching(server.url, bob, last_event_id="0") as again:
            assert again.next().revision == 1
        with watching(server.url, ada, last_event_id="0") as again:
            assert again.next().fields["event"] == "reminder"
