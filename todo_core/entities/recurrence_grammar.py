"""The text of recurrence rules: RFC 5545 §3.3.10, as far as `RecurrenceRule` supports it."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Self

from todo_core.entities.recurrence_days import DayPattern, Frequency, WeekdayNum
from todo_core.errors import FieldError, ValidationFailed

MAX_LENGTH = 200
"""The length of the longest text that is read as a rule."""

PARTS = (
    *("FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYDAY", "BYSETPOS"),
    *("COUNT", "UNTIL", "WKST", "SKIP"),
)
"""The parts of a rule, in the order in which they are written."""

_PREFIX = "RRULE:"
_PART = re.compile(r"(?P<name>[A-Z-]{1,20})=(?P<value>[A-Z0-9,:+-]+)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,4}")
_DATE, _TIME = "%Y%m%d", "%Y%m%dT%H%M%SZ"
_UNTIL = re.compile(r"[0-9]{8}(?P<time>T[0-9]{6}Z)?")
_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_WEEKDAY_NUM = re.compile(rf"(?P<ordinal>[+-]?[0-9]{{1,2}})?(?P<weekday>{'|'.join(_WEEKDAYS)})")
_MAX_ORDINAL = 53


def refusal(code: str, message: str, field: str = "recurrence_rule") -> ValidationFailed:
    """Return the error that refuses a rule."""
    return ValidationFailed(FieldError(field, code, message))


def unsupported(message: str) -> ValidationFailed:
    """Return the error that refuses parts that are not supported together, or at all."""
    return refusal("unsupported_recurrence_rule", message)


def _invalid(message: str) -> ValidationFailed:
    return refusal("invalid_recurrence_rule", message)


@dataclass(frozen=True, slots=True)
class RuleParts:
    """The values of the parts of a rule by their names, in upper case.

    Each method reads one part, and raises ValidationFailed if its value is not one that it may
    have.
    """

    values: Mapping[str, str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the parts of a text such as `FREQ=WEEKLY;BYDAY=MO`, in any case.

        Raises:
            ValidationFailed: if it is too long or has another form, or if a part is unknown or
                given twice.
        """
        if len(text) > MAX_LENGTH:
            raise _invalid(f"Recurrence rule must have at most {MAX_LENGTH} characters.")
        if not text.isascii():
            raise _malformed()
        values: dict[str, str] = {}
        for part in text.upper().removeprefix(_PREFIX).split(";"):
            name, value = _split(part)
            if name in values:
                raise _invalid(f"{name} must be given only once.")
            values[name] = value
        return cls(values)

    def frequency(self) -> Frequency:
        """Read FREQ, which must be there."""
        try:
            return Frequency(self.values["FREQ"])
        except (KeyError, ValueError):
            raise _invalid(f"FREQ must be one of {', '.join(Frequency)}.") from None

    def number(self, name: str, highest: int) -> int | None:
        """Read a number from 1 on."""
        value = self.values.get(name)
        if value is None:
            return None
        number = _number(value)
        if not 1 <= number <= highest or not value.isdigit():
            raise _invalid(f"{name} must be a number from 1 to {highest}.")
        return number

    def numbers(self, name: str, highest: int, *, signed: bool = True) -> tuple[int, ...]:
        """Read a list of numbers from 1 on and, if they are `signed`, from -1 on downwards."""
        numbers = {_number(value) for value in self._list(name)}
        if not all(1 <= (abs(each) if signed else each) <= highest for each in numbers):
            negative = f" or -1 to -{highest}" if signed else ""
            raise _invalid(f"{name} must have numbers from 1 to {highest}{negative}.")
        return tuple(sorted(numbers))

    def weekday_nums(self) -> tuple[WeekdayNum, ...]:
        """Read BYDAY."""
        return tuple(sorted({_weekday_num(value) for value in self._list("BYDAY")}))

    def week_start(self) -> int:
        """Read WKST, which is Monday if it is not given."""
        value = self.values.get("WKST", "MO")
        if value not in _WEEKDAYS:
            raise _invalid(f"WKST must be one of {', '.join(_WEEKDAYS)}.")
        return _WEEKDAYS.index(value)

    def until(self) -> date | datetime | None:
        """Read UNTIL: a day, or a moment in UTC."""
        value = self.values.get("UNTIL")
        if value is None:
            return None
        form = _UNTIL.fullmatch(value)
        try:
            if form and form["time"]:
                return datetime.strptime(value, _TIME).replace(tzinfo=UTC)
            if form:
                return datetime.strptime(value, _DATE).replace(tzinfo=UTC).date()
        except ValueError:
            pass
        message = "UNTIL must be a date such as 20261231 or a time in UTC such as 20261231T235959Z."
        raise _invalid(message)

    def skips_backward(self) -> bool:
        """Read SKIP (RFC 7529 §4.1)."""
        value = self.values.get("SKIP", "OMIT")
        if value not in ("OMIT", "BACKWARD"):
            raise _invalid("SKIP must be OMIT or BACKWARD.")
        return value == "BACKWARD"

    def _list(self, name: str) -> Iterable[str]:
        value = self.values.get(name)
        return () if value is None else value.split(",")


def write_rule(
    days: DayPattern, count: int | None, until: date | datetime | None, *, skips_backward: bool
) -> str:
    """Return the text of a rule. Parts that have their default value are left out."""
    values = (
        days.frequency,
        str(days.interval) if days.interval > 1 else "",
        ",".join(map(str, days.by_month)),
        ",".join(map(str, days.by_month_day)),
        ",".join(f"{each.ordinal or ''}{_WEEKDAYS[each.weekday]}" for each in days.by_day),
        ",".join(map(str, days.by_set_pos)),
        str(count) if count else "",
        _write_until(until),
        _WEEKDAYS[days.week_start] if days.week_start else "",
        "BACKWARD" if skips_backward else "",
    )
    return ";".join(f"{name}={value}" for name, value in zip(PARTS, values, strict=True) if value)


def _write_until(until: date | datetime | None) -> str:
    if until is None:
        return ""
    # strftime does not fill up years before 1000 with zeros everywhere.
    text = until.isoformat().replace("-", "").replace(":", "")
    return text.replace("+0000", "Z")


def _split(part: str) -> tuple[str, str]:
    form = _PART.fullmatch(part)
    if form is None:
        raise _malformed()
    if form["name"] not in PARTS:
        raise unsupported(f"{form['name']} is not supported. Use only {', '.join(PARTS)}.")
    return form["name"], form["value"]


def _malformed() -> ValidationFailed:
    return _invalid(
        "Recurrence rule must be daily, weekly, monthly, yearly, or a rule such as"
        " FREQ=WEEKLY;BYDAY=MO (RFC 5545)."
    )


def _number(value: str) -> int:
    """Return the number, or 0 if it is not one: no part may be 0."""
    return int(value) if _NUMBER.fullmatch(value) else 0


def _weekday_num(value: str) -> WeekdayNum:
    form = _WEEKDAY_NUM.fullmatch(value)
    ordinal = int(form["ordinal"] or 0) if form else 0
    if form is None or abs(ordinal) > _MAX_ORDINAL or (form["ordinal"] and not ordinal):
        message = (
            "BYDAY must have weekdays such as MO or FR, or 1MO for the first and -1FR for the last."
        )
        raise _invalid(message)
    return WeekdayNum(_WEEKDAYS.index(form["weekday"]), ordinal)
