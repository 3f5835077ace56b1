"""What holds for all recurrence rules: they recur as dateutil's do, and cost little."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.rrule import rrule, rrulestr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.proof import note
from todo_core.entities.recurrence import RecurrenceRule, Successor
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE as ZONE_UTC
from todo_core.errors import ValidationFailed

EVERYDAY_CASES, PROOF_CASES = 50, 25_000
FREQUENCIES = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
PERIODS_COMPARED = {"DAILY": 400, "WEEKLY": 60, "MONTHLY": 40, "YEARLY": 15}
"""How many periods after the start, about, the moment lies at most after which is asked for."""

DAYS_PER_PERIOD = {"DAILY": 1, "WEEKLY": 7, "MONTHLY": 31, "YEARLY": 366}
STARTS = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001 - a time on the clock
    datetime(9999, 12, 31),  # noqa: DTZ001
).map(lambda at: at.replace(microsecond=0))


@dataclass(frozen=True)
class Case:
    """The parts of a rule, a start, and a time after which the next occurrence is asked for."""

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


def numbers(highest: int, *, most: int = 4) -> st.SearchStrategy[str]:
    signed = st.integers(1, highest).flatmap(lambda each: st.sampled_from([each, -each]))
    return st.lists(signed, min_size=1, max_size=most).map(lambda each: ",".join(map(str, each)))


def optional(name: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.none().map(lambda _: "") | values.map(lambda value: f";{name}={value}")


def comma_separated(values: Sequence[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=7, unique=True).map(",".join)


PLAIN_WEEKDAYS = comma_separated(WEEKDAYS)
MONTHS = comma_separated([str(month) for month in range(1, 13)])


@st.composite
def weekdays_with_ordinals(draw: st.DrawFn, highest: int) -> str:
    """Draw BYDAY with ordinals only: dateutil misreads it if they are mixed with plain weekdays."""
    ordinals = draw(numbers(highest)).split(",")
    return ",".join(ordinal + draw(st.sampled_from(WEEKDAYS)) for ordinal in ordinals)


@st.composite
def day_parts(draw: st.DrawFn, frequency: str) -> tuple[str, int]:
    """Draw the parts that name days, and the interval."""
    interval = draw(st.integers(1, 4) | st.sampled_from([7, 12, 14, 28, 100, 399, 400]))
    text = f"FREQ={frequency};INTERVAL={interval}" + draw(optional("BYMONTH", MONTHS))
    weekdays = PLAIN_WEEKDAYS
    if frequency in ("MONTHLY", "YEARLY"):
        in_months = frequency == "MONTHLY" or "BYMONTH" in text
        weekdays |= weekdays_with_ordinals(5 if in_months else 53)
    if frequency != "WEEKLY" and (frequency != "DAILY" or interval == 1):
        text += draw(optional("BYMONTHDAY", numbers(31, most=8)))
    text += draw(optional("BYDAY", weekdays))
    if frequency in ("MONTHLY", "YEARLY") and "BY" in text:
        positions = numbers(4) if frequency == "MONTHLY" else numbers(4) | numbers(366)
        text += draw(optional("BYSETPOS", positions))
    return text + draw(optional("WKST", st.sampled_from(WEEKDAYS))), interval


@st.composite
def cases(draw: st.DrawFn, frequency: str) -> Case:
    days, interval = draw(day_parts(frequency))
    start = draw(STARTS)
    most = min(
        PERIODS_COMPARED[frequency] * DAYS_PER_PERIOD[frequency] * interval,
        (datetime.max - start).days,  # noqa: DTZ901 - a time on the clock
    )
    within = st.timedeltas(timedelta(0), timedelta(most)).map(
        lambda span: start + span - timedelta(microseconds=span.microseconds)
    )
    after = draw(within)
    end = draw(st.sampled_from(["", "COUNT", "UNTIL"]))
    return Case(
        days,
        count=draw(st.integers(1, 10) | st.integers(1, 1000)) if end == "COUNT" else None,
        until=draw(within) if end == "UNTIL" else None,
        start=start,
        after=after,
    )


def by_dateutil(case: Case, end: datetime) -> list[datetime]:
    """Return the start and what dateutil finds after it, which does not count as its start does."""
    found = rrulestr(f"{case.days};UNTIL={end:%Y%m%dT%H%M%S}", dtstart=case.start)
    assert isinstance(found, rrule)
    series = [case.start, *(each for each in found if each > case.start)][: case.count]
    return [each for each in series if not case.until or each <= max(case.until, case.start)]


def accepted(case: Case) -> RecurrenceRule | None:
    """Return the rule, or None if it never recurs."""
    try:
        return RecurrenceRule.parse(case.text).for_start(case.start)
    except ValidationFailed as failure:
        if [error.code for error in failure.errors] != ["never_recurs"]:
            raise
        return None


def assert_as_dateutil(case: Case) -> None:
    span = 2 * (case.after - case.start) + timedelta(366)
    end = case.start + min(span, datetime.max - case.start)  # noqa: DTZ901 - a time on the clock
    series = by_dateutil(case, end)
    rule = accepted(case)
    if rule is None:
        assert series == [case.start]
        return
    successor = rule.next_after(case.start, case.after.replace(tzinfo=UTC), ZONE_UTC)
    following = [each for each in series if each > case.after]
    if not following:
        assert successor is None or successor.start > end
        return
    passed = len(series) - len(following)
    count = case.count - passed if case.count else None
    assert successor == Successor(following[0], replace(rule, count=count))


@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize(
    "examples",
    [EVERYDAY_CASES, pytest.param(PROOF_CASES, id="proof", marks=pytest.mark.proof)],
)
def test_occurrences_are_those_of_dateutil(frequency: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(cases(frequency))
    def compare(case: Case) -> None:
        note("rules", f"{frequency} as python-dateutil", tried=1)
        assert_as_dateutil(case)

    compare()
