"""When a task recurs: recurrence rules, and the occurrences that follow a due or completed task.

The rules are a part of those of RFC 5545 (iCalendar) §3.3.10. On which days they recur is worked
out in `recurrence_days`, in a time that does not depend on the rule or the dates.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Self

from todo_core.entities.gregorian_calendar import add_months
from todo_core.entities.recurrence_days import DayPattern, Frequency
from todo_core.entities.recurrence_grammar import RuleParts, refusal, unsupported, write_rule
from todo_core.entities.time_zone import TimeZone
from todo_core.errors import ValidationFailed

MAX_INTERVAL = 400
"""The longest interval, which is the part INTERVAL."""

MAX_COUNT = 1000
"""The most occurrences that a series may end after, which is the part COUNT."""

_SHORTHANDS = {frequency.lower(): frequency for frequency in Frequency}
_NO_RULE = ("", "none")
_LONGEST_WORD = 7


@dataclass(frozen=True, slots=True)
class RecurrenceRule:
    """How a task recurs: on which `days`, and until when.

    The series ends after `count` occurrences, or with the last one that is not after `until`, which
    is a local day or a moment in UTC; or never.

    The start of a series is its first occurrence, whether or not it is one of the days, because
    the task is due then (RFC 5545: DTSTART "always counts as the first occurrence").

    The shorthand `monthly` falls on the last day of months that are too short, and `yearly` on
    28 February if there is no 29th. Such a rule `clamps`, which is written SKIP=BACKWARD, as in
    RFC 7529 §4.1. Once the start is known, `for_start` replaces it by plain parts of RFC 5545,
    which every calendar program understands: the last of the days 28 to 31 for a start on a 31st,
    BYMONTHDAY=28,29,30,31;BYSETPOS=-1. So a series that began on the 31st returns to it after
    February. All other rules skip months that are too short, as RFC 5545 says.
    """

    days: DayPattern
    count: int | None = None
    until: date | datetime | None = None
    clamps: bool = False

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Return the rule that is written as in RFC 5545, or one of the four shorthands.

        Case does not matter, and `RRULE:` may come first. INTERVAL is at most 400, and COUNT at
        most 1,000. Two combinations are refused because they have no practical use: BYSETPOS with
        DAILY or WEEKLY, and BYMONTHDAY with DAILY and an INTERVAL.

        Raises:
            ValidationFailed: if it is not such a rule, or could not occur on any day.
        """
        if shorthand := _SHORTHANDS.get(_word(raw)):
            return cls._from_frequency(shorthand)
        rule = cls._read(RuleParts.parse(raw.strip()))
        _refuse_unsupported(rule)
        if not rule.days.can_occur:
            raise _never()
        return rule

    @classmethod
    def _read(cls, parts: RuleParts) -> Self:
        days = DayPattern(
            frequency=parts.frequency(),
            interval=parts.number("INTERVAL", MAX_INTERVAL) or 1,
            by_month=parts.numbers("BYMONTH", 12, signed=False),
            by_month_day=parts.numbers("BYMONTHDAY", 31),
            by_day=parts.weekday_nums(),
            by_set_pos=parts.numbers("BYSETPOS", 366),
            week_start=parts.week_start(),
        )
        return cls(days, parts.number("COUNT", MAX_COUNT), parts.until(), parts.skips_backward())

    @classmethod
    def or_none(cls, raw: str | None) -> Self | None:
        """Return the rule, or None if it is absent, empty, or `none`."""
        return None if _word(raw) in _NO_RULE else cls.parse(raw or "")

    @classmethod
    def from_shorthand(cls, name: str | None, interval: int = 1) -> Self | None:
        """Return the rule `daily`, `weekly`, `monthly` or `yearly`, or None for none.

        Raises:
            ValidationFailed: if it is none of them, or the interval is not from 1 to 400.
        """
        if _word(name) in _NO_RULE:
            return None
        frequency = _SHORTHANDS.get(_word(name))
        if frequency is None:
            message = f"Recurrence pattern must be one of none, {', '.join(_SHORTHANDS)}."
            raise refusal("unknown_recurrence_pattern", message, "recurrence_pattern")
        if not 1 <= interval <= MAX_INTERVAL:
            message = f"Recurrence interval must be from 1 to {MAX_INTERVAL}."
            raise refusal("invalid_recurrence_interval", message, "recurrence_interval")
        return cls._from_frequency(frequency, interval)

    @classmethod
    def _from_frequency(cls, frequency: Frequency, interval: int = 1) -> Self:
        clamps = frequency in (Frequency.MONTHLY, Frequency.YEARLY)
        return cls(DayPattern(frequency, interval), clamps=clamps)

    @property
    def shorthand(self) -> str:
        """The shorthand for its frequency, even if the rule has more parts."""
        return self.days.frequency.lower()

    @property
    def interval(self) -> int:
        """The number of periods from one with occurrences to the next one: the part INTERVAL."""
        return self.days.interval

    def for_start(self, start: date) -> Self:
        """Return the rule for a series with this local start, whose task is repeated when due.

        Raises:
            ValidationFailed: if nothing follows the start.
        """
        rule = self._started(start)
        if not rule.days.occurs_after(start):
            raise _never()
        return rule

    def _started(self, start: date) -> Self:
        if not self.clamps:
            return self
        return replace(self, days=_clamped(self.days, start), clamps=False)

    def for_completion(self) -> Self:
        """Return the rule for a task that is repeated when it is completed.

        A shorthand that clamps remains one, as the task may be repeated when due later.

        Raises:
            ValidationFailed: if it names days, but cannot be counted from any day.
        """
        if self.days.has_by_parts and self.interval > 1:
            raise unsupported("BY parts need INTERVAL=1 if a task repeats from its completion.")
        if self.days.by_month and not self.days.names_days and self.days.frequency.months:
            message = "BYMONTH needs BYMONTHDAY or BYDAY if a task repeats from its completion."
            raise unsupported(message)
        return self

    def without_start(self) -> Self:
        """Return the shorthand that clamps, if `for_start` has replaced one by this rule."""
        if not self._is_clamped:
            return self
        return replace(self, days=DayPattern(self.days.frequency, self.interval), clamps=True)

    @property
    def _is_clamped(self) -> bool:
        bare = DayPattern(self.days.frequency, self.interval)
        return self.days != bare and self.days in [_clamped(bare, day) for day in _CLAMPED_STARTS]

    def for_moved_start(self, start: date) -> Self:
        """Return the rule after the user has moved its task to another local start.

        If the rule comes from a shorthand that clamps, and the task was not moved to one of its
        days, the new day takes the place of the former one.
        """
        day = start.toordinal()
        if not self._is_clamped or self.days.starting(start).first_from(day) == day:
            return self
        return replace(self, days=_clamped(self.without_start().days, start))

    def next_after(
        self, start: date | datetime, after: datetime, zone: TimeZone
    ) -> "Successor | None":
        """Return the first occurrence of a series after a moment, or None if the series has ended.

        The start is a time on the clocks of the zone, without an offset, or an all-day date. A day
        is after every moment of itself, as in `DueDate`. Occurrences that clocks skip or repeat
        are understood as in `TimeZone.moment`, and keep their time on the clock.

        The occurrences that have passed, missed or not, are taken from COUNT.
        """
        if self.clamps:
            return self._started(start).next_after(start, after, zone)
        try:
            if _moment(start, zone) > after:
                return Successor(start, self)
            return self._first_after(start, after, zone)
        except OverflowError:
            return None

    def _first_after(
        self, start: date | datetime, after: datetime, zone: TimeZone
    ) -> "Successor | None":
        days = self.days.starting(start)
        second = start.toordinal() + 1
        # Where a zone skips a day, occurrences of the day before may still be ahead.
        day = days.first_from(max(second, zone.local(after).toordinal() - 1))
        while day is not None and _moment(_on(day, start), zone) <= after:
            day = days.first_from(day + 1)
        if day is None:
            return None
        passed = 1 + (days.count(second, day, self.count) if self.count else 0)
        return self._successor(_on(day, start), passed, zone)

    def next_from_completion(
        self, completed: date, start: date | datetime | None, zone: TimeZone
    ) -> "Successor | None":
        """Return the occurrence that follows a completion on this local day, or None.

        If the task had a start with a time, the occurrence has the same time on the clock.
        """
        try:
            day = self._day_after_completion(completed)
            if day is None:
                return None
            occurrence = _on(day, start)
            _moment(occurrence, zone)  # raises OverflowError after year 9999
            return self._successor(occurrence, 1, zone)
        except OverflowError:
            return None

    def _day_after_completion(self, completed: date) -> int | None:
        if self.days.has_by_parts:
            return self.days.starting(completed).first_from(completed.toordinal() + 1)
        if days := self.days.frequency.days:
            return (completed + timedelta(days=self.interval * days)).toordinal()
        following = add_months(completed, self.interval * self.days.frequency.months)
        return None if following is None else following.toordinal()

    def _successor(
        self, occurrence: date | datetime, passed: int, zone: TimeZone
    ) -> "Successor | None":
        if self.until is not None and not _is_until(occurrence, self.until, zone):
            return None
        if self.count is None:
            return Successor(occurrence, self)
        if passed >= self.count:
            return None
        return Successor(occurrence, replace(self, count=self.count - passed))

    def __str__(self) -> str:
        """Return the rule as in RFC 5545, with its parts in a fixed order."""
        return write_rule(self.days, self.count, self.until, skips_backward=self.clamps)


