"""Tasks. Only their owner can see them."""

from collections.abc import Callable, Mapping, Sequence, Set
from copy import replace
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, NewType, Self, TypedDict, Unpack

from todo_core.entities.due_date import DueDate, depends_on_zone
from todo_core.entities.priority import Priority
from todo_core.entities.rank import Rank
from todo_core.entities.recurrence import RecurrenceRule
from todo_core.entities.reminders import GRACE, NO_REMINDERS, RawReminders, Reminders
from todo_core.entities.reminders import need_zone as reminders_need_zone
from todo_core.entities.repetition import RepeatFrom, Repetition
from todo_core.entities.tags import NO_TAGS, Tags
from todo_core.entities.text import Prose, SearchText, Text, Validation, fold, searchable
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import ValidationFailed

TaskId = NewType("TaskId", int)
"""A positive integer below 2**53, which every JSON parser reads exactly (RFC 8259 §6)."""


class Title(Text):
    """The title of a task: 1 to 200 characters on one line, without surrounding white space."""

    __slots__ = ()

    field = "title"
    max_length = 200

    @property
    def sort_key(self) -> str:
        """The text by which titles are sorted, code point by code point.

        It is cut to the length of a title, since folding can lengthen text: a ligature becomes
        several characters.
        """
        return fold(self)[: self.max_length]


