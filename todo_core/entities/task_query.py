"""Which of an owner's tasks are listed, and in which order."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from enum import StrEnum

from todo_core.entities.task import Task, TaskId
from todo_core.entities.text import SearchText


class TaskOrder(StrEnum):
    """By what tasks are sorted. Those with the same value are sorted by their id."""

    CREATED_AT = "created_at"
    UPDATED_AT = "updated_at"
    TITLE = "title"


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """A filter for the tasks of an owner, and an order. By default all tasks, the newest first.

    The times are exclusive. A search matches the tasks that contain the text. With `deleted`, the
    tasks are those in the trash instead of the others.
    """

    completed: bool | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    search: SearchText | None = None
    order: TaskOrder = TaskOrder.CREATED_AT
    descending: bool = True
    deleted: bool = False

    def includes(self, task: Task) -> bool:
        """Return whether the filter matches this task. `deleted` is for the caller to check."""
        return (
            self.completed in (None, task.completed)
            and (self.created_after is None or task.created_at > self.created_after)
            and (self.created_before is None or task.created_at < self.created_before)
            and (self.updated_after is None or task.updated_at > self.updated_after)
            and (self.search is None or task.contains(self.search))
        )

    @property
    def has_only_status(self) -> bool:
        """Whether the filter depends on nothing but `completed`."""
        others = (self.created_after, self.created_before, self.updated_after, self.search)
        return not self.deleted and all(other is None for other in others)

    @property
    def fingerprint(self) -> str:
        """A string that is the same for equal queries only."""
        return repr(astuple(self))


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """The place of a task in an order: the value that decides, and then the id.

    Positions in the same order can be compared. The value is the time of creation, the revision of
    the newest change, or the sort key of the title.
    """

    value: datetime | int | str
    id: TaskId

    @classmethod
    def of(cls, task: Task, order: TaskOrder, *, revision: int) -> "Position":
        """Return the position of this task, whose newest change has this revision."""
        match order:
            case TaskOrder.CREATED_AT:
                return cls(task.created_at, task.id)
            case TaskOrder.UPDATED_AT:
                return cls(revision, task.id)
            case TaskOrder.TITLE:
                return cls(task.title.sort_key, task.id)

    @classmethod
    def parse(cls, text: str, order: TaskOrder) -> "Position":
        """Parse a position in this order from the string that `str` returned for it."""
        value, _, task_id = text.rpartition(" ")
        return cls(_PARSERS[order](value), TaskId(int(task_id)))

    def __str__(self) -> str:
        value = self.value.isoformat() if isinstance(self.value, datetime) else self.value
        return f"{value} {self.id}"


_PARSERS: Mapping[TaskOrder, Callable[[str], datetime | int | str]] = {
    TaskOrder.CREATED_AT: datetime.fromisoformat,
    TaskOrder.UPDATED_AT: int,
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
