"""When a task is due."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Self

from todo_core.entities.time_zone import TimeZone
from todo_core.errors import FieldError, ValidationFailed

_FORM = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)"
    r"(?P<time>[Tt ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?P<offset>[Zz]|[+-]\d\d:\d\d)?)?"
)
_FIRST, _LAST = date(1970, 1, 1), date(9999, 12, 31)


@dataclass(frozen=True, slots=True)
class DueDate:
    """When a task is due: at a moment (`at`, in UTC), or in the course of a `day`.

    A day is one in the time zone of the owner, and `at` is its last microsecond there. So all due
    dates can be compared by `at`. It changes when the owner moves to another zone.
    """

    at: datetime
    day: date | None = None

    @classmethod
    def parse(cls, raw: str, zone: TimeZone) -> Self:
        """Return the due date that is written as a date or as a time (RFC 3339 §5.6).

        A time may omit its seconds and its offset. Without an offset, it is local to this zone.

        Raises:
            ValidationFailed: if it is neither, or not in the years 1970 to 9999.
        """
        try:
            return cls._read(raw.strip(), zone)
        except (ValueError, OverflowError):
            message = (
                "Due date must be a date such as 2026-12-01 or a time such as"
                " 2026-12-01T16:00:00Z, in the years 1970 to 9999."
            )
            raise ValidationFailed(FieldError("due_date", "invalid_due_date", message)) from None

    @classmethod
    def _read(cls, text: str, zone: TimeZone) -> Self:
        form = _FORM.fullmatch(text)
        if not form or not text.isascii():
            raise ValueError
        day = date.fromisoformat(form["day"])
        if day < _FIRST:
            raise ValueError
        if not form["time"]:
            return cls(zone.end_of(day), day)
        time = datetime.fromisoformat(text.upper())
        at = zone.moment(time) if time.tzinfo is None else time.astimezone(UTC)
        if not _FIRST <= at.date() <= _LAST:
            raise ValueError
        return cls(at)

    @classmethod
    def or_none(cls, raw: str | None, zone: TimeZone) -> Self | None:
        """Return the due date, or None if it is absent or empty."""
        return cls.parse(raw, zone) if raw and raw.strip() else None

    def in_zone(self, zone: TimeZone) -> Self:
        """Return the due date after its owner has moved to this zone: the same day, or moment."""
        return self if self.day is None else type(self)(zone.end_of(self.day), self.day)

    def local_day(self, zone: TimeZone) -> date:
        """Return the day on which it is, in this zone."""
        return zone.local(self.at).date() if self.day is None else self.day

    def postponed(self, days: int, zone: TimeZone) -> Self | None:
        """Return the due date these many days later, at the same time of day in this zone.

        It is None if that is not in the years 1970 to 9999.
        """
        try:
            if self.day is not None:
                day = self.day + timedelta(days)
                at = zone.end_of(day)
            else:
                day, at = None, zone.moment(zone.local(self.at) + timedelta(days))
        except (ValueError, OverflowError):
            return None
        return type(self)(at, day) if _FIRST <= (day or at.date()) <= _LAST else None

    def __str__(self) -> str:
        """Return it in the form in which it was written: a date, or a time in UTC."""
        if self.day is not None:
            return self.day.isoformat()
        return self.at.isoformat().replace("+00:00", "Z")


def depends_on_zone(raw: str | None) -> bool:
    """Return whether a due date that is written like this depends on the time zone."""
    form = _FORM.fullmatch((raw or "").strip())
    return form is not None and form["offset"] is None