class Description(Prose):
    """The description of a task: 1 to 1000 characters on one or more lines."""

    __slots__ = ()

    field = "description"
    max_length = 1000

    @classmethod
    def or_none(cls, raw: str | None) -> Self | None:
        """Return the description, or None if it is absent or empty."""
        return cls(raw) if raw else None


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many tasks an owner has, and the revision of the newest change to any of them.

    The revision of an owner is 0 before their first change, and grows with each one.
    """

    revision: int
    total: int
    completed: int
    overdue: int = 0
    """How many open tasks were due before now, if that was counted."""

    @property
    def pending(self) -> int:
        """How many are not completed."""
        return self.total - self.completed


class _Details(TypedDict, total=False):
    """The fields that a new task may be given, and that may be changed later."""

    description: str | None
    priority: str | None
    due_date: str | None
    tags: Sequence[str] | None
    reminders: RawReminders
    parent_id: TaskId | None
    recurrence_rule: str | None
    repeat_from: str | None


class NewTaskFields(_Details):
    """The fields of a new task, as its owner wrote them. Those that are missing have defaults."""

    title: str


class TaskFields(_Details, total=False):
    """The fields of a task to change, as its owner wrote them. The others keep their values."""

    title: str
    completed: bool


_PARSERS: Mapping[str, Callable[[Any, TimeZone], object]] = {
    "title": lambda raw, _: Title(raw),
    "description": lambda raw, _: Description.or_none(raw),
    "priority": lambda raw, _: Priority.parse(raw),
    "due_date": DueDate.or_none,
    "tags": lambda raw, _: Tags.parse(raw),
    "reminders": Reminders.parse,
    "parent_id": lambda raw, _: raw,
    "recurrence_rule": lambda raw, _: RecurrenceRule.or_none(raw),
    "repeat_from": lambda raw, _: RepeatFrom.parse(raw),
}
"""How each field is parsed from what an owner in a time zone wrote."""


def need_zone(fields: Mapping[str, Any]) -> bool:
    """Return whether the values of these fields depend on the time zone of the owner."""
    return (
        bool(fields.get("recurrence_rule"))
        or depends_on_zone(fields.get("due_date"))
        or reminders_need_zone(fields.get("reminders"))
    )


def parsed(fields: Mapping[str, Any], zone: TimeZone = DEFAULT_TIME_ZONE) -> dict[str, Any]:
    """Return the values of these fields, other than `completed`, which has no rules.

    Raises:
        ValidationFailed: naming every field that breaks its rules.
    """
    with Validation() as valid:
        return {
            name: valid(parse, fields[name], zone)
            for name, parse in _PARSERS.items()
            if name in fields
        }


class Task(NamedTuple):
    """A task and its owner.

    A named tuple is made in a fifth of the time that a frozen dataclass takes, and a list of tasks
    has hundreds.

    `position` is its place in the order that the owner has chosen. `parent_id` is the id of the
    task of which it is a subtask. `completed_at` is when it was completed, and None as long as it
    is open. A completed task keeps its `repetition` in case it is reopened, and `next_id` is the id
    of the task that follows it. `version` counts how often the
    task was saved. It makes concurrent changes safe (see
    `todo_core.ports.repositories.TaskRepository.save`). All times are aware and in UTC.
    """

    id: TaskId
    owner_id: UserId
    title: Title
    description: Description | None
    priority: Priority
    due_date: DueDate | None
    tags: Tags
    reminders: Reminders
    position: Rank
    parent_id: TaskId | None
    repetition: Repetition | None
    next_id: TaskId | None
    completed_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def create(
        cls,
        *,
        id: TaskId,
        owner_id: UserId,
        now: datetime,
        zone: TimeZone = DEFAULT_TIME_ZONE,
        **fields: Unpack[NewTaskFields],
    ) -> "Task":
        """Create a task of an owner in this time zone, which is not completed.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        values = {**_DEFAULTS, **parsed(fields, zone)}
        _time_reminders(values, NO_REMINDERS, values["due_date"], zone)
        return cls(
            id=id,
            owner_id=owner_id,
            position=Rank.of_new_task(now, id),
            repetition=_repetition(values, None, values["due_date"], None, zone),
            next_id=None,
            completed_at=None,
            version=1,
            created_at=now,
            updated_at=now,
            **values,
        )

    @property
    def completed(self) -> bool:
        """Whether the task is completed."""
        return self.completed_at is not None

    def is_overdue(self, now: datetime) -> bool:
        """Return whether the task is open, and was due before this moment."""
        return not self.completed and self.due_date is not None and self.due_date.at < now

    def edited(
        self,
        *,
        now: datetime,
        zone: TimeZone = DEFAULT_TIME_ZONE,
        **fields: Unpack[TaskFields],
    ) -> "Task":
        """Return the task with these fields changed by its owner, who is in this time zone.

        If nothing changes, this same object is returned, so that the caller need not save it. That
        a task with a successor has no rule is no change: it is what clients see of it.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        values = parsed(fields, zone)
        if self.next_id is not None and values.get("recurrence_rule", ...) is None:
            # The successor has the rule now, and clients send back that this task shows none.
            del values["recurrence_rule"]
        due_date = values.get("due_date", self.due_date)
        values["repetition"] = _repetition(values, self.repetition, due_date, self.due_date, zone)
        if "reminders" in values or due_date != self.due_date:
            _time_reminders(values, self.reminders, due_date, zone)
        changed = {name: value for name, value in values.items() if value != getattr(self, name)}
        if fields.get("completed", self.completed) != self.completed:
            changed["completed_at"] = None if self.completed else now
        return replace(self, **changed, updated_at=now) if changed else self

    def needs_unit(self, fields: TaskFields) -> bool:
        """Return whether a change of these fields depends on the zone, or concerns another task."""
        repeats = self.repetition is not None or self.next_id is not None
        return (
            (repeats and not _OF_REPETITION.isdisjoint(fields))
            or fields.get("parent_id", self.parent_id) not in (None, self.parent_id)
            or need_zone(fields)
            or self._reminds_by_day(fields)
        )

    def _reminds_by_day(self, fields: TaskFields) -> bool:
        """Return whether moments of reminders change that count from a day in the zone."""
        if self.due_date is None or self.due_date.day is None:
            return False
        return bool(fields.get("reminders")) or (
            self.reminders.has_relative and "completed" in fields
        )

    def fields_unlike(self, other: "Task") -> Set[str]:
        """Return the names of the fields that differ, apart from the time of the change."""
        names = zip(Task._fields, self, other, strict=True)
        return {name for name, own, its in names if own != its} - {"updated_at"}

    @property
    def remind_at(self) -> datetime | None:
        """When the task reminds next: at a moment after its last change, or just before it."""
        return self.next_reminder(self.updated_at - GRACE)

    def next_reminder(self, after: datetime) -> datetime | None:
        """Return the first moment after this one at which the task reminds, if it is open."""
        return None if self.completed else self.reminders.next_after(after)

    def successor(self, id: TaskId, *, now: datetime, zone: TimeZone) -> "Task | None":
        """Return the task that follows this one, which is completed now, or None if none does."""
        if self.repetition is None:
            return None
        following = self.repetition.following(self.due_date, completed_at=now, zone=zone)
        if following is None:
            return None
        due_date, repetition = following
        return replace(
            self,
            id=id,
            due_date=due_date,
            reminders=self.reminders.relative.for_due_date(due_date, zone),
            position=Rank.of_new_task(now, id),
            repetition=repetition,
            next_id=None,
            completed_at=None,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def copied(self, id: TaskId, *, parent: "Task", days: int, zone: TimeZone) -> "Task":
        """Return an open copy of this subtask for a task that follows its parent.

        The copy is due these many days later than this one, at the same time of day. If its rule
        has no occurrence from then on, it does not repeat.
        """
        due_date = None if self.due_date is None else self.due_date.postponed(days, zone)
        repetition = self.repetition
        if repetition is not None and due_date != self.due_date:
            try:
                repetition = repetition.for_due_date(due_date, zone, former=self.due_date)
            except ValidationFailed:
                repetition = None
        return replace(
            self,
            id=id,
            due_date=due_date,
            reminders=self.reminders.relative.for_due_date(due_date, zone),
            position=Rank.of_new_task(parent.created_at, id),
            parent_id=parent.id,
            repetition=repetition,
            next_id=None,
            completed_at=None,
            version=1,
            created_at=parent.created_at,
            updated_at=parent.created_at,
        )

    def moved(self, position: Rank, *, now: datetime) -> "Task":
        """Return the task at this place. If nothing changes, it is this same object."""
        if position == self.position:
            return self
        return replace(self, position=position, updated_at=now)

    def contains(self, text: SearchText) -> bool:
        """Return whether this text is in the title or in the description, all of them folded."""
        folded = fold(text)
        return folded in searchable(self.title) or (
            self.description is not None and folded in searchable(self.description)
        )

    def with_completion(self, completed: bool, *, now: datetime) -> "Task":
        """Return the task, completed or not. If nothing changes, it is this same object."""
        return self.edited(completed=completed, now=now)


_DEFAULTS: Mapping[str, object] = {
    "description": None,
    "priority": Priority.MEDIUM,
    "due_date": None,
    "tags": NO_TAGS,
    "reminders": NO_REMINDERS,
    "parent_id": None,
}
"""The values of the fields that a new task need not be given."""

_OF_REPETITION = {"completed", "due_date", "recurrence_rule", "repeat_from"}
"""The fields whose changes concern how a task repeats."""


def _time_reminders(
    values: dict[str, Any], current: Reminders, due_date: DueDate | None, zone: TimeZone
) -> None:
    """Set the moments of the reminders in the values, or of the current ones, for a due date.

    Raises:
        ValidationFailed: if new reminders need a due date, and there is none.
    """
    reminders: Reminders = values.get("reminders", current)
    if due_date is None:
        reminders.require_due_date(former=current)
    values["reminders"] = reminders.for_due_date(due_date, zone)


def _repetition(
    values: dict[str, Any],
    current: Repetition | None,
    due_date: DueDate | None,
    former: DueDate | None,
    zone: TimeZone,
) -> Repetition | None:
    """Take the fields of a repetition out of the values, and return how the task repeats then.

    Raises:
        ValidationFailed: if the rule cannot be applied to a task with this due date.
    """
    is_new = "recurrence_rule" in values
    rule = values.pop("recurrence_rule", current.rule if current else None)
    repeat_from = values.pop("repeat_from", current.repeat_from if current else RepeatFrom.DUE)
    if rule is None:
        return None
    repetition = Repetition(rule, repeat_from, current.clock if current else None)
    if repetition == current and due_date == former:
        return current
    return repetition.for_due_date(due_date, zone, former=None if is_new else former)
