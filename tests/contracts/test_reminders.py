"""Reminders are stored, fired and delivered alike by every kind of storage."""

from collections.abc import Mapping, Sequence
from copy import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.concurrency import at_once
from tests.support.plans import explain_for_any_values
from tests.support.storages import Storage, storage_of, stored_owner
from todo_adapters.sql.reminders import (
    CHOOSE_EMAILS,
    CHOOSE_OLD,
    DUE,
    FIRED_AFTER,
    HAS_EMAIL,
)
from todo_adapters.sql.tables import FIRED_REMINDERS, TASKS
from todo_api.container import Container
from todo_core.entities.fired_reminder import ClaimedEmail, FiredReminder
from todo_core.entities.task import Task, TaskId
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import User, UserId

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
EXPIRES = NOW + 30 * DAY
BERLIN, NIUE = TimeZone("Europe/Berlin"), TimeZone("Pacific/Niue")
NUMBERS = count(1)
ALL = 1000

ON_ONE_STORAGE = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""For tests whose examples share a storage: each has owners of its own."""


def an_owner(storage: Storage) -> User:
    return stored_owner(storage, next(NUMBERS), now=NOW)


def at(*times: datetime) -> Any:
    return [{"remind_at": time.isoformat()} for time in times]


def stored_task(
    storage: Storage, owner: User, number: int = 1, *, zone: TimeZone = BERLIN, **fields: Any
) -> Task:
    """Store and return a task that was created `NOW`."""
    task = Task.create(
        id=TaskId(number), owner_id=owner.id, now=NOW, zone=zone, **{"title": "x", **fields}
    )
    storage.tasks.add(task)
    return task


def due(storage: Storage, owner: User, now: datetime) -> Sequence[TaskId]:
    return storage.reminders.due(now=now, limit=ALL).get(owner.id, [])


def fire(storage: Storage, owner: User, now: datetime, *, with_emails: bool = True) -> int:
    """Fire everything of this owner that is due."""
    task_ids = due(storage, owner, now)
    return storage.reminders.fire(owner.id, task_ids, now=now, with_emails=with_emails)


def fired(storage: Storage, owner: User, after: int = 0) -> Sequence[tuple[TaskId, datetime]]:
    return [
        (each.task_id, each.remind_at) for each in storage.reminders.fired_after({owner.id: after})
    ]


def next_moment(storage: Storage, owner: User, task_id: int = 1) -> datetime | None:
    """Return when a task reminds next, to the minute."""
    for minutes in range(60):
        if TaskId(task_id) in due(storage, owner, moment := NOW + minutes * MINUTE):
            return moment
    return None


def claim(storage: Storage, now: datetime, *, limit: int = ALL) -> Sequence[ClaimedEmail]:
    return storage.reminders.claim_emails(
        now=now, until=now + 30 * SECOND, latest=now + 15 * MINUTE, limit=limit
    )


class TestStoring:
    REMINDERS = st.lists(
        st.fixed_dictionaries({"minutes_before": st.integers(0, 40_320)})
        | st.fixed_dictionaries(
            {
                "remind_at": st.datetimes(
                    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis takes naive ones
                    datetime(9999, 12, 30),  # noqa: DTZ001
                    timezones=st.just(UTC),
                ).map(datetime.isoformat)
            }
        ),
        max_size=5,
    )

    @ON_ONE_STORAGE
    @given(
        reminders=REMINDERS,
        due_date=st.sampled_from(["2026-03-29", "2026-03-29T02:30", "9999-12-31", "1970-01-01"]),
    )
    def test_a_task_has_its_reminders_wherever_it_is_read(
        self, storage: Storage, reminders: Any, due_date: str
    ) -> None:
        owner = an_owner(storage)
        task = stored_task(storage, owner, reminders=reminders, due_date=due_date)
        assert len(task.reminders) <= len(reminders)
        assert storage.tasks.get(task.id, owner_id=owner.id) == task
        asleep = storage.tasks.save(task.edited(due_date=None, now=NOW + DAY))
        assert storage.tasks.get(task.id, owner_id=owner.id) == asleep
        assert all(each.at is None for each in asleep.reminders.relative)
        storage.tasks.remove(task.id, owner_id=owner.id, expires_at=EXPIRES)
        assert storage.tasks.get_in_trash(task.id, owner_id=owner.id) == asleep
        restored = storage.tasks.restore(task.id, owner_id=owner.id, now=NOW, most=9)
        assert restored.reminders == asleep.reminders
        without = storage.tasks.save(restored.edited(reminders=None, now=NOW + DAY))
        assert storage.tasks.get(task.id, owner_id=owner.id) == without
        assert without.reminders == ()


class TestNextMoment:
    def test_a_new_task_reminds_at_its_first_moment_that_has_not_passed(
        self, storage: Storage
    ) -> None:
        owner = an_owner(storage)
        moments = at(NOW + 5 * MINUTE, NOW + 3 * MINUTE, NOW - MINUTE, NOW + 3 * MINUTE)
        stored_task(storage, owner, reminders=moments)
        stored_task(storage, owner, 2, reminders=at(NOW - MINUTE))
        stored_task(storage, owner, 3)
        assert next_moment(storage, owner) == NOW + 3 * MINUTE
        assert due(storage, owner, NOW + 3 * MINUTE - timedelta(microseconds=1)) == []
        assert due(storage, owner, NOW + DAY) == [1]

    def test_an_edit_of_something_else_keeps_a_reminder_that_is_late(
        self, storage: Storage
    ) -> None:
        owner = an_owner(storage)
        task = stored_task(storage, owner, reminders=at(NOW + MINUTE))
        late = NOW + 2 * DAY
        storage.tasks.save(task.edited(title="y", priority="high", now=late))
        assert fire(storage, owner, late) == 1
        assert fired(storage, owner) == [(task.id, NOW + MINUTE)]

    @pytest.mark.parametrize("due_date", ["2026-02-04", "2026-02-03T05:00:00Z"])
    def test_an_edit_of_something_else_does_not_fire_again(
        self, storage: Storage, due_date: str
    ) -> None:
        owner = an_owner(storage)
        reminders: Any = [{"minutes_before": 50}, *at(NOW + 4 * MINUTE)]
        task = stored_task(storage, owner, due_date=due_date, reminders=reminders)
        later = NOW + DAY
        assert fire(storage, owner, later) == 1
        before = fired(storage, owner)
        assert len(before) == 2
        storage.tasks.save(task.edited(title="y", now=later + SECOND))
        assert due(storage, owner, later + DAY) == []

    def test_a_change_of_the_reminders_fires_those_to_come(self, storage: Storage) -> None:
        owner = an_owner(storage)
        task = stored_task(storage, owner, reminders=at(NOW + MINUTE))
        fire(storage, owner, now := NOW + MINUTE + SECOND)
        # One that was fired, one that has passed for long, one just before the change, and a next.
        moments = [NOW + MINUTE, NOW - DAY, now - 30 * SECOND, NOW + 9 * MINUTE]
        storage.tasks.save(task.edited(reminders=at(*moments), now=now))
        assert fire(storage, owner, now) == 1
        assert [each for _, each in fired(storage, owner)] == [NOW + MINUTE, now - 30 * SECOND]
        assert due(storage, owner, NOW + 8 * MINUTE) == []
        assert next_moment(storage, owner) == NOW + 9 * MINUTE

    def test_a_new_due_date_moves_the_moment(self, storage: Storage) -> None:
        owner = an_owner(storage)
        task = stored_task(
            storage,
            owner,
            due_date=(NOW + 20 * MINUTE).isoformat(),
            reminders=[{"minutes_before": 15}],
        )
        assert next_moment(storage, owner) == NOW + 5 * MINUTE
        task = storage.tasks.save(
            task.edited(due_date=(NOW + 30 * MINUTE).isoformat(), now=NOW + SECOND)
        )
        assert next_moment(storage, owner) == NOW + 15 * MINUTE
        task = storage.tasks.save(task.edited(due_date=None, now=NOW + SECOND))
        assert next_moment(storage, owner) is None
        storage.tasks.save(task.edited(due_date=(NOW + 16 * MINUTE).isoformat(), now=NOW + SECOND))
        assert next_moment(storage, owner) == NOW + MINUTE

    def test_a_completed_task_does_not_remind_until_it_is_reopened(self, storage: Storage) -> None:
        owner = an_owner(storage)
        task = stored_task(storage, owner, reminders=at(NOW + 2 * MINUTE, NOW + 6 * MINUTE))
        task = storage.tasks.save(task.with_completion(True, now=NOW + MINUTE))
        assert next_moment(storage, owner) is None
        storage.tasks.save(task.with_completion(False, now=NOW + 5 * MINUTE))
        assert next_moment(storage, owner) == NOW + 6 * MINUTE

    def test_a_deleted_task_does_not_remind_until_it_is_restored(self, storage: Storage) -> None:
        owner = an_owner(storage)
        task = stored_task(storage, owner, reminders=at(NOW + 2 * MINUTE, NOW + 6 * MINUTE))
        storage.tasks.remove(task.id, owner_id=owner.id, expires_at=EXPIRES)
        assert next_moment(storage, owner) is None
        storage.tasks.restore(task.id, owner_id=owner.id, now=NOW + 5 * MINUTE, most=9)
        assert next_moment(storage, owner) == NOW + 6 * MINUTE
        storage.tasks.remove(task.id, owner_id=owner.id, expires_at=EXPIRES, permanently=True)
        assert next_moment(storage, owner) is None

    def test_a_move_to_another_zone_moves_what_counts_from_a_day(self, storage: Storage) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        reminders: Any = [{"minutes_before": 60}, *at(NOW + 2 * MINUTE)]
        for owner in (ada, bob):
            for number, due_date in enumerate(["2026-03-01", "2026-03-01T12:00:00Z", None], 1):
                sent = reminders if due_date else reminders[1:]
                stored_task(storage, owner, number, due_date=due_date, reminders=sent)
            stored_task(storage, owner, 4, due_date="2026-03-01", reminders=reminders)
            storage.tasks.remove(TaskId(4), owner_id=owner.id, expires_at=EXPIRES)
        before = self.moments(storage, bob)
        storage.tasks.move_due_days(ada.id, NIUE, now=NOW)
        start = datetime(2026, 3, 1, 11, tzinfo=UTC)
        absolute = NOW + 2 * MINUTE
        assert self.moments(storage, ada) == [
            [start - 60 * MINUTE, absolute],
            [datetime(2026, 3, 1, 11, tzinfo=UTC), absolute],
            [absolute],
            [start - 60 * MINUTE, absolute],
        ]
        assert self.moments(storage, bob) == before
        assert sorted(due(storage, ada, absolute)) == [1, 2, 3]
        fire(storage, ada, absolute)
        assert sorted(due(storage, ada, start - 60 * MINUTE)) == [1]
        assert sorted(due(storage, bob, absolute)) == [1, 2, 3]

    def moments(self, storage: Storage, owner: User) -> object:
        tasks = [storage.tasks.get(TaskId(number), owner_id=owner.id) for number in (1, 2, 3)]
        tasks.append(storage.tasks.get_in_trash(TaskId(4), owner_id=owner.id))
        return [[each.at for each in task.reminders] for task in tasks]

    def test_a_moment_that_has_passed_in_the_new_zone_is_not_fired(self, storage: Storage) -> None:
        owner = an_owner(storage)
        # On this day, Niue is 14 hours behind, and Kiritimati 14 hours ahead of UTC.
        stored_task(
            storage, owner, zone=NIUE, due_date="2026-02-04", reminders=[{"minutes_before": 0}]
        )
        storage.tasks.move_due_days(
            owner.id, TimeZone("Pacific/Kiritimati"), now=NOW + 7 * 60 * MINUTE
        )
        assert due(storage, owner, NOW + 9 * DAY) == []

    def test_a_task_that_was_loaded_before_a_move_keeps_the_new_moment(
        self, storage: Storage
    ) -> None:
        owner = an_owner(storage)
        stale = stored_task(
            storage, owner, due_date="2026-03-01", reminders=[{"minutes_before": 0}]
        )
        storage.tasks.move_due_days(owner.id, NIUE, now=NOW)
        storage.tasks.save(stale.edited(title="y", now=NOW + SECOND))
        [reminder] = storage.tasks.get(stale.id, owner_id=owner.id).reminders
        start = datetime(2026, 3, 1, 11, tzinfo=UTC)
        assert reminder.at == start
        assert due(storage, owner, start - SECOND) == []
        assert due(storage, owner, start) == [stale.id]


class TestFiring:
    def test_a_reminder_is_recorded_once_at_the_next_revision(self, storage: Storage) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        for owner in (ada, bob):
            stored_task(storage, owner, 1, reminders=at(NOW + MINUTE, NOW + 9 * MINUTE))
            stored_task(storage, owner, 2, reminders=at(NOW + MINUTE))
            stored_task(storage, owner, 3, reminders=at(NOW + 9 * MINUTE))
        tasks, of_bob = storage.tasks.counts(ada.id), storage.tasks.counts(bob.id)
        before = storage.tasks.get(TaskId(1), owner_id=ada.id)
        now = NOW + 2 * MINUTE
        assert fire(storage, ada, now) == 2
        assert fire(storage, ada, now) == 0
        assert storage.reminders.fired_after({ada.id: 3}) == [
            FiredReminder(ada.id, TaskId(number), NOW + MINUTE, 4) for number in (1, 2)
        ]
        assert storage.tasks.counts(ada.id) == replace(tasks, revision=4)
        assert storage.tasks.get(TaskId(1), owner_id=ada.id) == before
        assert storage.tasks.counts(bob.id) == of_bob
        assert fired(storage, bob) == []
        assert fire(storage, bob, now) == 2

    def test_moments_that_were_missed_are_all_fired(self, storage: Storage) -> None:
        owner = an_owner(storage)
        moments = [NOW + minutes * MINUTE for minutes in (5, 1, 3)]
        stored_task(storage, owner, reminders=at(*moments))
        assert fire(storage, owner, NOW + 4 * MINUTE) == 1
        assert [moment for _, moment in fired(storage, owner)] == [NOW + MINUTE, NOW + 3 * MINUTE]
        assert fire(storage, owner, NOW + DAY) == 1
        assert [moment for _, moment in fired(storage, owner)] == sorted(moments)

    def test_only_tasks_of_the_owner_are_fired(self, storage: Storage) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        stored_task(storage, ada, 1, reminders=at(NOW))
        assert storage.reminders.fire(bob.id, [TaskId(1)], now=NOW, with_emails=True) == 0
        assert fired(storage, ada) == fired(storage, bob) == []
        assert due(storage, ada, NOW) == [1]

    def test_tasks_that_are_not_due_are_left_alone(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, 1, reminders=at(NOW + MINUTE))
        ids = [TaskId(1), TaskId(2), TaskId(1)]
        assert storage.reminders.fire(owner.id, ids, now=NOW, with_emails=True) == 0
        assert storage.reminders.fire(owner.id, [], now=NOW, with_emails=True) == 0
        assert due(storage, owner, NOW + MINUTE) == [1]

    def test_the_tasks_that_have_waited_longest_are_found_first(self, storage: Storage) -> None:
        owners = [an_owner(storage) for _ in range(3)]
        for number, owner in enumerate(owners):
            stored_task(storage, owner, 1, reminders=at(NOW + (3 - number) * SECOND))
            stored_task(storage, owner, 2, reminders=at(NOW + (6 - number) * SECOND))
        found = storage.reminders.due(now=NOW + MINUTE, limit=4)
        assert found == {owners[2].id: [1, 2], owners[1].id: [1], owners[0].id: [1]}

    def test_what_was_fired_is_found_after_a_revision_of_each_owner(self, storage: Storage) -> None:
        ada, bob, eve = (an_owner(storage) for _ in range(3))
        for owner in (ada, bob, eve):
            stored_task(storage, owner, reminders=at(NOW, NOW + MINUTE))
            fire(storage, owner, NOW)
            fire(storage, owner, NOW + MINUTE)
        found = storage.reminders.fired_after({ada.id: 2, bob.id: 0, UserId(ada.id): 2})
        assert [(each.owner_id, each.remind_at, each.revision) for each in found] in (
            [(bob.id, NOW, 2), (ada.id, NOW + MINUTE, 3), (bob.id, NOW + MINUTE, 3)],
            [(bob.id, NOW, 2), (bob.id, NOW + MINUTE, 3), (ada.id, NOW + MINUTE, 3)],
        )
        assert storage.reminders.fired_after({}) == []
        assert storage.reminders.fired_after({ada.id: 3}) == []

    def test_old_ones_are_purged(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, 1, reminders=at(NOW, NOW + MINUTE, NOW + 2 * MINUTE))
        for minutes in range(3):
            fire(storage, owner, NOW + minutes * MINUTE)
        purge = storage.reminders.purge
        assert purge(fired_before=NOW + 2 * MINUTE, limit=1) == 1
        assert purge(fired_before=NOW + 2 * MINUTE, limit=9) == 1
        assert purge(fired_before=NOW + 2 * MINUTE, limit=9) == 0
        assert fired(storage, owner) == [(1, NOW + 2 * MINUTE)]

    @pytest.mark.parametrize("way", ["remove", "mark_deleted"])
    def test_nothing_is_left_of_a_deleted_account(self, storage: Storage, way: str) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        for owner in (ada, bob):
            stored_task(storage, owner, reminders=at(NOW, NOW + MINUTE))
            fire(storage, owner, NOW)
        if way == "remove":
            storage.users.remove(ada)
        else:
            storage.users.mark_deleted(ada, now=NOW)
        assert fired(storage, ada) == []
        assert [each.reminder.owner_id for each in claim(storage, NOW)] == [bob.id]


class TestEmails:
    def test_an_email_is_claimed_once_until_its_lease_ends(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW))
        fire(storage, owner, NOW + SECOND)
        [claimed] = claim(storage, NOW + SECOND)
        reminder = FiredReminder(owner.id, TaskId(1), NOW, 2)
        assert claimed == ClaimedEmail(reminder, NOW + SECOND, attempt=1)
        assert claim(storage, NOW + 30 * SECOND) == []
        [again] = claim(storage, NOW + 31 * SECOND)
        assert again == ClaimedEmail(reminder, NOW + SECOND, attempt=2)

    def test_a_settled_email_is_not_claimed(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW, NOW + SECOND))
        fire(storage, owner, NOW + SECOND)
        first, second = (each.reminder for each in claim(storage, NOW + SECOND))
        storage.reminders.settle_email(first)
        storage.reminders.put_off_email(first, until=NOW)
        assert [each.reminder for each in claim(storage, NOW + DAY)] == [second]
        assert len(fired(storage, owner)) == 2

    def test_an_email_that_was_put_off_is_claimed_at_that_time(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW))
        fire(storage, owner, NOW)
        [claimed] = claim(storage, NOW)
        storage.reminders.put_off_email(claimed.reminder, until=NOW + 5 * MINUTE)
        assert claim(storage, NOW + 5 * MINUTE - SECOND) == []
        [again] = claim(storage, NOW + 5 * MINUTE)
        assert again.attempt == 2

    def test_a_lease_of_a_clock_that_was_wrong_counts_as_expired(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW))
        fire(storage, owner, NOW + 60 * MINUTE)
        assert len(claim(storage, NOW + 60 * MINUTE)) == 1
        assert len(claim(storage, NOW + SECOND)) == 1
        assert claim(storage, NOW + SECOND) == []

    def test_without_emails_none_are_claimed(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW))
        fire(storage, owner, NOW, with_emails=False)
        assert len(fired(storage, owner)) == 1
        assert claim(storage, NOW + DAY) == []

    def test_those_that_have_waited_longest_are_claimed_first(self, storage: Storage) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW, NOW + SECOND, NOW + 2 * SECOND))
        for seconds in range(3):
            fire(storage, owner, NOW + seconds * SECOND)
        [first] = claim(storage, NOW + MINUTE, limit=1)
        rest = claim(storage, NOW + MINUTE, limit=9)
        assert first.reminder.remind_at == NOW
        assert {each.reminder.remind_at for each in rest} == {NOW + SECOND, NOW + 2 * SECOND}


class TestPlans:
    @pytest.mark.parametrize(
        ("statement", "index"),
        [
            (DUE, "ix_tasks_remind_at"),
            *((each, "ix_fired_reminders_email_due_at") for each in (*HAS_EMAIL, *CHOOSE_EMAILS)),
            (FIRED_AFTER, "ix_fired_reminders_owner_id_revision"),
            (CHOOSE_OLD, "ix_fired_reminders_fired_at"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_looked_for_periodically_is_found_by_an_index(
        self, container: Container, statement: Any, index: str
    ) -> None:
        storage = storage_of(container)
        owner = an_owner(storage)
        for number in range(1, 301):
            stored_task(storage, owner, number, reminders=at(NOW) if number < 9 else None)
        fire(storage, owner, NOW)
        if isinstance(statement, Mapping):
            statement = statement["array" if container.database().dialect.has_arrays else "json"]
        with container.database().engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            if container.database().engine.dialect.name == "postgresql":
                # There are too few rows for an index to be faster.
                connection.exec_driver_sql("SET enable_seqscan = off")
        assert index in explain_for_any_values(container, statement)


class TestManyProcesses:
    @pytest.fixture
    def storage(self, container: Container) -> Storage:
        return storage_of(container)

    def test_each_reminder_is_fired_and_claimed_once(self, storage: Storage) -> None:
        owners = [an_owner(storage) for _ in range(3)]
        for owner in owners:
            for number in range(1, 21):
                stored_task(storage, owner, number, reminders=at(NOW))
        claimed: list[ClaimedEmail] = []

        def work(_: int) -> None:
            for owner in owners:
                for first in range(1, 21, 5):
                    ids = [TaskId(number) for number in range(first, first + 5)]
                    storage.reminders.fire(owner.id, ids, now=NOW, with_emails=True)
            while found := claim(storage, NOW, limit=7):
                claimed.extend(found)

        assert at_once(4, work) == [None] * 4
        while found := claim(storage, NOW, limit=7):
            claimed.extend(found)
        everything = sorted(
            (owner.id, TaskId(number)) for owner in owners for number in range(1, 21)
        )
        found_tasks = sorted((each.reminder[:2]) for each in claimed)
        assert found_tasks == everything
        for owner in owners:
            assert len(fired(storage, owner)) == 20
            assert due(storage, owner, NOW) == []

    def test_a_task_that_is_being_changed_is_left_to_the_next_time(
        self, postgresql_container: Container
    ) -> None:
        storage = storage_of(postgresql_container)
        owner = an_owner(storage)
        task = stored_task(storage, owner, 1, reminders=at(NOW))
        stored_task(storage, owner, 2, reminders=at(NOW))
        with storage.unit_of_work() as work:
            work.tasks.lock([task.id], owner_id=owner.id)
            assert fire(storage, owner, NOW) == 1
            assert fired(storage, owner) == [(2, NOW)]
        assert fire(storage, owner, NOW) == 1

    def test_a_completion_by_an_older_release_is_noticed(
        self, container: Container, storage: Storage
    ) -> None:
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW, NOW + MINUTE))
        with container.database().engine.connect() as connection:
            connection.execute(TASKS.update().values(completed=True))
        assert fire(storage, owner, NOW) == 1
        assert fired(storage, owner) == []
        assert due(storage, owner, NOW + DAY) == []

    def test_nothing_is_recorded_for_an_account_that_is_gone(self, container: Container) -> None:
        storage = storage_of(container)
        owner = an_owner(storage)
        stored_task(storage, owner, reminders=at(NOW))
        storage.users.remove(owner)
        assert fire(storage, owner, NOW) == 0
        with container.database().engine.connect() as connection:
            assert connection.execute(FIRED_REMINDERS.select()).all() == []
