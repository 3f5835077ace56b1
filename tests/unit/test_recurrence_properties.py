"""What holds for all recurrence rules: they recur as dateutil's do, and cost little."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

import pytest
from dateutil.rrule import rrule, rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.proof import note
from todo_core.entities.gregorian_calendar import Periods
from todo_core.entities.recurrence import RecurrenceRule, Successor
from todo_core.entities.recurrence_days import _days_by_kind
from todo_core.entities.recurrence_grammar import MAX_LENGTH
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE as ZONE_UTC
from todo_core.errors import ValidationFailed

DAYS_PER_PERIOD = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}
FREQUENCIES = list(DAYS_PER_PERIOD)
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
INTERVALS = [1, 1, 1, 2, 3, 4, 7, 11, 12, 14, 28, 52, 100, 313, 399, 400]
LAST_DAY = date.max
ENOUGH_YEARS = 100


@dataclass(frozen=True)
class Case:
    """A rule without its end, its end, a start, and a time after which the next one is wanted."""

    days: str
    count: int | None
    until: datetime | None
    start: datetime
    after: datetime

    @property
    def text(self) -> str:
        count = f";COUNT={self.count}" if self.count else ""
        until = f";UNTIL={self.until:%Y%m%dT%H%M%SZ}" if self.until else ""
        return f"{self.days}{count}{until}"

    def next(self, rule: RecurrenceRule) -> Successor | None:
        return rule.next_after(self.start, self.after.replace(tzinfo=UTC), ZONE_UTC)


@dataclass(frozen=True)
class Cases:
    """Random cases with a frequency. Lists have at most so many values; dates lie anywhere."""

    frequency: str
    random: Random
    longest_list: int = 5
    most_periods: int = 40

    def __iter__(self) -> Iterator[Case]:
        while True:
            interval = self.random.choice(INTERVALS)
            days = self._days(interval)
            start = self._start()
            span = self.most_periods * DAYS_PER_PERIOD[self.frequency] * interval
            end = self.random.choice(["", "COUNT", "UNTIL"])
            yield Case(
                days=days,
                count=self.random.choice([self.random.randint(1, 9), 1000])
                if end == "COUNT"
                else None,
                until=self._after(start, span) if end == "UNTIL" else None,
                start=start,
                after=self._after(start, span),
            )

    def _days(self, interval: int) -> str:
        in_months = self.frequency in ("MONTHLY", "YEARLY")
        parts = [f"FREQ={self.frequency};INTERVAL={interval}"]
        if self._sometimes():
            parts.append(f"BYMONTH={self._numbers(12, signed=False)}")
        ordinals = 53 if self.frequency == "YEARLY" and len(parts) == 1 else 5
        if self._sometimes() and (in_months or (self.frequency == "DAILY" and interval == 1)):
            parts.append(f"BYMONTHDAY={self._numbers(31)}")
        if self._sometimes():
            # Not mixed: dateutil takes BYDAY=MO,1FR for the Mondays that are a first Friday.
            ordinal = in_months and self._sometimes()
            parts.append(f"BYDAY={self._weekdays(ordinals if ordinal else 0)}")
        if in_months and len(parts) > 1 and self._sometimes():
            highest = self.random.choice([2, 5] if self.frequency == "MONTHLY" else [5, 366])
            parts.append(f"BYSETPOS={self._numbers(highest)}")
        if self._sometimes():
            parts.append(f"WKST={self.random.choice(WEEKDAYS)}")
        return ";".join(parts)

    def _sometimes(self) -> bool:
        return self.random.random() < 0.4

    def _numbers(self, highest: int, *, signed: bool = True) -> str:
        signs = [1, -1] if signed else [1]
        numbers = [
            self.random.choice(signs) * self.random.randint(1, highest) for _ in self._list()
        ]
        return ",".join(map(str, numbers))

    def _weekdays(self, highest_ordinal: int) -> str:
        days = [self.random.choice(WEEKDAYS) for _ in self._list()]
        if highest_ordinal:
            days = [self._numbers(highest_ordinal).split(",")[0] + day for day in days]
        return ",".join(days)

    def _list(self) -> range:
        return range(self.random.randint(1, self.longest_list))

    def _start(self) -> datetime:
        days = (LAST_DAY - date(1970, 1, 1)).days
        day = date(1970, 1, 1) + timedelta(self.random.randint(0, days))
        return datetime(day.year, day.month, day.day, self.random.randint(0, 23))  # noqa: DTZ001

    def _after(self, start: datetime, days: int) -> datetime:
        most = min(timedelta(days), datetime.max - start)  # noqa: DTZ901
        return start + timedelta(hours=self.random.randint(0, most // timedelta(hours=1)))


def seeded(name: str) -> Random:
    return Random(name)  # noqa: S311 - not for secrets


def accepted(case: Case) -> RecurrenceRule | None:
    """Return the rule, or None if it never recurs."""
    try:
        return RecurrenceRule.parse(case.text).for_start(case.start)
    except ValidationFailed as failure:
        if [error.code for error in failure.errors] != ["never_recurs"]:
            raise
        return None


def by_dateutil(days: str, start: datetime) -> rrule:
    found = rrulestr(days, dtstart=start)
    assert isinstance(found, rrule)
    return found


def assert_never_recurs(case: Case) -> None:
    """Ask dateutil in a late year with the same calendar, as it searches up to year 9999."""
    year = 9600 + case.start.year % 400
    late = case.start.replace(year=year if year + ENOUGH_YEARS < LAST_DAY.year else year - 400)
    assert [each for each in by_dateutil(case.days, late) if each > late] == []


def assert_as_dateutil(case: Case) -> None:
    rule = accepted(case)
    if rule is None:
        assert_never_recurs(case)
        return
    # For dateutil, a start counts only if it is one of the days of the rule.
    found = (each for each in by_dateutil(case.days, case.start) if each > case.start)
    passed, following = 1, None
    for each in found:
        if each > case.after:
            following = each
            break
        passed += 1
    if case.count is not None and passed >= case.count:
        following = None
    if case.until is not None and following is not None and following > case.until:
        following = None
    count = None if case.count is None else case.count - passed
    expected = None if following is None else Successor(following, replace(rule, count=count))
    assert case.next(rule) == expected


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("number", [100, pytest.param(25_000, id="proof", marks=pytest.mark.proof)])
def test_the_next_occurrence_is_the_one_that_dateutil_finds(frequency: str, number: int) -> None:
    for case in islice(Cases(frequency, seeded(frequency)), number):
        assert_as_dateutil(case)
    note("rules", f"{frequency}, compared with python-dateutil", tried=number)


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_a_series_goes_on_as_before_with_its_successor(frequency: str) -> None:
    for case in islice(Cases(frequency, seeded("successors")), 500):
        rule = accepted(case)
        successor = rule and case.next(rule)
        if rule and successor and isinstance(successor.start, datetime):
            rest = min(successor.start - case.start, datetime.max - successor.start)  # noqa: DTZ901
            later = replace(case, after=successor.start + rest)
            from_successor = replace(later, start=successor.start).next(successor.rule)
            assert from_successor == later.next(rule), case


@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_a_rule_is_read_again_from_its_canonical_text(frequency: str) -> None:
    for case in islice(Cases(frequency, seeded("text")), 500):
        if rule := accepted(case):
            assert RecurrenceRule.parse(str(rule)) == rule
            assert len(str(rule)) <= MAX_LENGTH


@pytest.mark.parametrize("frequency", ["MONTHLY", "YEARLY"])
@pytest.mark.parametrize("part", ["", "BYMONTH=3,10;", "BYMONTHDAY=1,8,-1;"])
def test_weekdays_with_and_without_ordinals_are_added_up(frequency: str, part: str) -> None:
    days = [set(_first_days(f"FREQ={frequency};{part}BYDAY={day}")) for day in ("TU", "-1FR")]
    both = _first_days(f"FREQ={frequency};{part}BYDAY=TU,-1FR")
    expected = sorted(days[0] | days[1])[: len(both)]
    assert both == expected


def _first_days(text: str) -> list[date]:
    start = date(2026, 12, 1)
    days = RecurrenceRule.parse(text).days.starting(start)
    found: list[date] = []
    day = days.first_from(start.toordinal())
    while day is not None and len(found) < 60:
        found.append(date.fromordinal(day))
        day = days.first_from(day + 1)
    return found


PIECES = st.sampled_from(
    [
        *("FREQ=", "DAILY", "WEEKLY", "MONTHLY", "YEARLY", "INTERVAL=", "COUNT=", "UNTIL="),
        *("BYMONTH=", "BYMONTHDAY=", "BYDAY=", "BYSETPOS=", "WKST=", "SKIP=", "RRULE:", "none"),
        *(
            ";",
            ";",
            ";",
            ",",
            ",",
            "=",
            "-",
            "+",
            "0",
            "1",
            "2",
            "5",
            "9",
            "31",
            "MO",
            "1MO",
            "-1FR",
        ),
        *("20261231", "T000000Z", "\n", " ", "\0", "\u0662", "\u212a", "\ud800", "9" * 5000),
    ]
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=60).map("".join) | st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rule = RecurrenceRule.or_none(text)
    except ValidationFailed:
        return
    assert rule is None or RecurrenceRule.parse(str(rule)) == rule


class Work:
    """Counts how often the calendar is read, of which up to 1,024 periods are read at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operations = 0
        runs = Periods.runs

        def counted(*arguments: Any) -> Iterator[tuple[int, bytes]]:
            for run in runs(*arguments):
                self.operations += 1
                yield run

        monkeypatch.setattr(Periods, "runs", counted)


