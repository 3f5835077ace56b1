"""The Gregorian calendar, which repeats itself after 400 years.

In that cycle there are only 14 kinds of years and 91 kinds of months, by their length and the
weekday on which they begin. The tables of the kinds of all periods of a cycle are `bytes`, so that
periods of the wrong kind can be skipped without being looked at one by one.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import batched
from typing import NamedTuple

type Day = int
"""A day by its ordinal (`date.toordinal`)."""

CYCLE: Day = 146_097
"""The days of 400 years, which are also a whole number of weeks."""

LAST_DAY: Day = date.max.toordinal()
DAYS_PER_WEEK = 7
MONTHS_PER_YEAR = 12
_YEARS_PER_CYCLE = 400
_DAYS_OF_YEAR_ZERO = 366
_RUN = 1024
"""How many periods are read in one operation."""


class Shape(NamedTuple):
    """What decides on the days of a month or year: its length, and the weekday of its first day."""

    length: int
    weekday: int


class Month(NamedTuple):
    """A kind of month: its number in the year, and its shape."""

    number: int
    shape: Shape


class Year(NamedTuple):
    """A kind of year: the numbers of the kinds of its months, and its shape."""

    months: bytes
    shape: Shape


@dataclass(frozen=True, slots=True)
class Periods:
    """The kinds of all days, months or years of a cycle, in their order.

    A period has an `index`, counted from the start of the calendar. `kinds` has a number for each
    period of a cycle.
    """

    kinds: bytes
    index_of: Callable[[Day], int]
    first_day_of: Callable[[int], Day]

    def runs(self, first: int, end: int, step: int) -> Iterator[tuple[int, bytes]]:
        """Yield the kinds of every `step`th period, many at a time, with the index of the first."""
        while first < end:
            at = first % len(self.kinds)
            run = self.kinds[at : at + min(end - first, step * _RUN) : step]
            yield first, run
            first += len(run) * step


def weekday_of(day: Day) -> int:
    """Return the weekday of a day, from Monday = 0 on."""
    return (day - 1) % DAYS_PER_WEEK


def days_until(weekday: int, other: int) -> int:
    """Return the number of days from a weekday to the next one that is the other."""
    return (other - weekday) % DAYS_PER_WEEK


def add_months(day: date, months: int) -> date | None:
    """Return the same day some months later, or the last day of a shorter month.

    It is None if it would be after year 9999.
    """
    index = _month_index(day.toordinal()) + months
    if index > _month_index(LAST_DAY):
        return None
    length = MONTH_KINDS[_MONTH_ROW[index % len(_MONTH_ROW)]].shape.length
    return date.fromordinal(_first_day_of_month(index) + min(day.day, length) - 1)


# The kinds of the periods of a cycle


def _months_of_cycle() -> Iterator[Month]:
    """Yield the months of the years 0 to 399, as they are in the years 400 to 799."""
    begin = _YEARS_PER_CYCLE * MONTHS_PER_YEAR
    first_day = _first_day_of_month(begin)
    for index in range(begin, 2 * begin):
        next_first_day = _first_day_of_month(index + 1)
        shape = Shape(next_first_day - first_day, weekday_of(first_day))
        yield Month(index % MONTHS_PER_YEAR + 1, shape)
        first_day = next_first_day


def _years_of_cycle() -> Iterator[Year]:
    for months in batched(_MONTH_ROW, MONTHS_PER_YEAR, strict=True):
        shapes = [MONTH_KINDS[month].shape for month in months]
        length = sum(shape.length for shape in shapes)
        yield Year(bytes(months), Shape(length, shapes[0].weekday))


def _month_index(day: Day) -> int:
    month = date.fromordinal(day)
    return month.year * MONTHS_PER_YEAR + month.month - 1


def _first_day_of_month(index: int) -> Day:
    year, month = divmod(index, MONTHS_PER_YEAR)
    return date(year, month + 1, 1).toordinal()


def _year_index(day: Day) -> int:
    return date.fromordinal(day).year


def _first_day_of_year(year: int) -> Day:
    return date(year, 1, 1).toordinal()


def _day_index(day: Day) -> int:
    return day


def _numbered[Kind](kinds: Iterable[Kind]) -> tuple[Sequence[Kind], bytes]:
    """Return the different kinds, and for each of the given ones its number among them."""
    numbers: dict[Kind, int] = {}
    row = bytes(numbers.setdefault(kind, len(numbers)) for kind in kinds)
    return list(numbers), row


def _months_of_days() -> bytes:
    """Return the number of the month of each day of a cycle, from ordinal 0 on."""
    months = [bytes([number]) * shape.length for number, shape in MONTH_KINDS]
    days = b"".join(months[kind] for kind in _MONTH_ROW)
    ordinal_zero = _DAYS_OF_YEAR_ZERO - 1
    return days[ordinal_zero:] + days[:ordinal_zero]


MONTH_KINDS, _MONTH_ROW = _numbered(_months_of_cycle())
MONTH_SHAPES = {month.shape for month in MONTH_KINDS}
YEAR_KINDS, _YEAR_ROW = _numbered(_years_of_cycle())

DAYS = Periods(_months_of_days(), _day_index, _day_index)
MONTHS = Periods(_MONTH_ROW, _month_index, _first_day_of_month)
YEARS = Periods(_YEAR_ROW, _year_index, _first_day_of_year)
