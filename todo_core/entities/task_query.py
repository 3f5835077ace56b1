"""Which of an owner's tasks are listed, and in which order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from todo_core.entities.priority import Priority
from todo_core.entities.task import Task, TaskId
from todo_core.entities.text import SearchText
from todo_core.entities.time_zone import TimeZone

_NEVER = datetime.min.replace(tzinfo=UTC)


class TaskOrder(StrEnum):
    """What tasks are sorted by. Those with the same value are sorted by their id.

    Tasks that have no value come last, whatever the direction.
    """

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    COMPLETED_AT = "completed_at"
    DUE_DATE = "due_date"
    POSITION = "position"
    PRIORITY = "priority"
    TITLE = "title"


type When = datetime | date
"""A moment (an aware datetime), or a local time or the start of a day in the owner's time zone."""


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """A filter for the tasks of an owner, and an order. By default all tasks, the newest first.

    The times of creation and of changes are exclusive. A task matches `due_after` if it is due then
    or later, and `due_before` if it is due before. A task is `overdue` if it is open and was due
    before `now`. `tags` are keys of tags, all of which a task must have, and of `any_tags` it must
    have at least one. `parent_id` matches the subtasks of this task, and `has_parent` all subtasks
    or all other tasks. A search matches the tasks that contain the text. With `deleted`, the
    tasks are those in the trash instead of the others.
    """

    completed: bool | None = None
    priorities: frozenset[Priority] | None = None
    tags: frozenset[str] | None = None
    any_tags: frozenset[str] | None = None
    parent_id: TaskId | None = None
    has_parent: bool | None = None
    due_after: When | None = None
    due_before: When | None = None
    has_due: bool | None = None
    overdue: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    search: SearchText | None = None
    order: TaskOrder = TaskOrder.CREATED_AT
    descending: bool = True
    deleted: bool = False
    now: datetime = _NEVER

    @property
    def depends_on_zone(self) -> bool:
        """Whether what matches depends on the time zone of the owner."""
        return any(map(_is_local, (self.due_after, self.due_before)))

    @property
    def depends_on_clock(self) -> bool:
        """Whether what matches changes as time passes."""
        return self.overdue is not None

    def in_zone(self, zone: TimeZone) -> "TaskQuery":
        """Return the query of an owner in this time zone, in which all times are moments."""
        return replace(
            self,
            due_after=_moment(self.due_after, zone),
            due_before=_moment(self.due_before, zone),
        )

    def includes(self, task: Task) -> bool:
        """Return whether the filter matches this task. `deleted` is for the caller to check."""
        return (
            self.completed in (None, task.completed)
            and (self.priorities is None or task.priority in self.priorities)
            and (self.tags is None or self.tags.issubset(task.tags.keys))
            and (self.any_tags is None or not self.any_tags.isdisjoint(task.tags.keys))
            and self.parent_id in (None, task.parent_id)
            and self.has_parent in (None, task.parent_id is not None)
            and self._includes_due(task)
            and (self.created_after is None or task.created_at > self.created_after)
            and (self.created_before is None or task.created_at < self.created_before)
            and (self.updated_after is None or task.updated_at > self.updated_after)
            and (self.search is None or task.contains(self.search))
        )

    def _includes_due(self, task: Task) -> bool:
        due_at = None if task.due_date is None else task.due_date.at
        return (
            self.has_due in (None, due_at is not None)
            and self.overdue in (None, task.is_overdue(self.now))
            and (self.due_after is None or (due_at is not None and due_at >= self.due_after))
            and (self.due_before is None or (due_at is not None and due_at < self.due_before))
        )

    @property
    def has_only_status(self) -> bool:
        """Whether the filter depends on nothing but `completed`."""
        return self == TaskQuery(
            completed=self.completed, order=self.order, descending=self.descending, now=self.now
        )

    @property
    def fingerprint(self) -> str:
        """A string that is the same for queries that are equal but for `now`, and for no others."""
        parts = (getattr(self, each.name) for each in fields(self) if each.name != "now")
        return repr([sorted(part) if isinstance(part, frozenset) else part for part in parts])


ALL_TASKS = TaskQuery()
"""All tasks that are not deleted, the newest first."""


def _is_local(when: When | None) -> bool:
    return when is not None and (not isinstance(when, datetime) or when.tzinfo is None)


def _moment(when: When | None, zone: TimeZone) -> datetime | None:
    if not isinstance(when, datetime):
        return None if when is None else zone.start_of(when)
    return zone.moment(when) if when.tzinfo is None else when


type SortValue = datetime | int | str | None
"""The value that decides the place of a task: a time, a revision, a priority or a sort key."""


@dataclass(frozen=True, slots=True)
class Position:
    """The place of a task in an order: the value that decides, and then the id."""

    value: SortValue
    id: TaskId

    @classmethod
    def of(cls, task: Task, order: TaskOrder, *, revision: int) -> "Position":
        """Return the position of this task, whose newest change has this revision."""
        return cls(_VALUES[order](task, revision), task.id)

    @classmethod
    def parse(cls, text: str, order: TaskOrder) -> "Position":
        """Parse a position in this order from the string that `str` returned for it."""
        value, _, task_id = text.rpartition(" ")
        return cls(_PARSERS[order](value) if value else None, TaskId(int(task_id)))

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return f"{'' if value is None else value} {self.id}"

    def sort_key(self, *, descending: bool) -> tuple[bool, Any, TaskId]:
        """Return what sorts positions, in descending order if `descending`.

        Either way, those without a value come last.
        """
        is_missing = self.value is None
        return is_missing is not descending, 0 if is_missing else self.value, self.id


_VALUES: Mapping[TaskOrder, Callable[[Task, int], SortValue]] = {
    TaskOrder.CREATED_AT: lambda task, _: task.created_at,
    TaskOrder.UPDATED_AT: lambda _, revision: revision,
    TaskOrder.COMPLETED_AT: lambda task, _: task.completed_at,
    TaskOrder.DUE_DATE: lambda task, _: None if task.due_date is None else task.due_date.at,
    TaskOrder.POSITION: lambda task, _: task.position,
    TaskOrder.PRIORITY: lambda task, _: int(task.priority),
    TaskOrder.TITLE: lambda task, _: task.title.sort_key,
}
_PARSERS: Mapping[TaskOrder, Callable[[str], SortValue]] = {
    TaskOrder.CREATED_AT: datetime.fromisoformat,
    TaskOrder.UPDATED_AT: int,
    TaskOrder.COMPLETED_AT: datetime.fromisoformat,
    TaskOrder.DUE_DATE: datetime.fromisoformat,
    TaskOrder.POSITION: str,
    TaskOrder.PRIORITY: int,
    TaskOrder.TITLE: str,
}


@dataclass(frozen=True, slots=True)
class Found:
    """Some of an owner's tasks, and the revision of the owner at that moment.

    The revision is 0 if there are no tasks: no query is spent on it. `last` is the position of the
    last one if more tasks follow, and otherwise None.
    """

    tasks: Sequence[Task]
    revision: int
    last: Position | None


@dataclass(frozen=True, slots=True)
class TaskPage:
    """Some of the tasks that a query matches, in its order.

    `revision` is that of the owner at that moment, or 0 if there are no tasks. `next_cursor`
    continues after these tasks, and is None after the last one. `total` is how many tasks the
    query matches, if that was requested. A page that `is_unchanged` has no tasks: the caller has
    them already.
    """

    tasks: Sequence[Task]
    revision: int
    next_cursor: str | None = None
    total: int | None = None
    is_unchanged: bool = False
