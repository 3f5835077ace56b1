"""The reminders of a task: when its owner is told that it is there to be done."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Self, TypedDict

from todo_core.entities.due_date import DueDate, depends_on_zone
from todo_core.entities.time_zone import TimeZone
from todo_core.errors import FieldError, ValidationFailed

MAX_REMINDERS = 5
"""How many reminders a task may have."""

MAX_MINUTES_BEFORE = 40_320
"""How long before its due date a task may remind: four weeks."""

GRACE = timedelta(minutes=1)
"""How long ago a reminder may have been due that is fired nevertheless after its task has changed.

So a change at the moment of a reminder does not lose it. What was fired is not fired again.
"""


class ReminderFields(TypedDict, total=False):
    """A reminder as the owner of its task wrote it: one of the two. `minutes_before` is stronger.

    So a reminder of a response, which has both, can be sent back.
    """

    remind_at: str | None
    minutes_before: int | None


type RawReminders = str | Sequence[ReminderFields] | None
"""Reminders as the owner of their task wrote them: several, or the time of the only one."""


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder at a moment (`at`, in UTC), or `minutes_before` its task is due.

    One that depends on the due date counts from the start of the day if the task is due on a day
    (RFC 5545 §3.8.6.3). It has no moment while the task has no due date.
    """

    at: datetime | None
    minutes_before: int | None = None

    @property
    def is_relative(self) -> bool:
        """Whether its moment depends on when the task is due."""
        return self.minutes_before is not None

    def for_due_date(self, due_date: DueDate | None, zone: TimeZone) -> Self:
        """Return the reminder for a task that is due then, whose owner is in this zone."""
        if self.minutes_before is None:
            return self
        if due_date is None:
            return replace(self, at=None)
        start = due_date.at
        if due_date.day is not None:
            start = zone.moment(datetime.combine(due_date.day, time.min))
        return replace(self, at=start - timedelta(minutes=self.minutes_before))


class Reminders(tuple[Reminder, ...]):
    """Up to 5 different reminders in the order in which they were given."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: RawReminders, zone: TimeZone) -> Self:
        """Return these reminders. Those that depend on the due date have no moment yet.

        Of several that are the same, the first is kept. A time without an offset is local to the
        zone.

        Raises:
            ValidationFailed: naming every value that breaks its rules, as `reminders/3/remind_at`,
                or `reminders` if there are too many, or `remind_at` if it is the only one.
        """
        if isinstance(raw, str):
            return cls([_at(raw, zone, "remind_at")] if raw.strip() else ())
        errors: list[FieldError] = []
        reminders: dict[object, Reminder] = {}
        for index, fields in enumerate(raw or ()):
            try:
                reminder = _parse(fields, zone, f"reminders/{index}")
            except ValidationFailed as failure:
                errors += failure.errors
            else:
                reminders.setdefault((reminder.minutes_before, reminder.at), reminder)
        if len(reminders) > MAX_REMINDERS:
            message = f"Reminders must have at most {MAX_REMINDERS} items."
            errors.append(FieldError("reminders", "too_long", message))
        if errors:
            raise ValidationFailed(*errors)
        return cls(reminders.values())

    @property
    def has_relative(self) -> bool:
        """Whether the moment of any of them depends on when the task is due."""
        return any(reminder.is_relative for reminder in self)

    @property
    def relative(self) -> Self:
        """Those whose moments depend on when the task is due."""
        return type(self)(reminder for reminder in self if reminder.is_relative)

    def are_like(self, others: "Reminders") -> bool:
        """Return whether the owner has entered the same, whatever the moments are."""
        return self.entered == others.entered

    @property
    def entered(self) -> Sequence[datetime | int | None]:
        """What the owner has entered: moments, or numbers of minutes before the due date."""
        return [each.at if each.minutes_before is None else each.minutes_before for each in self]

    def for_due_date(self, due_date: DueDate | None, zone: TimeZone) -> Self:
        """Return the reminders for a task that is due then, whose owner is in this zone."""
        if not self.has_relative:
            return self
        return type(self)(reminder.for_due_date(due_date, zone) for reminder in self)

    def require_due_date(self, *, former: Iterable[Reminder]) -> None:
        """Refuse reminders that depend on the due date of a task that has none.

        Those that it had formerly may stay. They are without effect until it is due again.

        Raises:
            ValidationFailed: naming every such reminder, as `reminders/3/minutes_before`.
        """
        known = {reminder.minutes_before for reminder in former}
        message = "Minutes before needs a due date."
        errors = [
            FieldError(f"reminders/{index}/minutes_before", "needs_due_date", message)
            for index, reminder in enumerate(self)
            if reminder.is_relative and reminder.minutes_before not in known
        ]
        if errors:
            raise ValidationFailed(*errors)

    def next_after(self, moment: datetime) -> datetime | None:
        """Return the earliest moment of a reminder that is later than this one, or None."""
        return min((each.at for each in self if each.at and each.at > moment), default=None)

    def due(self, since: datetime, until: datetime) -> Sequence[datetime]:
        """Return the moments of reminders from one moment to another one, in their order."""
        return sorted({each.at for each in self if each.at and since <= each.at <= until})


NO_REMINDERS = Reminders()


def need_zone(raw: RawReminders) -> bool:
    """Return whether reminders that are written like this depend on the time zone."""
    times = [raw] if isinstance(raw, str) else [each.get("remind_at") for each in raw or ()]
    return any(map(depends_on_zone, times))


def _parse(fields: Mapping[str, object], zone: TimeZone, path: str) -> Reminder:
    minutes, text = fields.get("minutes_before"), fields.get("remind_at")
    if isinstance(minutes, int):
        if 0 <= minutes <= MAX_MINUTES_BEFORE:
            return Reminder(None, minutes)
        message = f"Minutes before must be from 0 to {MAX_MINUTES_BEFORE}."
        raise ValidationFailed(FieldError(f"{path}/minutes_before", "out_of_range", message))
    if isinstance(text, str) and text.strip():
        return _at(text, zone, f"{path}/remind_at")
    message = "Reminder must have either remind_at or minutes_before."
    raise ValidationFailed(FieldError(path, "required", message))


def _at(text: str, zone: TimeZone, field: str) -> Reminder:
    try:
        moment = DueDate.parse(text, zone)
    except ValidationFailed:
        moment = None
    if moment is None or moment.day is not None:
        message = (
            "Remind at must be a time such as 2026-12-01T16:00:00Z, in the years 1970 to 9999."
        )
        raise ValidationFailed(FieldError(field, "invalid_time", message))
    return Reminder(moment.at)