@dataclass(frozen=True, slots=True)
class Successor:
    """An occurrence, as a local time or day, and the rule of the series that starts with it."""

    start: date | datetime
    rule: RecurrenceRule


def _word(raw: str | None) -> str:
    """Return a short text in lower case, and any other one as it is."""
    text = (raw or "").strip()
    return text.lower() if len(text) <= _LONGEST_WORD and text.isascii() else text


def _refuse_unsupported(rule: RecurrenceRule) -> None:
    days = rule.days
    if rule.count and rule.until:
        raise unsupported("A rule must not have both COUNT and UNTIL.")
    if days.by_month_day and days.frequency is Frequency.WEEKLY:
        raise unsupported("BYMONTHDAY cannot be used with FREQ=WEEKLY.")
    if days.by_month_day and days.frequency is Frequency.DAILY and days.interval > 1:
        raise unsupported("BYMONTHDAY with FREQ=DAILY needs INTERVAL=1.")
    if days.frequency.months:
        _refuse_misplaced(rule)
    elif any(each.ordinal for each in days.by_day):
        raise unsupported("Ordinals in BYDAY need FREQ=MONTHLY or FREQ=YEARLY.")
    elif days.by_set_pos or rule.clamps:
        raise unsupported("BYSETPOS and SKIP need FREQ=MONTHLY or FREQ=YEARLY.")


