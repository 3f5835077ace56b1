"""How a task repeats: what follows when it is completed."""

from dataclasses import dataclass, replace
from datetime import date, datetime, time
from enum import StrEnum
from typing import Self

from todo_core.entities.due_date import DueDate
from todo_core.entities.recurrence import RecurrenceRule
from todo_core.entities.time_zone import TimeZone
from todo_core.errors import FieldError, ValidationFailed


class RepeatFrom(StrEnum):
    """What the next occurrence is counted from."""

    DUE = "due"
    COMPLETION = "completion"

    @classmethod
    def parse(cls, raw: str | None) -> Self:
        """Return the member with this name, or `DUE` if there is no name.

        Raises:
            ValidationFailed: if there is no member with this name.
        """
        try:
            return cls(raw.strip().lower()) if raw else cls("due")
        except ValueError:
            message = f"Repeat from must be {' or '.join(cls)}."
            raise ValidationFailed(FieldError("repeat_from", "unknown_value", message)) from None


@dataclass(frozen=True, slots=True)
class Repetition:
    """How a task repeats: by which rule, and what the next occurrence is counted from.

    A task without a due date repeats from its completion in any case. `clock` is the time of day at
    which the occurrences are due, if the task is due at another one, because its day has no such
    time: clocks skip it when they are set forward.
    """

    rule: RecurrenceRule
    repeat_from: RepeatFrom = RepeatFrom.DUE
    clock: time | None = None

    def for_due_date(
        self, due_date: DueDate | None, zone: TimeZone, *, former: DueDate | None = None
    ) -> Self:
        """Return the repetition for a task that is due then, whose owner is in this zone.

        If the task was due at a `former` date, its occurrences move with it.

        Raises:
            ValidationFailed: if the rule cannot be applied to such a task.
        """
        if due_date is None or self.repeat_from is RepeatFrom.COMPLETION:
            rule = self.rule if former is None else self.rule.without_start()
            return replace(self, rule=rule.for_completion(), clock=None)
        start = _start(due_date, zone)
        rule = self.rule if former is None else self.rule.for_moved_start(start)
        return replace(self, rule=rule.for_start(start), clock=None)

    def following(
        self, due_date: DueDate | None, *, completed_at: datetime, zone: TimeZone
    ) -> tuple[DueDate, Self] | None:
        """Return when the next task is due, and how it repeats, or None if the series has ended.

        The next task is due after the one that was completed, and after its completion, so that
        missed occurrences do not pile up.
        """
        start = None if due_date is None else self._start(due_date, zone)
        if due_date is None or start is None or self.repeat_from is RepeatFrom.COMPLETION:
            day = zone.local(completed_at).date()
            successor = self.rule.next_from_completion(day, start, zone)
        else:
            successor = self.rule.next_after(start, max(due_date.at, completed_at), zone)
        if successor is None:
            return None
        if not isinstance(successor.start, datetime):
            day = successor.start
            return DueDate(zone.end_of(day), day), replace(self, rule=successor.rule)
        at = zone.moment(successor.start)
        wanted = successor.start.time()
        clock = None if zone.local(at).time() == wanted else wanted
        return DueDate(at), replace(self, rule=successor.rule, clock=clock)

    def _start(self, due_date: DueDate, zone: TimeZone) -> date | datetime:
        start = _start(due_date, zone)
        if self.clock is None or not isinstance(start, datetime):
            return start
        wanted = datetime.combine(start, self.clock)
        # The owner may have moved to a zone in which the task is due at another time of day.
        return wanted if zone.moment(wanted) == due_date.at else start


def _start(due_date: DueDate, zone: TimeZone) -> date | datetime:
    return zone.local(due_date.at) if due_date.day is None else due_date.day
