"""Reminders whose moment has come."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, NewType
from uuid import UUID, uuid5

from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId

ReminderId = NewType("ReminderId", UUID)
"""Is the same for a moment of a task, however often the reminder is delivered."""


class FiredReminder(NamedTuple):
    """A reminder that was fired, and the revision of the owner at which it was.

    Several reminders of a task at the same moment are one.
    """

    owner_id: UserId
    task_id: TaskId
    remind_at: datetime
    revision: int

    @property
    def id(self) -> ReminderId:
        """The identifier of the reminder (RFC 9562 §5.5)."""
        return ReminderId(uuid5(self.owner_id, f"{self.task_id} {self.remind_at.isoformat()}"))


@dataclass(frozen=True, slots=True)
class ClaimedEmail:
    """The email of a reminder that this process is to send, and the number of this attempt."""

    reminder: FiredReminder
    fired_at: datetime
    attempt: int