def _refuse_misplaced(rule: RecurrenceRule) -> None:
    if rule.days.by_set_pos and not rule.days.has_by_parts:
        raise unsupported("BYSETPOS needs another BY part.")
    if rule.clamps and rule.days.has_by_parts:
        raise unsupported("SKIP cannot be used with BY parts.")


def _never() -> ValidationFailed:
    return refusal(
        "never_recurs", "This rule never recurs: no day meets all of its parts. Change or omit one."
    )


def _clamped(days: DayPattern, start: date) -> DayPattern:
    """Return the days of a shorthand with this start, in short months the last day."""
    if days.frequency is Frequency.MONTHLY and start.day > _SHORTEST_MONTH:
        return replace(days, by_month_day=tuple(range(28, start.day + 1)), by_set_pos=(-1,))
    if days.frequency is Frequency.YEARLY and (start.month, start.day) == (2, 29):
        return replace(days, by_month=(2,), by_month_day=(28, 29), by_set_pos=(-1,))
    return days


def _on(day: int, start: date | datetime | None) -> date | datetime:
    """Return an occurrence on this day, with the time of the start if that has one."""
    on = date.fromordinal(day)
    return datetime.combine(on, start.time()) if isinstance(start, datetime) else on


def _moment(occurrence: date | datetime, zone: TimeZone) -> datetime:
    if isinstance(occurrence, datetime):
        return zone.moment(occurrence)
    return zone.end_of(occurrence)


def _is_until(occurrence: date | datetime, until: date | datetime, zone: TimeZone) -> bool:
    """Return whether an occurrence is not after the end of its series."""
    if not isinstance(until, datetime):
        return occurrence.toordinal() <= until.toordinal()
    if isinstance(occurrence, datetime):
        return zone.moment(occurrence) <= until
    return zone.start_of(occurrence) <= until


_SHORTEST_MONTH = 28
_CLAMPED_STARTS = [date(2000, 1, 29), date(2000, 1, 30), date(2000, 1, 31), date(2000, 2, 29)]
