"""Firing reminders, and sending their emails, on in-memory adapters."""

from datetime import timedelta
from typing import Any

import pytest

from tests.support.world import World
from todo_core.entities.task import Task
from todo_core.entities.user import User
from todo_core.ports.mail import ReminderEmail
from todo_core.use_cases.reminders import LEASE, pause_after

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def ada(world: World) -> User:
    return world.register()


def a_task(world: World, owner: User, *, minutes: float = 5, **fields: Any) -> Task:
    """Create a task that reminds in so many minutes."""
    at = world.clock.now() + minutes * MINUTE
    return world.application.create_task(
        owner_id=owner.id, **{"title": "Buy milk", "reminders": at.isoformat(), **fields}
    )


def fire(world: World) -> int:
    return world.application.fire_reminders()


def send(world: World) -> int:
    """Send everything that is to be sent, and return how many emails were claimed."""
    claimed = 0
    while world.application.send_reminder_emails():
        claimed += 1
    return claimed


def sent(world: World) -> list[ReminderEmail]:
    return [each for each in world.mailer.sent if isinstance(each, ReminderEmail)]


class TestFiring:
    def test_a_reminder_is_fired_at_its_moment_and_announced(self, world: World, ada: User) -> None:
        task = a_task(world, ada)
        world.changes.published.clear()
        world.clock.advance(5 * MINUTE - timedelta(microseconds=1))
        assert fire(world) == 0
        assert world.changes.published == []
        world.clock.advance(timedelta(microseconds=1))
        assert fire(world) == 1
        assert fire(world) == 0
        assert world.changes.published == [ada.id]
        [reminder] = world.application.list_fired_reminders({ada.id: 0})
        assert (reminder.task_id, reminder.remind_at) == (task.id, world.clock.now())

    def test_a_task_that_was_completed_or_deleted_does_not_remind(
        self, world: World, ada: User
    ) -> None:
        completed, deleted = a_task(world, ada), a_task(world, ada)
        todo = world.application
        todo.update_task(owner_id=ada.id, task_id=completed.id, completed=True)
        todo.delete_task(owner_id=ada.id, task_id=deleted.id)
        world.clock.advance(HOUR)
        assert fire(world) == 0
        assert send(world) == 0

    def test_very_many_reminders_are_fired_in_batches(self, world: World, ada: User) -> None:
        for _ in range(450):
            a_task(world, ada)
        world.clock.advance(HOUR)
        assert [fire(world) for _ in range(4)] == [200, 200, 50, 0]

    def test_the_next_task_of_a_series_reminds_too(self, world: World, ada: User) -> None:
        due = world.clock.now() + HOUR
        task = a_task(
            world,
            ada,
            due_date=due.isoformat(),
            recurrence_rule="daily",
            reminders=[{"minutes_before": 30}],
        )
        todo = world.application
        todo.update_task(owner_id=ada.id, task_id=task.id, completed=True)
        world.clock.advance(23 * HOUR)
        assert fire(world) == 0
        world.clock.advance(2 * HOUR)
        assert fire(world) == 1
        assert send(world) == 1

    def test_a_clock_that_was_wrong_fires_nothing_twice(self, world: World, ada: User) -> None:
        a_task(world, ada, minutes=30)
        a_task(world, ada, minutes=90)
        world.clock.advance(HOUR)
        assert (fire(world), send(world)) == (1, 1)
        world.clock.advance(-HOUR)
        assert (fire(world), send(world)) == (0, 0)
        world.clock.advance(31 * MINUTE)
        assert (fire(world), send(world)) == (0, 0)
        world.clock.advance(HOUR)
        assert (fire(world), send(world)) == (1, 1)

    def test_a_move_to_another_zone_moves_the_reminder(self, world: World, ada: User) -> None:
        day = (world.clock.now() + timedelta(days=3)).date()
        task = a_task(world, ada, due_date=day.isoformat(), reminders=[{"minutes_before": 0}])
        world.application.update_profile(user_id=ada.id, time_zone="Pacific/Niue")
        moved = world.application.get_task(owner_id=ada.id, task_id=task.id)
        before, after = task.reminders[0].at, moved.reminders[0].at
        assert before is not None
        assert after == before + 11 * HOUR


