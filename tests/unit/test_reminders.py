"""The reminders of tasks: their rules, and when they are due."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Unpack
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from todo_core.entities.due_date import DueDate
from todo_core.entities.fired_reminder import FiredReminder
from todo_core.entities.reminders import (
    GRACE,
    MAX_MINUTES_BEFORE,
    NO_REMINDERS,
    Reminder,
    Reminders,
    need_zone,
)
from todo_core.entities.task import NewTaskFields, Task, TaskId
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import ValidationFailed

BERLIN, NEW_YORK = TimeZone("Europe/Berlin"), TimeZone("America/New_York")
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
OWNER = UserId(UUID(int=7))
MINUTE = timedelta(minutes=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def codes(failure: pytest.ExceptionInfo[ValidationFailed]) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in failure.value.errors]


def a_task(zone: TimeZone = BERLIN, **fields: Unpack[NewTaskFields]) -> Task:
    return Task.create(id=TaskId(1), owner_id=OWNER, now=NOW, zone=zone, **fields)


def moments(task: Task) -> list[str | None]:
    return [
        None if each.at is None else each.at.isoformat().replace("+00:00", "Z")
        for each in task.reminders
    ]


class TestParsing:
    def test_reminders_are_at_a_time_or_some_minutes_before(self) -> None:
        reminders = Reminders.parse(
            [
                {"remind_at": "2026-12-01T16:00:00+01:00"},
                {"minutes_before": 15},
                {"remind_at": "2026-12-01T16:00"},
                {"minutes_before": 0, "remind_at": "anything"},
                {"minutes_before": None, "remind_at": "2026-12-01T16:00:00.123456Z"},
            ],
            NEW_YORK,
        )
        assert reminders == (
            Reminder(moment("2026-12-01T15:00:00Z")),
            Reminder(None, 15),
            Reminder(moment("2026-12-01T21:00:00Z")),
            Reminder(None, 0),
            Reminder(moment("2026-12-01T16:00:00.123456Z")),
        )

    @pytest.mark.parametrize("raw", [None, [], "", "  "])
    def test_nothing_means_no_reminders(self, raw: Any) -> None:
        assert Reminders.parse(raw, BERLIN) == NO_REMINDERS

    def test_a_text_is_the_time_of_the_only_reminder(self) -> None:
        assert Reminders.parse(" 2026-12-01T16:00 ", BERLIN) == (
            Reminder(moment("2026-12-01T15:00:00Z")),
        )
        with pytest.raises(ValidationFailed) as failure:
            Reminders.parse("tomorrow", BERLIN)
        assert codes(failure) == [("remind_at", "invalid_time")]

    def test_of_several_that_are_the_same_the_first_is_kept(self) -> None:
        times = [{"remind_at": f"2026-12-01T{15 + hour}:00+0{hour}:00"} for hour in range(5)]
        raw: Any = [{"minutes_before": 5}, *times, {"minutes_before": 5}, {"minutes_before": 6}]
        assert Reminders.parse(raw, BERLIN) == (
            Reminder(None, 5),
            Reminder(moment("2026-12-01T15:00:00Z")),
            Reminder(None, 6),
        )

    def test_a_task_has_at_most_five_reminders(self) -> None:
        five: Any = [{"minutes_before": minutes} for minutes in range(5)]
        assert len(Reminders.parse(five, BERLIN)) == 5
        with pytest.raises(ValidationFailed) as failure:
            Reminders.parse([*five, {"minutes_before": 5}], BERLIN)
        assert codes(failure) == [("reminders", "too_long")]

    @pytest.mark.parametrize(
        ("fields", "field", "code"),
        [
            ({}, "reminders/1", "required"),
            ({"remind_at": None, "minutes_before": None}, "reminders/1", "required"),
            ({"remind_at": " "}, "reminders/1", "required"),
            ({"remind_at": "soon"}, "reminders/1/remind_at", "invalid_time"),
            ({"remind_at": "2026-12-01"}, "reminders/1/remind_at", "invalid_time"),
            ({"remind_at": "1969-12-31T23:59:59Z"}, "reminders/1/remind_at", "invalid_time"),
            ({"remind_at": "10000-01-01T00:00:00Z"}, "reminders/1/remind_at", "invalid_time"),
            ({"remind_at": "2026-02-30T00:00:00Z"}, "reminders/1/remind_at", "invalid_time"),
            ({"minutes_before": -1}, "reminders/1/minutes_before", "out_of_range"),
            ({"minutes_before": 40_321}, "reminders/1/minutes_before", "out_of_range"),
            ({"minutes_before": 10**30}, "reminders/1/minutes_before", "out_of_range"),
        ],
        ids=str,
    )
    def test_a_reminder_that_breaks_a_rule_is_named(
        self, fields: Any, field: str, code: str
    ) -> None:
        with pytest.raises(ValidationFailed) as failure:
            Reminders.parse([{"minutes_before": 1}, fields], BERLIN)
        assert codes(failure) == [(field, code)]

    def test_every_reminder_that_breaks_a_rule_is_named(self) -> None:
        with pytest.raises(ValidationFailed) as failure:
            Reminders.parse([{}, {"minutes_before": -1}], BERLIN)
        assert codes(failure) == [
            ("reminders/0", "required"),
            ("reminders/1/minutes_before", "out_of_range"),
        ]

    @pytest.mark.parametrize(
        ("raw", "depends"),
        [
            (None, False),
            ([{"minutes_before": 5}, {"remind_at": "2026-12-01T16:00Z"}], False),
            ([{"minutes_before": 5}, {"remind_at": "2026-12-01T16:00"}], True),
            ("2026-12-01T16:00", True),
            ("2026-12-01T16:00+01:00", False),
        ],
        ids=str,
    )
    def test_a_local_time_needs_the_zone(self, raw: Any, depends: bool) -> None:
        assert need_zone(raw) is depends


class TestMoments:
    def test_a_reminder_before_a_moment_counts_from_it(self) -> None:
        task = a_task(
            title="x", due_date="2026-12-01T16:00:00Z", reminders=[{"minutes_before": 15}]
        )
        assert moments(task) == ["2026-12-01T15:45:00Z"]

    @pytest.mark.parametrize(
        ("zone", "day", "minutes", "expected"),
        [
            (BERLIN, "2026-12-01", 0, "2026-11-30T23:00:00Z"),
            (BERLIN, "2026-07-01", 60, "2026-06-30T21:00:00Z"),
            (NEW_YORK, "2026-12-01", 0, "2026-12-01T05:00:00Z"),
            # On these days, the clocks of the zone skip midnight, or show it twice.
            (TimeZone("America/Santiago"), "2026-09-06", 0, "2026-09-06T04:00:00Z"),
            (TimeZone("Africa/Cairo"), "2026-10-30", 0, "2026-10-29T22:00:00Z"),
            (TimeZone("America/Havana"), "2026-11-01", 0, "2026-11-01T04:00:00Z"),
            (BERLIN, "1970-01-01", MAX_MINUTES_BEFORE, "1969-12-03T23:00:00Z"),
        ],
        ids=str,
    )
    def test_a_reminder_before_a_day_counts_from_its_start(
        self, zone: TimeZone, day: str, minutes: int, expected: str
    ) -> None:
        task = a_task(zone, title="x", due_date=day, reminders=[{"minutes_before": minutes}])
        assert moments(task) == [expected]

    def test_a_reminder_moves_with_the_due_date_and_sleeps_without_one(self) -> None:
        task = a_task(
            title="x",
            due_date="2026-12-01",
            reminders=[{"minutes_before": 60}, {"remind_at": "2026-11-20T08:00:00Z"}],
        )
        later = task.edited(due_date="2026-12-03T10:00", now=NOW, zone=BERLIN)
        assert moments(later) == ["2026-12-03T08:00:00Z", "2026-11-20T08:00:00Z"]
        asleep = later.edited(due_date=None, now=NOW)
        assert moments(asleep) == [None, "2026-11-20T08:00:00Z"]
        assert asleep.reminders.next_after(moment("2026-11-20T08:00:00Z")) is None
        awake = asleep.edited(due_date="2026-12-02", now=NOW, zone=NEW_YORK)
        assert moments(awake) == ["2026-12-02T04:00:00Z", "2026-11-20T08:00:00Z"]

    def test_a_new_reminder_before_no_due_date_is_refused(self) -> None:
        raw: Any = [{"remind_at": "2026-11-20T08:00:00Z"}, {"minutes_before": 60}]
        with pytest.raises(ValidationFailed) as failure:
            a_task(title="x", reminders=raw)
        assert codes(failure) == [("reminders/1/minutes_before", "needs_due_date")]
        task = a_task(title="x", due_date="2026-12-01")
        with pytest.raises(ValidationFailed):
            task.edited(now=NOW, due_date=None, reminders=raw)
        with pytest.raises(ValidationFailed):
            a_task(title="x").edited(now=NOW, reminders=raw)

    def test_a_reminder_that_sleeps_can_be_sent_back(self) -> None:
        raw: Any = [{"minutes_before": 60}]
        task = a_task(title="x", due_date="2026-12-01", reminders=raw)
        asleep = task.edited(now=NOW, due_date=None, reminders=raw)
        assert moments(asleep) == [None]
        returned: Any = [{"minutes_before": 60, "remind_at": None}]
        assert asleep.edited(now=NOW + MINUTE, reminders=returned) is asleep
        with pytest.raises(ValidationFailed):
            asleep.edited(now=NOW, reminders=[*returned, {"minutes_before": 61}])

    @pytest.mark.parametrize("due_date", ["2026-12-01", "2026-12-01T16:00:00Z"])
    def test_what_was_returned_can_be_sent_back_without_a_change(self, due_date: str) -> None:
        task = a_task(
            title="x",
            due_date=due_date,
            reminders=[{"minutes_before": 60}, {"remind_at": "2026-11-20T08:00:00.5Z"}],
        )
        returned: Any = [
            {"remind_at": each.at and each.at.isoformat()}
            | ({} if each.minutes_before is None else {"minutes_before": each.minutes_before})
            for each in task.reminders
        ]
        again = task.edited(now=NOW + MINUTE, zone=BERLIN, due_date=due_date, reminders=returned)
        assert again is task

    @given(
        st.lists(
            st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - as hypothesis takes them
            max_size=5,
        ),
        st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001
    )
    def test_the_due_moments_and_the_next_one_leave_none_out(
        self, times: Sequence[datetime], now: datetime
    ) -> None:
        reminders = Reminders(map(Reminder, times))
        due = reminders.due(datetime(2026, 1, 1, tzinfo=UTC), now)
        later = sorted({time for time in times if time > now})
        assert due == sorted({time for time in times if time <= now})
        assert reminders.next_after(now) == (later[0] if later else None)


class TestTasks:
    @pytest.mark.parametrize(
        ("at", "fires"),
        [
            (NOW + MINUTE, True),
            (NOW, True),
            (NOW - GRACE + MINUTE / 60, True),
            (NOW - GRACE, False),
            (NOW - timedelta(days=1), False),
        ],
    )
    def test_a_task_reminds_from_just_before_its_change_on(self, at: datetime, fires: bool) -> None:
        task = a_task(title="x", reminders=at.isoformat())
        assert task.remind_at == (at if fires else None)
        assert task.with_completion(True, now=NOW).remind_at is None

    def test_the_next_task_of_a_series_has_the_relative_reminders(self) -> None:
        task = a_task(
            title="x",
            due_date="2026-11-02",
            recurrence_rule="daily",
            reminders=[{"minutes_before": 60}, {"remind_at": "2026-11-20T08:00:00Z"}],
        )
        following = task.successor(TaskId(2), now=NOW, zone=BERLIN)
        assert following is not None
        assert following.due_date == DueDate(BERLIN.end_of(date(2026, 11, 3)), date(2026, 11, 3))
        assert moments(following) == ["2026-11-02T22:00:00Z"]

    @pytest.mark.parametrize(
        ("due_date", "fields", "needs"),
        [
            ("2026-12-01", {"title": "y"}, False),
            ("2026-12-01", {"completed": True}, True),
            ("2026-12-01", {"reminders": [{"minutes_before": 5}]}, True),
            ("2026-12-01", {"reminders": []}, False),
            ("2026-12-01", {"due_date": "2026-12-02"}, True),
            ("2026-12-01T16:00:00Z", {"completed": True}, False),
            ("2026-12-01T16:00:00Z", {"reminders": [{"minutes_before": 5}]}, False),
            ("2026-12-01T16:00:00Z", {"reminders": "2026-12-01T16:00"}, True),
            ("2026-12-01T16:00:00Z", {"due_date": "2026-12-02"}, True),
        ],
        ids=str,
    )
    def test_changes_that_depend_on_the_zone_are_known(
        self, due_date: str, fields: Any, needs: bool
    ) -> None:
        task = a_task(title="x", due_date=due_date, reminders=[{"minutes_before": 60}])
        assert task.needs_unit(fields) is needs


def test_the_id_of_a_reminder_is_that_of_its_task_and_moment() -> None:
    fired = FiredReminder(OWNER, TaskId(1), NOW, 5)
    assert fired.id == fired._replace(revision=9).id
    others = [
        fired._replace(owner_id=UserId(UUID(int=8))),
        fired._replace(task_id=TaskId(2)),
        fired._replace(remind_at=NOW + timedelta(microseconds=1)),
    ]
    assert len({fired.id, *(each.id for each in others)}) == 4
    assert fired.id.version == 5
