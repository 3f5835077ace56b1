"""The days on which a recurrence rule recurs (RFC 5545 §3.3.10), apart from its end.

They are worked out once for each kind of month or year of the calendar, and the periods that have
none are skipped in its tables. So no search takes long, however rare the days are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from functools import lru_cache
from itertools import compress
from typing import NamedTuple

from todo_core.entities.gregorian_calendar import (
    CYCLE,
    DAYS,
    DAYS_PER_WEEK,
    LAST_DAY,
    MONTH_KINDS,
    MONTH_SHAPES,
    MONTHS,
    MONTHS_PER_YEAR,
    YEAR_KINDS,
    YEARS,
    Day,
    Periods,
    Shape,
    Year,
    days_until,
    weekday_of,
)

type Days = int
"""A set of days of a period, as bits: bit 0 is its first day."""

_ONCE_A_WEEK: Days = sum(1 << day for day in range(0, 366, DAYS_PER_WEEK))
_LAST = 53 * DAYS_PER_WEEK
_DIGITS = bytes.maketrans(b"01", b"\x00\x01")


class Frequency(StrEnum):
    """The length of the periods of a rule: the part FREQ."""

    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"

    @property
    def months(self) -> int:
        """The months of a period, which are 0 if it is a day or a week."""
        return {Frequency.MONTHLY: 1, Frequency.YEARLY: MONTHS_PER_YEAR}.get(self, 0)

    @property
    def days(self) -> int:
        """The days of a period, which are 0 if it is a month or a year."""
        return {Frequency.DAILY: 1, Frequency.WEEKLY: DAYS_PER_WEEK}.get(self, 0)


class WeekdayNum(NamedTuple):
    """A weekday, from Monday = 0 on, in a value of BYDAY (RFC 5545 §3.3.10, `weekdaynum`).

    With an ordinal it is the first (1), second or last (-1) … of the month or year; without one,
    which is 0, it is every one.
    """

    weekday: int
    ordinal: int = 0


@dataclass(frozen=True, slots=True)
class DayPattern:
    """The parts of a rule that say on which days it recurs, by their names in RFC 5545 §3.3.10."""

    frequency: Frequency
    interval: int = 1
    by_month: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[WeekdayNum, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0

    @property
    def has_by_parts(self) -> bool:
        """Whether any BY part is given."""
        return bool(self.by_month or self.names_days)

    @property
    def names_days(self) -> bool:
        """Whether the pattern itself says which days of a period it means."""
        return bool(self.by_month_day or self.by_day)

    @property
    def counts_weekdays_by_year(self) -> bool:
        """Whether the ordinals of BYDAY count in the year, not in the month."""
        return bool(self.frequency is Frequency.YEARLY and self.by_day and not self.by_month)

    @property
    def can_occur(self) -> bool:
        """Whether any month or year has such a day, if the pattern does not depend on its start."""
        return not self.names_days or any(_days_by_kind(_by_months(self)))

    def occurs_after(self, start: date) -> bool:
        """Return whether a series that starts on this day has another day.

        As the calendar repeats itself, the series is moved to where it has 7,600 years left.
        """
        early = start.toordinal() % CYCLE + 5 * CYCLE
        return self.starting(date.fromordinal(early)).first_from(early + 1) is not None

    def starting(self, start: date) -> "RecurringDays":
        """Return the days of a series with this pattern and this start.

        What the pattern leaves open is taken from the start: weekday, day of the month, and month.
        """
        pattern = _by_months(_with_defaults(self, start))
        first = start.toordinal()
        if pattern.frequency is Frequency.DAILY:
            return RecurringDays(pattern, DAYS, *_every_day(pattern, first))
        if pattern.frequency is Frequency.WEEKLY:
            return RecurringDays(pattern, DAYS, *_every_week(pattern, first))
        periods = MONTHS if pattern.frequency is Frequency.MONTHLY else YEARS
        return RecurringDays(pattern, periods, [periods.index_of(first)], pattern.interval)


def _with_defaults(pattern: DayPattern, start: date) -> DayPattern:
    if pattern.names_days or pattern.frequency is Frequency.DAILY:
        return pattern
    if pattern.frequency is Frequency.WEEKLY:
        return replace(pattern, by_day=(WeekdayNum(start.weekday()),))
    if pattern.frequency is Frequency.YEARLY and not pattern.by_month:
        return replace(pattern, by_month=(start.month,), by_month_day=(start.day,))
    return replace(pattern, by_month_day=(start.day,))


def _by_months(pattern: DayPattern) -> DayPattern:
    """Return a pattern with the same days: "daily on the 13th" is "monthly on the 13th"."""
    if pattern.frequency is Frequency.DAILY and pattern.by_month_day:
        return replace(pattern, frequency=Frequency.MONTHLY)
    return pattern


def _every_day(pattern: DayPattern, start: Day) -> tuple[Sequence[Day], int]:
    """Return days, and after how many days each of them recurs."""
    if not pattern.by_day:
        return [start], pattern.interval
    weekdays = {each.weekday for each in pattern.by_day}
    step = pattern.interval * DAYS_PER_WEEK
    days = range(start, start + step, pattern.interval)
    return [day for day in days if weekday_of(day) in weekdays], step


def _every_week(pattern: DayPattern, start: Day) -> tuple[Sequence[Day], int]:
    """Return days, and after how many days each of them recurs."""
    weekdays = {each.weekday for each in pattern.by_day}
    first_day = start - days_until(pattern.week_start, weekday_of(start))
    days = [first_day + days_until(pattern.week_start, weekday) for weekday in weekdays]
    return days, pattern.interval * DAYS_PER_WEEK


class RecurringDays:
    """The days of a series, without an end.

    They lie in the periods with the indexes `firsts`, and in every `step`th after them. Which days
    of a period they are depends on the kind of the period.
    """

    def __init__(
        self, pattern: DayPattern, periods: Periods, firsts: Sequence[int], step: int
    ) -> None:
        days_by_kind = _days_by_kind(pattern)
        self._periods = periods
        self._firsts = firsts
        self._step = step
        self._days_by_kind = days_by_kind
        self._has_days = bytes(map(bool, days_by_kind)).ljust(256, b"\0")
        self._empty = bytes(kind for kind, days in enumerate(days_by_kind) if not days)

    def first_from(self, day: Day) -> Day | None:
        """Return the first of the days that is not before this one, or None up to year 9999."""
        if day > LAST_DAY:
            return None
        found = (self._first_from(day, first) for first in self._firsts)
        return min((each for each in found if each is not None), default=None)

    def count(self, begin: Day, end: Day, limit: int) -> int:
        """Return how many of the days are from `begin` on and before `end`.

        If they are at least as many as the limit, it is any number that is not below the limit.
        """
        total = 0
        for first in self._firsts:
            total += self._count(begin, end, first, limit - total)
            if total >= limit:
                break
        return total

    def _first_from(self, day: Day, first: int) -> Day | None:
        index = self._aligned(self._periods.index_of(day), first)
        end = self._periods.index_of(LAST_DAY) + 1
        if index < end and (days := self._days_of(index) & ~self._days_before(day, index)):
            return self._first_of(days, index)
        for at, run in self._periods.runs(index + self._step, end, self._step):
            skipped = run.translate(self._has_days).find(1)
            if skipped >= 0:
                index = at + skipped * self._step
                return self._first_of(self._days_of(index), index)
        return None

    def _count(self, begin: Day, end: Day, first: int, limit: int) -> int:
        """Return the number of days in the periods that are aligned with the one at `first`."""
        first_index = self._aligned(self._periods.index_of(begin), first)
        last_index = self._aligned(self._periods.index_of(end), first)
        total = (self._days_of(last_index) & self._days_before(end, last_index)).bit_count()
        total -= (self._days_of(first_index) & self._days_before(begin, first_index)).bit_count()
        for _, run in self._periods.runs(first_index, last_index, self._step):
            occupied = run.translate(None, self._empty)
            total += sum(self._days_by_kind[kind].bit_count() for kind in occupied)
            if total >= limit:
                break
        return total

    def _aligned(self, index: int, first: int) -> int:
        """Return the first index from this one on that is a multiple of steps after `first`."""
        return index + (first - index) % self._step

    def _days_of(self, index: int) -> Days:
        kinds = self._periods.kinds
        return self._days_by_kind[kinds[index % len(kinds)]]

    def _days_before(self, day: Day, index: int) -> Days:
        """Return the days before this one, in a period that contains it or begins after it."""
        if index > self._periods.index_of(day):
            return 0
        return (1 << day - self._periods.first_day_of(index)) - 1

    def _first_of(self, days: Days, index: int) -> Day:
        lowest_bit = days & -days
        return self._periods.first_day_of(index) + lowest_bit.bit_length() - 1


# The days of each kind of period


@lru_cache(maxsize=128)
def _days_by_kind(pattern: DayPattern) -> Sequence[Days]:
    """Return the days that the pattern has in each kind of day, month or year."""
    months = pattern.by_month or range(1, MONTHS_PER_YEAR + 1)
    if not pattern.frequency.months:
        return [int(number in months) for number in range(MONTHS_PER_YEAR + 1)]
    by_shape = _days_by_shape(pattern)
    by_month = [by_shape[shape] if number in months else 0 for number, shape in MONTH_KINDS]
    if pattern.frequency is Frequency.MONTHLY:
        return by_month
    return _days_by_year(pattern, by_month)


def _days_by_shape(pattern: DayPattern) -> dict[Shape, Days]:
    """Return the days that the pattern has in a month of each shape, if it has such a month."""
    by_length = {length: _month_days(pattern.by_month_day, length) for length in range(28, 32)}
    days = {shape: by_length[shape.length] for shape in MONTH_SHAPES}
    if pattern.by_day and not pattern.counts_weekdays_by_year:
        weekdays = _Weekdays(pattern.by_day)
        days = {shape: days[shape] & weekdays.of(shape) for shape in days}
    if pattern.frequency is Frequency.MONTHLY and pattern.by_set_pos:
        days = {shape: _at_positions(days[shape], pattern.by_set_pos) for shape in days}
    return days


def _days_by_year(pattern: DayPattern, by_month: Sequence[Days]) -> Sequence[Days]:
    """Return the days that the pattern has in each kind of year, from those of its months."""
    years = [_joined(year, by_month) for year in YEAR_KINDS]
    if pattern.counts_weekdays_by_year:
        weekdays = _Weekdays(pattern.by_day)
        years = [
            days & weekdays.of(year.shape) for days, year in zip(years, YEAR_KINDS, strict=True)
        ]
    if pattern.by_set_pos:
        years = [_at_positions(days, pattern.by_set_pos) for days in years]
    return years


def _joined(year: Year, by_month: Sequence[Days]) -> Days:
    days, length = 0, 0
    for month in year.months:
        days |= by_month[month] << length
        length += MONTH_KINDS[month].shape.length
    return days


def _month_days(by_month_day: Iterable[int], length: int) -> Days:
    """Return days of a month by their numbers, or all; negative ones count from its end."""
    if not by_month_day:
        return (1 << length) - 1
    days = 0
    for number in by_month_day:
        if abs(number) <= length:
            days |= 1 << (number - 1 if number > 0 else length + number)
    return days


class _Weekdays:
    """Which weekdays of a month or year BYDAY means, whatever the weekday of its first day.

    For each weekday, one set of days counts from its first occurrence on, and the other one from
    its last occurrence, which is day `_LAST`, backwards.
    """

    def __init__(self, by_day: Iterable[WeekdayNum]) -> None:
        self._from_first: defaultdict[int, Days] = defaultdict(int)
        self._from_last: defaultdict[int, Days] = defaultdict(int)
        for weekday, ordinal in by_day:
            if ordinal < 0:
                self._from_last[weekday] |= 1 << _LAST + (ordinal + 1) * DAYS_PER_WEEK
            elif ordinal > 0:
                self._from_first[weekday] |= 1 << (ordinal - 1) * DAYS_PER_WEEK
            else:
                self._from_first[weekday] |= _ONCE_A_WEEK

    def of(self, shape: Shape) -> Days:
        """Return these days of a month or year."""
        days = 0
        for weekday, from_first in self._from_first.items():
            days |= from_first << days_until(shape.weekday, weekday)
        for weekday, from_last in self._from_last.items():
            end = shape.weekday + shape.length - 1
            last = shape.length - 1 - days_until(weekday, end % DAYS_PER_WEEK)
            days |= from_last >> _LAST - last
        return days & (1 << shape.length) - 1


def _at_positions(days: Days, positions: Iterable[int]) -> Days:
    """Return the days at these positions from 1 on; negative ones count from the end."""
    bits = f"{days:b}"[::-1].encode().translate(_DIGITS)
    present = list(compress(range(len(bits)), bits))
    chosen = 0
    for position in positions:
        if abs(position) <= len(present):
            chosen |= 1 << present[position - 1 if position > 0 else position]
    return chosen