class TestEmails:
    def test_an_email_says_what_is_due_and_when(self, world: World, ada: User) -> None:
        world.application.update_profile(user_id=ada.id, time_zone="Europe/Berlin")
        task = a_task(world, ada, due_date="2099-12-01")
        world.clock.advance(5 * MINUTE)
        fire(world)
        assert send(world) == 1
        assert send(world) == 0
        [reminder] = world.application.list_fired_reminders({ada.id: 0})
        [email] = sent(world)
        assert (email.to, email.name, email.id) == (ada.email, ada.name, reminder.id)
        assert (email.title, email.due_date) == (task.title, task.due_date)
        assert email.time_zone == "Europe/Berlin"

    def test_no_email_is_sent_to_a_user_who_does_not_want_them(
        self, world: World, ada: User
    ) -> None:
        todo = world.application
        assert todo.get_profile(user_id=ada.id).reminder_emails
        assert not todo.update_profile(user_id=ada.id, reminder_emails=False).reminder_emails
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        assert (fire(world), send(world)) == (1, 1)
        assert sent(world) == []
        todo.update_profile(user_id=ada.id, reminder_emails=True)
        assert send(world) == 0

    def test_no_email_is_sent_to_a_user_of_a_disabled_account(
        self, world: World, ada: User
    ) -> None:
        a_task(world, ada)
        world.application.administration.disable_user(user_id=ada.id)
        world.clock.advance(5 * MINUTE)
        assert (fire(world), send(world)) == (1, 1)
        assert sent(world) == []

    @pytest.mark.parametrize("way", ["completed", "deleted", "account"])
    def test_no_email_is_sent_for_what_is_done_or_deleted_meanwhile(
        self, world: World, ada: User, way: str
    ) -> None:
        task = a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)
        todo = world.application
        if way == "completed":
            todo.update_task(owner_id=ada.id, task_id=task.id, completed=True)
        elif way == "deleted":
            todo.delete_task(owner_id=ada.id, task_id=task.id)
        else:
            todo.delete_account(user_id=ada.id, current_password="a rather long sentence")
        send(world)
        assert sent(world) == []

    def test_no_email_is_sent_where_the_operator_wants_none(self, world: World) -> None:
        silent = World(policy=world.policy.__replace__(reminder_emails=False))
        ada = silent.register()
        a_task(silent, ada)
        silent.clock.advance(5 * MINUTE)
        assert (fire(silent), send(silent)) == (1, 0)

    def test_a_failed_delivery_is_tried_again_after_longer_and_longer_pauses(
        self, world: World, ada: User
    ) -> None:
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)
        world.mailer.is_down = True
        assert send(world) == 1
        for seconds in (30, 60, 120, 240, 480, 900, 900):
            world.clock.advance(timedelta(seconds=seconds - 1))
            assert send(world) == 0
            world.clock.advance(timedelta(seconds=1))
            assert send(world) == 1
        world.mailer.is_down = False
        world.clock.advance(15 * MINUTE)
        assert send(world) == 1
        assert len(sent(world)) == 1

    def test_a_delivery_that_keeps_failing_is_given_up_after_a_day(
        self, world: World, ada: User
    ) -> None:
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)
        world.mailer.is_down = True
        tries = 0
        for _ in range(2 * 24 * 60):
            tries += send(world)
            world.clock.advance(MINUTE)
        assert 90 < tries < 110
        world.mailer.is_down = False
        assert send(world) == 0
        assert sent(world) == []

    def test_a_user_gets_a_limited_number_of_emails(self, world: World, ada: User) -> None:
        bob = world.register("bob@example.com")
        for owner in (ada, bob):
            for _ in range(30):
                a_task(world, owner)
        world.clock.advance(5 * MINUTE)
        assert (fire(world), send(world), send(world)) == (60, 60, 0)
        for owner in (ada, bob):
            assert sum(email.to == owner.email for email in sent(world)) == 20
            assert len(world.application.list_fired_reminders({owner.id: 0})) == 30

    def test_a_delivery_that_is_tried_again_counts_once(self, world: World, ada: User) -> None:
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)
        world.mailer.is_down = True
        for _ in range(30):
            send(world)
            world.clock.advance(15 * MINUTE)
        world.mailer.is_down = False
        send(world)
        assert len(sent(world)) == 1

    def test_a_refused_email_is_not_tried_again(self, world: World, ada: User) -> None:
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)
        world.mailer.refuses = True
        assert send(world) == 1
        world.mailer.refuses = False
        world.clock.advance(HOUR)
        assert send(world) == 0

    def test_an_email_of_a_process_that_was_killed_is_sent_with_the_same_id(
        self, world: World, ada: User
    ) -> None:
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)

        now = world.clock.now()
        [claimed] = world.reminders.claim_emails(
            now=now, until=now + LEASE, latest=now + HOUR, limit=1
        )
        # Here the process that has claimed it is killed.
        assert send(world) == 0
        world.clock.advance(LEASE)
        assert send(world) == 1
        assert [email.id for email in sent(world)] == [claimed.reminder.id]

    def test_pauses_have_a_longest_one(self) -> None:
        pauses = [pause_after(attempt) for attempt in range(1, 2000)]
        assert pauses == sorted(pauses)
        assert (pauses[0], pauses[-1]) == (timedelta(seconds=30), 15 * MINUTE)


class TestCleanUp:
    def test_fired_reminders_are_deleted_after_two_days(self, world: World, ada: User) -> None:
        a_task(world, ada)
        world.clock.advance(5 * MINUTE)
        fire(world)
        clean_up = world.application.clean_up
        world.clock.advance(timedelta(days=2))
        assert clean_up() == 0
        world.clock.advance(MINUTE)
        assert clean_up() == 1
        assert world.application.list_fired_reminders({ada.id: 0}) == []
