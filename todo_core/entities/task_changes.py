"""What has changed among the tasks of an owner, for clients that keep a copy of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from todo_core.entities.task import Task, TaskId

TOMBSTONE_LIFETIME = timedelta(days=60)
"""How long it is known that a task was deleted, after its contents are gone.

A client that keeps a copy of the tasks must read their changes once in this time.
"""


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
