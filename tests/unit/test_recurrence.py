"""Recurrence rules: their grammar, and the occurrences that follow a due or completed task."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import islice

import pytest

from todo_core.entities.recurrence import RecurrenceRule, Successor
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE as ZONE_UTC
from todo_core.entities.time_zone import TimeZone
from todo_core.errors import ValidationFailed

BERLIN = TimeZone("Europe/Berlin")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def refused(raw: str) -> tuple[str, str, str]:
    with pytest.raises(ValidationFailed) as failure:
        RecurrenceRule.parse(raw)
    (error,) = failure.value.errors
    return error.field, error.code, error.message


def occurrences(
    rule: RecurrenceRule, start: date | datetime, zone: TimeZone = ZONE_UTC
) -> Iterator[str]:
    """Yield the start, and each occurrence after the one before, until the series ends."""
    successor: Successor | None = Successor(start, rule)
    while successor is not None:
        yield successor.start.isoformat()
        start = successor.start
        due = zone.moment(start) if isinstance(start, datetime) else zone.end_of(start)
        successor = successor.rule.next_after(start, due, zone)


def first(number: int, raw: str, start: str) -> list[str]:
    at = local(start) if "T" in start else date.fromisoformat(start)
    rule = RecurrenceRule.parse(raw).for_start(at)
    return list(islice(occurrences(rule, at), number))


class TestGrammar:
    @pytest.mark.parametrize(
        ("raw", "canonical"),
        [
            ("RRULE:freq=weekly;byday=mo", "FREQ=WEEKLY;BYDAY=MO"),
            (" FREQ=DAILY;INTERVAL=1 ", "FREQ=DAILY"),
            ("INTERVAL=02;FREQ=DAILY", "FREQ=DAILY;INTERVAL=2"),
            ("BYDAY=SU,MO,FR,MO;FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=MO,FR,SU"),
            ("FREQ=MONTHLY;BYDAY=+1MO,-1FR", "FREQ=MONTHLY;BYDAY=1MO,-1FR"),
            ("FREQ=MONTHLY;BYMONTHDAY=15,+1,-1", "FREQ=MONTHLY;BYMONTHDAY=-1,1,15"),
            (
                "FREQ=YEARLY;WKST=SU;COUNT=3;BYSETPOS=-1;BYDAY=53SU,MO;BYMONTH=12,1",
                "FREQ=YEARLY;BYMONTH=1,12;BYDAY=MO,53SU;BYSETPOS=-1;COUNT=3;WKST=SU",
            ),
            ("FREQ=DAILY;WKST=MO;UNTIL=20261231", "FREQ=DAILY;UNTIL=20261231"),
            ("FREQ=DAILY;UNTIL=20261231T235959Z", "FREQ=DAILY;UNTIL=20261231T235959Z"),
            ("FREQ=DAILY;INTERVAL=400;COUNT=1000", "FREQ=DAILY;INTERVAL=400;COUNT=1000"),
            ("daily", "FREQ=DAILY"),
            ("Weekly", "FREQ=WEEKLY"),
            (" MONTHLY ", "FREQ=MONTHLY;SKIP=BACKWARD"),
            ("yearly", "FREQ=YEARLY;SKIP=BACKWARD"),
            ("FREQ=MONTHLY;SKIP=OMIT", "FREQ=MONTHLY"),
        ],
    )
    def test_a_rule_is_written_in_its_canonical_form(self, raw: str, canonical: str) -> None:
        rule = RecurrenceRule.parse(raw)
        assert str(rule) == canonical
        assert RecurrenceRule.parse(canonical) == rule

    @pytest.mark.parametrize(
        ("raw", "code", "in_message"),
        [
            ("", "invalid", "Recurrence rule must be daily"),
            ("hourly", "invalid", "Recurrence rule must be daily"),
            ("wee\u212aly", "invalid", "Recurrence rule must be daily"),
            ("FREQ=DAILY;", "invalid", "Recurrence rule must be daily"),
            ("FREQ=DAILY\nFREQ=DAILY", "invalid", "Recurrence rule must be daily"),
            ("FREQ=DAILY\r\nEXDATE:20260101", "invalid", "Recurrence rule must be daily"),
            ("DTSTART:20260101\nRRULE:FREQ=DAILY", "invalid", "Recurrence rule must be daily"),
            ("RRULE:RRULE:FREQ=DAILY", "invalid", "Recurrence rule must be daily"),
            ("FREQ=DAILY;INTERVAL=\u0662", "invalid", "Recurrence rule must be daily"),
            ("FREQ=DA\u0131LY", "invalid", "Recurrence rule must be daily"),  # a capital of it is I
            ("FREQ=DAILY;BYDAY=" + "MO," * 70, "invalid", "at most 200 characters"),
            ("COUNT=3", "invalid", "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY."),
            ("FREQ=SECONDLY", "invalid", "FREQ must be one of"),
            ("FREQ=DAILY;FREQ=DAILY", "invalid", "FREQ must be given only once."),
            ("FREQ=DAILY;COUNT=1;COUNT=1", "invalid", "COUNT must be given only once."),
            ("FREQ=DAILY;INTERVAL=0", "invalid", "INTERVAL must be a number from 1 to 400."),
            ("FREQ=DAILY;INTERVAL=401", "invalid", "INTERVAL must be"),
            ("FREQ=DAILY;INTERVAL=-1", "invalid", "INTERVAL must be"),
            ("FREQ=DAILY;INTERVAL=+1", "invalid", "INTERVAL must be"),
            ("FREQ=DAILY;INTERVAL=1,2", "invalid", "INTERVAL must be"),
            ("FREQ=DAILY;COUNT=0", "invalid", "COUNT must be a number from 1 to 1000."),
            ("FREQ=DAILY;COUNT=1001", "invalid", "COUNT must be"),
            ("FREQ=DAILY;BYMONTH=0", "invalid", "BYMONTH must have numbers from 1 to 12."),
            ("FREQ=DAILY;BYMONTH=-1", "invalid", "BYMONTH must have"),
            ("FREQ=DAILY;BYMONTH=13", "invalid", "BYMONTH must have"),
            ("FREQ=DAILY;BYMONTH=1,,2", "invalid", "BYMONTH must have"),
            ("FREQ=MONTHLY;BYMONTHDAY=32", "invalid", "numbers from 1 to 31 or -1 to -31."),
            ("FREQ=MONTHLY;BYMONTHDAY=0", "invalid", "BYMONTHDAY must have"),
            ("FREQ=MONTHLY;BYMONTHDAY=-32", "invalid", "BYMONTHDAY must have"),
            ("FREQ=MONTHLY;BYDAY=0MO", "invalid", "BYDAY must have weekdays"),
            ("FREQ=MONTHLY;BYDAY=54MO", "invalid", "BYDAY must have weekdays"),
            ("FREQ=MONTHLY;BYDAY=MON", "invalid", "BYDAY must have weekdays"),
            ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "invalid", "BYSETPOS must have numbers"),
            ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=367", "invalid", "BYSETPOS must have numbers"),
            ("FREQ=WEEKLY;WKST=1MO", "invalid", "WKST must be one of MO"),
            ("FREQ=DAILY;UNTIL=20260230", "invalid", "UNTIL must be a date"),
            ("FREQ=DAILY;UNTIL=00000101", "invalid", "UNTIL must be a date"),
            ("FREQ=DAILY;UNTIL=20261231T235959", "invalid", "UNTIL must be a date"),
            ("FREQ=DAILY;UNTIL=20261231T235960Z", "invalid", "UNTIL must be a date"),
            ("FREQ=DAILY;UNTIL=20261231T240000Z", "invalid", "UNTIL must be a date"),
            ("FREQ=MONTHLY;SKIP=FORWARD", "invalid", "SKIP must be OMIT or BACKWARD."),
            ("FREQ=DAILY;BYHOUR=1", "unsupported", "BYHOUR is not supported. Use only FREQ,"),
            ("FREQ=YEARLY;BYWEEKNO=1", "unsupported", "BYWEEKNO is not supported."),
            ("FREQ=YEARLY;BYYEARDAY=1", "unsupported", "BYYEARDAY is not supported."),
            ("FREQ=YEARLY;X-PART=1", "unsupported", "X-PART is not supported."),
            ("FREQ=DAILY;COUNT=1;UNTIL=20261231", "unsupported", "both COUNT and UNTIL"),
            ("FREQ=WEEKLY;BYMONTHDAY=1", "unsupported", "BYMONTHDAY cannot be used"),
            ("FREQ=DAILY;INTERVAL=2;BYMONTHDAY=1", "unsupported", "needs INTERVAL=1"),
            ("FREQ=WEEKLY;BYDAY=1MO", "unsupported", "Ordinals in BYDAY need FREQ=MONTHLY"),
            ("FREQ=DAILY;BYDAY=-1MO", "unsupported", "Ordinals in BYDAY need FREQ=MONTHLY"),
            ("FREQ=WEEKLY;BYDAY=MO;BYSETPOS=1", "unsupported", "BYSETPOS and SKIP need"),
            ("FREQ=DAILY;SKIP=BACKWARD", "unsupported", "BYSETPOS and SKIP need"),
            ("FREQ=MONTHLY;BYSETPOS=1", "unsupported", "BYSETPOS needs another BY part."),
            ("FREQ=MONTHLY;BYDAY=MO;SKIP=BACKWARD", "unsupported", "SKIP cannot be used with BY"),
        ],
    )
    def test_any_other_text_is_refused(self, raw: str, code: str, in_message: str) -> None:
        field, actual, message = refused(raw)
        assert (field, actual) == ("recurrence_rule", f"{code}_recurrence_rule")
        assert in_message in message

    @pytest.mark.parametrize("raw", [None, "", "  ", "none", "None"])
    def test_no_rule_is_read_as_none(self, raw: str | None) -> None:
        assert RecurrenceRule.or_none(raw) is None
        assert RecurrenceRule.from_shorthand(raw) is None

    def test_a_rule_that_may_be_absent_is_parsed(self) -> None:
        assert RecurrenceRule.or_none("daily") == RecurrenceRule.parse("FREQ=DAILY")

    @pytest.mark.parametrize("name", ["daily", "weekly", "monthly", "yearly"])
    def test_a_rule_is_made_from_a_shorthand_and_an_interval(self, name: str) -> None:
        assert RecurrenceRule.from_shorthand(name.title()) == RecurrenceRule.parse(name)
        rule = RecurrenceRule.from_shorthand(name, 3)
        assert rule is not None
        assert str(rule).startswith(f"FREQ={name.upper()};INTERVAL=3")
        assert (rule.shorthand, rule.interval) == (name, 3)

    @pytest.mark.parametrize(
        ("name", "interval", "error"),
        [
            ("hourly", 1, ("recurrence_pattern", "unknown_recurrence_pattern")),
            ("FREQ=DAILY", 1, ("recurrence_pattern", "unknown_recurrence_pattern")),
            ("daily", 0, ("recurrence_interval", "invalid_recurrence_interval")),
            ("daily", 401, ("recurrence_interval", "invalid_recurrence_interval")),
        ],
    )
    def test_another_shorthand_or_interval_is_refused(
        self, name: str, interval: int, error: tuple[str, str]
    ) -> None:
        with pytest.raises(ValidationFailed) as failure:
            RecurrenceRule.from_shorthand(name, interval)
        assert [(each.field, each.code) for each in failure.value.errors] == [error]

    @pytest.mark.parametrize(
        "raw",
        [
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=MONTHLY;BYMONTH=2,4,6;BYMONTHDAY=31,-31",
            "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=MONTHLY;BYDAY=6MO",
            "FREQ=YEARLY;BYMONTH=3;BYDAY=-6MO",
            "FREQ=MONTHLY;BYMONTHDAY=1;BYDAY=2MO",
            "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
            "FREQ=MONTHLY;BYMONTHDAY=1,-1;BYSETPOS=3",
            "FREQ=YEARLY;BYDAY=MO;BYSETPOS=54,-54",
            "FREQ=YEARLY;BYMONTHDAY=-31;BYMONTH=4",
        ],
    )
    def test_a_rule_that_can_never_occur_is_refused(self, raw: str) -> None:
        assert refused(raw)[:2] == ("recurrence_rule", "never_recurs")

    @pytest.mark.parametrize(
        ("raw", "start"),
        [
            ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31", "2026-04-30"),
            ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=30", "2026-02-15"),
            ("FREQ=MONTHLY;INTERVAL=2;BYMONTH=2,4", "2026-01-15"),
            ("FREQ=MONTHLY;BYMONTH=2", "2026-01-30"),
            ("FREQ=YEARLY;BYMONTH=4", "2026-01-31"),
            ("FREQ=YEARLY;BYMONTH=4;BYSETPOS=2", "2026-01-15"),
            ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "2026-01-15"),
            ("FREQ=YEARLY;INTERVAL=400;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO", "2000-01-15"),
            ("FREQ=DAILY;INTERVAL=7;BYDAY=MO", "2026-12-01"),
            # The start is such a day, but none of 301, 602, … years later, up to year 9999.
            ("FREQ=YEARLY;INTERVAL=301;BYMONTH=2;BYMONTHDAY=29;BYDAY=TU", "2000-02-29"),
        ],
    )
    def test_a_rule_that_never_occurs_after_its_start_is_refused(
        self, raw: str, start: str
    ) -> None:
        rule = RecurrenceRule.parse(raw)
        with pytest.raises(ValidationFailed) as failure:
            rule.for_start(date.fromisoformat(start))
        assert [error.code for error in failure.value.errors] == ["never_recurs"]

    def test_a_series_may_start_on_the_last_day_of_the_calendar(self) -> None:
        rule = RecurrenceRule.parse("daily").for_start(date.max)
        assert rule.next_after(date.max, datetime(9999, 12, 30, tzinfo=UTC), ZONE_UTC) is not None
        assert rule.next_after(date.max, ZONE_UTC.end_of(date.max), ZONE_UTC) is None

    @pytest.mark.parametrize(
        ("zone", "start", "after"),
        [
            ("Pacific/Kiritimati", "9999-12-30T10:00", "9999-12-31T20:00Z"),  # it is year 10000
            ("America/New_York", "9999-12-30T21:00", "9999-12-31T03:00Z"),  # the next one is in it
        ],
    )
    def test_a_series_ends_with_the_calendar(self, zone: str, start: str, after: str) -> None:
        rule = RecurrenceRule.parse("daily")
        assert rule.next_after(local(start), moment(after), TimeZone(zone)) is None


class TestOccurrences:
    @pytest.mark.parametrize(
        ("raw", "expected"),
        [
            ("FREQ=DAILY;COUNT=3", ["2026-12-01", "2026-12-02", "2026-12-03"]),
            ("FREQ=WEEKLY;INTERVAL=2", ["2026-12-01", "2026-12-15", "2026-12-29"]),
            # 1 December is a Tuesday: it counts although the rule does not name its weekday.
            ("FREQ=WEEKLY;BYDAY=MO,FR;COUNT=3", ["2026-12-01", "2026-12-04", "2026-12-07"]),
            ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-12-01", "2026-12-25", "2027-01-29"]),
            ("FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR", ["2026-12-01", "2027-08-13", "2028-10-13"]),
            (
                "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
                ["2026-12-01", "2026-12-31", "2027-01-29"],
            ),
            ("FREQ=YEARLY;BYDAY=20MO", ["2026-12-01", "2027-05-17", "2028-05-15"]),
            (
                "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
                ["2026-12-01", "2030-11-05", "2034-11-07"],
            ),
            ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2026-12-01", "2028-02-29", "2032-02-29"]),
            ("FREQ=DAILY;BYMONTH=1", ["2026-12-01", "2027-01-01", "2027-01-02"]),
            ("FREQ=DAILY;INTERVAL=2;BYDAY=SA", ["2026-12-01", "2026-12-05", "2026-12-19"]),
            ("FREQ=DAILY;BYMONTHDAY=-1", ["2026-12-01", "2026-12-31", "2027-01-31"]),
            ("FREQ=MONTHLY;BYDAY=TU,-1FR", ["2026-12-01", "2026-12-08", "2026-12-15"]),
        ],
    )
    def test_the_occurrences_of_a_rule_follow_its_start(
        self, raw: str, expected: list[str]
    ) -> None:
        assert first(3, raw, "2026-12-01") == expected

    def test_week_start_decides_which_days_belong_to_a_week(self) -> None:
        # The two examples of RFC 5545 §3.8.5.3.
        raw = "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST="
        monday = ["1997-08-05", "1997-08-10", "1997-08-19", "1997-08-24"]
        sunday = ["1997-08-05", "1997-08-17", "1997-08-19", "1997-08-31"]
        assert first(5, f"{raw}MO", "1997-08-05") == monday
        assert first(5, f"{raw}SU", "1997-08-05") == sunday

    def test_a_time_stays_the_same_on_the_clock_over_daylight_saving(self) -> None:
        start = local("2026-03-27T02:30")
        rule = RecurrenceRule.parse("daily").for_start(start)
        assert list(islice(occurrences(rule, start, BERLIN), 4)) == [
            "2026-03-27T02:30:00",
            "2026-03-28T02:30:00",
            "2026-03-29T02:30:00",  # which the clocks skip
            "2026-03-30T02:30:00",
        ]

    def test_an_hour_that_occurs_twice_has_one_occurrence(self) -> None:
        rule = RecurrenceRule.parse("daily")
        start = local("2026-10-20T02:30")
        between = rule.next_after(start, moment("2026-10-25T01:15Z"), BERLIN)  # 2:15 again
        assert between == Successor(local("2026-10-26T02:30"), rule)
        before = rule.next_after(start, moment("2026-10-25T00:15Z"), BERLIN)
        assert before == Successor(local("2026-10-25T02:30"), rule)

    def test_an_hour_that_is_skipped_is_not_over_before_its_moment(self) -> None:
        rule = RecurrenceRule.parse("daily")
        start = local("2026-03-20T02:30")  # on 29 March that is 3:30, or 1:30 in UTC
        successor = rule.next_after(start, moment("2026-03-29T01:15Z"), BERLIN)
        assert successor == Successor(local("2026-03-29T02:30"), rule)

    def test_an_occurrence_on_a_day_that_is_skipped_is_kept(self) -> None:
        apia = TimeZone("Pacific/Apia")  # which had no 30 December 2011
        rule = RecurrenceRule.parse("FREQ=MONTHLY;BYMONTHDAY=30")
        successor = rule.next_after(local("2011-11-30T10:00"), moment("2011-12-30T15:00Z"), apia)
        assert successor == Successor(local("2011-12-30T10:00"), rule)

    def test_an_all_day_occurrence_is_not_over_before_the_end_of_its_day(self) -> None:
        rule = RecurrenceRule.parse("daily")
        start = date(2026, 12, 1)
        today = rule.next_after(start, moment("2026-12-05T22:59:59Z"), BERLIN)
        tomorrow = rule.next_after(start, moment("2026-12-05T23:00:00Z"), BERLIN)
        assert today == Successor(date(2026, 12, 5), rule)
        assert tomorrow == Successor(date(2026, 12, 6), rule)

    def test_a_start_that_lies_ahead_is_the_next_occurrence(self) -> None:
        rule = RecurrenceRule.parse("FREQ=DAILY;COUNT=2")
        start = local("2026-12-01T10:00")
        assert rule.next_after(start, moment("2026-11-01T00:00Z"), ZONE_UTC) == Successor(
            start, rule
        )

    def test_missed_occurrences_are_taken_from_the_count(self) -> None:
        rule = RecurrenceRule.parse("FREQ=DAILY;COUNT=5")
        start = local("2026-12-01T10:00")
        assert rule.next_after(start, moment("2026-12-03T12:00Z"), ZONE_UTC) == Successor(
            local("2026-12-04T10:00"), RecurrenceRule.parse("FREQ=DAILY;COUNT=2")
        )
        assert rule.next_after(start, moment("2026-12-05T09:59Z"), ZONE_UTC) == Successor(
            local("2026-12-05T10:00"), RecurrenceRule.parse("FREQ=DAILY;COUNT=1")
        )
        assert rule.next_after(start, moment("2026-12-05T10:00Z"), ZONE_UTC) is None

    @pytest.mark.parametrize(
        ("until", "last"),
        [
            ("20261024", "2026-10-24T02:30:00"),
            ("20261025T002959Z", "2026-10-24T02:30:00"),
            ("20261025T003000Z", "2026-10-25T02:30:00"),
            ("20261025T010000Z", "2026-10-25T02:30:00"),  # 2:00 again
            ("20261026T012959Z", "2026-10-25T02:30:00"),
            ("20261026T013000Z", "2026-10-26T02:30:00"),
        ],
    )
    def test_the_last_occurrence_is_not_after_the_end(self, until: str, last: str) -> None:
        rule = RecurrenceRule.parse(f"FREQ=DAILY;UNTIL={until}")
        assert list(occurrences(rule, local("2026-10-20T02:30"), BERLIN))[-1] == last

    @pytest.mark.parametrize(
        ("until", "last"),
        [
            ("20261224", "2026-12-24"),
            ("20261223T225959Z", "2026-12-23"),
            ("20261223T230000Z", "2026-12-24"),
        ],
    )
    def test_the_last_day_is_the_one_in_which_the_end_lies(self, until: str, last: str) -> None:
        rule = RecurrenceRule.parse(f"FREQ=DAILY;UNTIL={until}")
        assert list(occurrences(rule, date(2026, 12, 20), BERLIN))[-1] == last

    def test_the_start_counts_even_after_the_end(self) -> None:
        rule = RecurrenceRule.parse("FREQ=DAILY;UNTIL=20200101").for_start(date(2026, 12, 1))
        assert list(occurrences(rule, date(2026, 12, 1))) == ["2026-12-01"]


class TestShorthands:
    @pytest.mark.parametrize(
        ("start", "canonical", "expected"),
        [
            ("2027-01-28", "FREQ=MONTHLY", ["02-28", "03-28", "04-28"]),
            (
                "2027-01-29",
                "FREQ=MONTHLY;BYMONTHDAY=28,29;BYSETPOS=-1",
                ["02-28", "03-29", "04-29"],
            ),
            (
                "2028-01-30",
                "FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1",
                ["02-29", "03-30", "04-30"],
            ),
            (
                "2027-01-31",
                "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
                ["02-28", "03-31", "04-30"],
            ),
        ],
    )
    def test_monthly_falls_on_the_last_day_of_short_months(
        self, start: str, canonical: str, expected: list[str]
    ) -> None:
        assert (
            str(RecurrenceRule.parse("monthly").for_start(date.fromisoformat(start))) == canonical
        )
        found = first(4, "monthly", start)
        assert [day[5:] for day in found[1:]] == expected

    def test_monthly_falls_on_the_last_day_even_if_its_start_was_not_checked(self) -> None:
        start = date(2027, 1, 31)
        expected = ["2027-01-31", "2027-02-28", "2027-03-31"]
        assert list(islice(occurrences(RecurrenceRule.parse("monthly"), start), 3)) == expected

    def test_yearly_falls_on_28_february_unless_there_is_a_29th(self) -> None:
        assert first(5, "yearly", "2028-02-29") == [
            "2028-02-29",
            "2029-02-28",
            "2030-02-28",
            "2031-02-28",
            "2032-02-29",
        ]
        assert str(RecurrenceRule.parse("yearly").for_start(date(2027, 2, 28))) == "FREQ=YEARLY"

    @pytest.mark.parametrize(
        ("raw", "start", "second"),
        [
            ("FREQ=MONTHLY", "2027-01-31", "2027-03-31"),
            ("FREQ=YEARLY", "2028-02-29", "2032-02-29"),
        ],
    )
    def test_a_rule_that_is_spelled_out_skips_short_months(
        self, raw: str, start: str, second: str
    ) -> None:
        assert first(2, raw, start) == [start, second]

    def test_a_shorthand_with_an_interval_falls_on_the_last_day_of_short_months(self) -> None:
        rule = RecurrenceRule.from_shorthand("monthly", 3)
        assert rule is not None
        start = date(2026, 8, 31)
        found = list(islice(occurrences(rule.for_start(start), start), 4))
        assert found == ["2026-08-31", "2026-11-30", "2027-02-28", "2027-05-31"]

    @pytest.mark.parametrize(
        ("raw", "start", "moved", "expected"),
        [
            ("monthly", "2027-01-31", "2027-02-15", "FREQ=MONTHLY"),
            (
                "monthly",
                "2027-01-31",
                "2027-02-28",
                "FREQ=MONTHLY;BYMONTHDAY=28,29,30,31;BYSETPOS=-1",
            ),
            (
                "monthly",
                "2027-01-31",
                "2027-03-29",
                "FREQ=MONTHLY;BYMONTHDAY=28,29;BYSETPOS=-1",
            ),
            ("yearly", "2028-02-29", "2028-03-01", "FREQ=YEARLY"),
            (
                "FREQ=MONTHLY;BYMONTHDAY=-1",
                "2027-01-31",
                "2027-02-15",
                "FREQ=MONTHLY;BYMONTHDAY=-1",
            ),
            ("FREQ=MONTHLY", "2027-01-15", "2027-01-31", "FREQ=MONTHLY"),
        ],
    )
    def test_a_shorthand_follows_a_task_that_is_moved(
        self, raw: str, start: str, moved: str, expected: str
    ) -> None:
        rule = RecurrenceRule.parse(raw).for_start(date.fromisoformat(start))
        assert str(rule.for_moved_start(date.fromisoformat(moved))) == expected


class TestRepeatingFromCompletion:
    @pytest.mark.parametrize(
        ("raw", "completed", "expected"),
        [
            ("FREQ=DAILY;INTERVAL=3", "2026-12-30", "2027-01-02"),
            ("FREQ=WEEKLY;INTERVAL=2", "2026-12-30", "2027-01-13"),
            ("monthly", "2027-01-31", "2027-02-28"),
            ("FREQ=MONTHLY", "2027-01-31", "2027-02-28"),
            ("FREQ=MONTHLY;INTERVAL=13", "2027-01-31", "2028-02-29"),
            ("yearly", "2028-02-29", "2029-02-28"),
            ("FREQ=WEEKLY;BYDAY=MO,FR", "2026-12-04", "2026-12-07"),
            ("FREQ=MONTHLY;BYMONTHDAY=1", "2026-12-01", "2027-01-01"),
            ("FREQ=DAILY", "9999-12-31", None),
            ("FREQ=MONTHLY", "9999-12-01", None),
            ("FREQ=DAILY;UNTIL=20261231", "2026-12-30", "2026-12-31"),
            ("FREQ=DAILY;UNTIL=20261231", "2026-12-31", None),
            ("FREQ=DAILY;COUNT=1", "2026-12-31", None),
        ],
    )
    def test_the_next_occurrence_is_counted_from_the_completion(
        self, raw: str, completed: str, expected: str | None
    ) -> None:
        rule = RecurrenceRule.parse(raw).for_completion()
        successor = rule.next_from_completion(date.fromisoformat(completed), None, ZONE_UTC)
        assert (successor and successor.start.isoformat()) == expected

    def test_a_moment_after_the_calendar_is_no_occurrence(self) -> None:
        rule = RecurrenceRule.parse("daily")
        start = local("9999-12-30T21:00")
        zones = TimeZone("Asia/Tokyo"), TimeZone("America/New_York")
        found = [rule.next_from_completion(date(9999, 12, 30), start, zone) for zone in zones]
        assert found == [Successor(local("9999-12-31T21:00"), rule), None]

    def test_the_time_on_the_clock_and_the_rest_of_the_count_are_kept(self) -> None:
        rule = RecurrenceRule.parse("FREQ=DAILY;COUNT=3")
        successor = rule.next_from_completion(date(2026, 12, 5), local("2026-12-01T10:00"), BERLIN)
        assert successor == Successor(
            local("2026-12-06T10:00"), RecurrenceRule.parse("FREQ=DAILY;COUNT=2")
        )

    @pytest.mark.parametrize(
        "raw",
        ["FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "FREQ=MONTHLY;BYMONTH=2", "FREQ=YEARLY;BYMONTH=2"],
    )
    def test_a_rule_that_cannot_be_counted_from_any_day_is_refused(self, raw: str) -> None:
        with pytest.raises(ValidationFailed) as failure:
            RecurrenceRule.parse(raw).for_completion()
        assert [error.code for error in failure.value.errors] == ["unsupported_recurrence_rule"]

    def test_a_shorthand_remains_one(self) -> None:
        rule = RecurrenceRule.parse("monthly")
        assert rule.for_completion() == rule
        assert rule.for_start(date(2026, 12, 31)).without_start() == rule
        other = RecurrenceRule.parse("FREQ=MONTHLY;BYMONTHDAY=-1")
        assert other.without_start() == other
