"""What has changed among the tasks of an owner, for clients that keep a copy of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from todo_core.entities.task import Task, TaskId


@dataclass(frozen=True, slots=True)
class Change:
    """The newest change of one task: its state, or None if it was deleted.

    Changes of an owner are ordered by their revision.
    """

    id: TaskId
    revision: int
    task: Task | None


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """Some changes in the order of their revisions, and the state of their owner at that moment.

    `revision` is the newest one of the owner. Of the tasks that were deleted up to
    `purged_revision`, some are no longer known.
    """

    changes: Sequence[Change]
    revision: int
    purged_revision: int


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """Some changes, the token that continues after them, and whether there are more already.

    `revision` is the newest one of the owner at that moment.
    """

    changes: Sequence[Change]
    next_token: str
    has_more: bool
    revision: int
