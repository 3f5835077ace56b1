"""The values of tasks that have rules: priorities, due dates and tags, and time zones."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from todo_core.entities.due_date import DueDate, depends_on_zone
from todo_core.entities.priority import Priority
from todo_core.entities.tags import MAX_TAGS, Tags
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.errors import ValidationFailed

BERLIN = TimeZone("Europe/Berlin")
MICROSECOND = timedelta(microseconds=1)
ZONES = st.sampled_from(sorted(available_timezones() - {"Factory", "localtime", "posixrules"})).map(
    TimeZone
)
MOMENTS = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis takes naive ones
    datetime(9999, 12, 30),  # noqa: DTZ001
)
DAYS = st.dates(date(1970, 1, 1), date(9999, 12, 31))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def codes(failure: pytest.ExceptionInfo[ValidationFailed]) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in failure.value.errors]


class TestPriority:
    @pytest.mark.parametrize(
        ("raw", "priority"),
        [
            *((each.label, each) for each in Priority),
            ("HIGH", Priority.HIGH),
            (" Low ", Priority.LOW),
            ("critical", Priority.URGENT),
            ("Normal", Priority.MEDIUM),
            ("", Priority.MEDIUM),
            (None, Priority.MEDIUM),
        ],
    )
    def test_a_priority_is_parsed(self, raw: str | None, priority: Priority) -> None:
        assert Priority.parse(raw) is priority

    @pytest.mark.parametrize("raw", ["highest", "3", "hıgh", "_missing_", "__class__", "ﬁ"])
    def test_an_unknown_priority_is_refused(self, raw: str) -> None:
        with pytest.raises(ValidationFailed) as failure:
            Priority.parse(raw)
        assert codes(failure) == [("priority", "unknown_priority")]

    def test_priorities_are_ordered(self) -> None:
        labels = [each.label for each in sorted(Priority)]
        assert labels == ["none", "low", "medium", "high", "urgent"]


class TestDueDate:
    @pytest.mark.parametrize(
        ("raw", "at", "text"),
        [
            ("2026-12-01T16:00:00Z", "2026-12-01T16:00:00Z", "2026-12-01T16:00:00Z"),
            ("2026-12-01t16:00:00z", "2026-12-01T16:00:00Z", "2026-12-01T16:00:00Z"),
            (" 2026-12-01 16:00+01:30 ", "2026-12-01T14:30:00Z", "2026-12-01T14:30:00Z"),
            (
                "2026-12-01T16:00:00.5-00:00",
                "2026-12-01T16:00:00.5Z",
                "2026-12-01T16:00:00.500000Z",
            ),
            # Without an offset, it is a time in the zone of the owner.
            ("2026-12-01T16:00", "2026-12-01T15:00:00Z", "2026-12-01T15:00:00Z"),
            ("2026-07-01T16:00:00", "2026-07-01T14:00:00Z", "2026-07-01T14:00:00Z"),
            # On the clocks of Berlin, 2:30 occurs twice on this day, and never on the other.
            ("2026-10-25T02:30", "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
            ("2026-03-29T02:30", "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
        ],
    )
    def test_a_moment_is_parsed(self, raw: str, at: str, text: str) -> None:
        due_date = DueDate.parse(raw, BERLIN)
        assert due_date == DueDate(moment(at))
        assert due_date.at.tzinfo is UTC
        assert str(due_date) == text

    @pytest.mark.parametrize(
        ("day", "zone", "end"),
        [
            ("2026-12-01", "UTC", "2026-12-02T00:00:00Z"),
            ("2026-12-01", "Europe/Berlin", "2026-12-01T23:00:00Z"),
            ("2026-07-01", "Europe/Berlin", "2026-07-01T22:00:00Z"),
            ("2026-03-29", "Europe/Berlin", "2026-03-29T22:00:00Z"),  # a day of 23 hours
            ("2026-10-25", "Europe/Berlin", "2026-10-25T23:00:00Z"),  # and one of 25
            ("2026-12-01", "Pacific/Kiritimati", "2026-12-01T10:00:00Z"),
            ("2026-12-01", "Pacific/Niue", "2026-12-02T11:00:00Z"),
            # Clocks were set back from midnight to eleven, so that the last hour occurred twice.
            ("2018-02-17", "America/Sao_Paulo", "2018-02-18T03:00:00Z"),
            # This day began at one o'clock.
            ("2018-11-04", "America/Sao_Paulo", "2018-11-05T02:00:00Z"),
            ("2018-11-03", "America/Sao_Paulo", "2018-11-04T03:00:00Z"),
        ],
    )
    def test_a_day_ends_at_midnight_in_the_zone_of_the_owner(
        self, day: str, zone: str, end: str
    ) -> None:
        due_date = DueDate.parse(day, TimeZone(zone))
        assert due_date.day == date.fromisoformat(day)
        assert due_date.at == moment(end) - MICROSECOND
        assert str(due_date) == day

    @pytest.mark.parametrize(
        "raw",
        [
            "tomorrow",
            "2026-13-01",
            "2026-02-29",
            "2026-12-01T24:00:01Z",
            "2026-12-01T16:00:60Z",
            "2026-12-01T16Z",
            "2026-W49-2",
            "20261201",
            "2026-335",
            "2026-12-01T",
            "2026-12-01T16:00:00+25:00",
            "2026-12-01T16:00:00 Europe/Berlin",
            "٢٠٢٦-12-01",
            "1969-12-31",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "10000-01-01",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+23:00",
            "2026-12-01" * 1000,
            "\x00",
        ],
    )
    def test_what_is_not_a_date_is_refused(self, raw: str) -> None:
        with pytest.raises(ValidationFailed) as failure:
            DueDate.parse(raw, BERLIN)
        assert codes(failure) == [("due_date", "invalid_due_date")]

    @pytest.mark.parametrize("raw", [None, "", "  "])
    def test_nothing_means_no_due_date(self, raw: str | None) -> None:
        assert DueDate.or_none(raw, BERLIN) is None
        assert not depends_on_zone(raw)

    @given(day=DAYS, zone=ZONES)
    def test_every_day_ends_before_the_next_one_in_every_zone(
        self, day: date, zone: TimeZone
    ) -> None:
        due_date = DueDate.parse(day.isoformat(), zone)
        assert str(due_date) == day.isoformat()
        assume(date(1970, 1, 3) < day < date(9999, 12, 30))
        local = due_date.at.astimezone(ZoneInfo(zone))
        after = (due_date.at + MICROSECOND).astimezone(ZoneInfo(zone))
        assert local.date() <= day < after.date() or zone.start_of(day) > due_date.at
        assert zone.start_of(day + timedelta(days=1)) >= due_date.at

    @given(at=MOMENTS, zone=ZONES)
    def test_a_time_reads_the_same_in_every_zone_if_it_has_an_offset(
        self, at: datetime, zone: TimeZone
    ) -> None:
        raw = at.isoformat() + "Z"
        assert not depends_on_zone(raw)
        due_date = DueDate.parse(raw, zone)
        assert due_date == DueDate(at.replace(tzinfo=UTC))
        assert DueDate.parse(str(due_date), DEFAULT_TIME_ZONE) == due_date

    @given(day=DAYS, first=ZONES, second=ZONES)
    def test_an_owner_who_moves_keeps_the_day(
        self, day: date, first: TimeZone, second: TimeZone
    ) -> None:
        assert depends_on_zone(day.isoformat())
        moved = DueDate.parse(day.isoformat(), first).in_zone(second)
        assert moved == DueDate.parse(day.isoformat(), second)

    def test_an_owner_who_moves_keeps_the_moment(self) -> None:
        due_date = DueDate.parse("2026-12-01T16:00", BERLIN)
        assert due_date.in_zone(TimeZone("Asia/Tokyo")) is due_date


class TestTags:
    def test_tags_are_trimmed_and_unique_whatever_their_case(self) -> None:
        raw = [" Home ", "shop", "HOME", "Straße", "STRASSE", "cafe\u0301", "Café"]
        tags = Tags.parse(raw)
        assert tags.keys == ["home", "shop", "strasse", "café"]
        assert [*tags] == ["Home", "shop", "Straße", "caf\u00e9"]

    @pytest.mark.parametrize("raw", [None, []])
    def test_there_may_be_no_tags(self, raw: list[str] | None) -> None:
        assert Tags.parse(raw) == ()

    def test_each_tag_that_breaks_a_rule_is_named(self) -> None:
        with pytest.raises(ValidationFailed) as failure:
            Tags.parse(["home", " ", "a\nb", "x" * 51, "x" * 50, "\ud800"])
        assert codes(failure) == [
            ("tags/1", "too_short"),
            ("tags/2", "invalid_characters"),
            ("tags/3", "too_long"),
            ("tags/5", "invalid_characters"),
        ]

    def test_a_task_has_a_limited_number_of_different_tags(self) -> None:
        names = [f"tag {number}" for number in range(MAX_TAGS)]
        assert len(Tags.parse([*names, *map(str.upper, names)])) == MAX_TAGS
        with pytest.raises(ValidationFailed) as failure:
            Tags.parse([*names, "one more"])
        assert codes(failure) == [("tags", "too_long")]

    @given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=60)))
    def test_tags_that_are_accepted_are_accepted_again(self, raw: list[str]) -> None:
        try:
            tags = Tags.parse(raw)
        except ValidationFailed:
            assume(False)
        assert Tags.parse(tags) == tags == Tags.stored(tags)
        assert len(set(tags.keys)) == len(tags) <= MAX_TAGS


class TestTimeZone:
    @pytest.mark.parametrize(
        "name", ["UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "EST5EDT"]
    )
    def test_a_name_from_the_database_is_accepted(self, name: str) -> None:
        assert TimeZone(f" {name} ") == name

    @pytest.mark.parametrize(
        "name",
        [
            "europe/berlin",
            "Europe/Atlantis",
            "Europe",
            "+01:00",
            "CEST",
            "../UTC",
            "/usr/share/zoneinfo/UTC",
            "posix/UTC",
            "localtime",
        ],
    )
    def test_another_name_is_refused(self, name: str) -> None:
        with pytest.raises(ValidationFailed) as failure:
            TimeZone(name)
        assert codes(failure) == [("time_zone", "unknown_time_zone")]

    def test_the_time_on_the_clocks_of_a_zone_is_told(self) -> None:
        twice = [BERLIN.local(moment(f"2026-10-25T0{hour}:30Z")) for hour in (0, 1)]
        assert twice == [datetime(2026, 10, 25, 2, 30)] * 2  # noqa: DTZ001 - a time on the clock
        assert [local.fold for local in twice] == [0, 0]