ALL_MONTH_DAYS = ",".join(map(str, range(1, 32)))
ALL_WEEKDAYS = ",".join(WEEKDAYS)
HOSTILE = [
    "FREQ=DAILY;INTERVAL=1;COUNT=1000",
    "FREQ=DAILY;INTERVAL=400;BYMONTH=2;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=1000",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000",
    "FREQ=WEEKLY;INTERVAL=313;BYMONTH=2;BYDAY=MO,TU,WE,TH,FR,SA,SU;COUNT=1000",
    "FREQ=WEEKLY;BYMONTH=2;BYDAY=MO;COUNT=1000",
    "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000",
    "FREQ=MONTHLY;BYMONTHDAY=1,3,4,-28;BYDAY=MO,WE,TH,TU;BYSETPOS=4;COUNT=1000",
    "FREQ=MONTHLY;INTERVAL=19;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000",
    "FREQ=YEARLY;INTERVAL=7;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000",
    "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=366;COUNT=1000",
    f"FREQ=YEARLY;BYMONTHDAY={ALL_MONTH_DAYS};BYDAY={ALL_WEEKDAYS};BYSETPOS=-366;COUNT=1000",
]
HOSTILE_STARTS = [
    datetime.fromisoformat(each) for each in ("1970-01-31", "2000-02-29", "9999-12-31")
]
MOST_OPERATIONS = 250
"""A table of all periods from 1970 to 9999 is read in fewer operations; 8,030 years have 96,360
months."""


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("start", HOSTILE_STARTS)
def test_no_rule_takes_many_operations(
    text: str, start: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work(monkeypatch)
    for year in (1970, 2026, 5000, 9999):
        work.operations = 0
        ask(text, start, datetime(year, 12, 31, 20, tzinfo=UTC))
        assert work.operations < MOST_OPERATIONS


def ask(text: str, start: datetime, after: datetime) -> None:
    """Do all that may be done with a rule, from its text on, as if for the first time."""
    _days_by_kind.cache_clear()
    try:
        rule = RecurrenceRule.parse(text).for_start(start)
    except ValidationFailed:
        return
    rule.next_after(start, after, ZONE_UTC)


def test_random_rules_do_not_take_many_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(monkeypatch)
    for frequency in FREQUENCIES:
        for case in islice(hostile_cases(frequency), 200):
            work.operations = 0
            ask(case.text, case.start, case.after.replace(tzinfo=UTC))
            assert work.operations < MOST_OPERATIONS, case


def hostile_cases(frequency: str) -> Iterator[Case]:
    """Yield random cases with long lists, whose texts are not too long, over thousands of years."""
    cases = Cases(frequency, seeded("hostile"), longest_list=40, most_periods=1_000)
    return (case for case in cases if len(case.text) <= MAX_LENGTH)


LIMIT = 0.003
"""Seconds of CPU time. It is 0.001 on an idle machine, but here others may be at work."""


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_no_random_rule_takes_long(frequency: str) -> None:
    number = 10_000
    for case in islice(hostile_cases(frequency), number):
        assert seconds(case) < LIMIT or min(seconds(case) for _ in range(5)) < LIMIT, case
    note("rules", f"{frequency}, CPU time below {LIMIT * 1000:.0f} ms", tried=number)


def seconds(case: Case) -> float:
    began = time.process_time()
    ask(case.text, case.start, case.after.replace(tzinfo=UTC))
    return time.process_time() - began
