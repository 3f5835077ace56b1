"""The reminders that are to be fired, those that were, and their emails.

A reminder is fired once: it is recorded, in the transaction in which the task gets the moment of
its next one. What was recorded is delivered at least once, even if a process is killed in between.
All methods may be called by several processes at once.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from todo_core.entities.fired_reminder import ClaimedEmail, FiredReminder
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId


class ReminderRepository(Protocol):
    """The moments at which tasks remind, and the reminders that were fired."""

    @abstractmethod
    def due(self, *, now: datetime, limit: int) -> Mapping[UserId, Sequence[TaskId]]:
        """Return at most `limit` tasks that have a reminder to be fired, by their owners.

        Those that have waited longest are chosen. Nothing is locked.
        """

    @abstractmethod
    def fire(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, now: datetime, with_emails: bool
    ) -> int:
        """Record the reminders of these tasks of the owner that are to be fired by now.

        Each task then has the moment of its next reminder. Tasks that are completed only lose
        theirs. Tasks that another transaction changes are left out. The owner takes the next
        revision if a reminder is recorded; what was recorded before is not recorded again. The
        tasks keep their versions and revisions. With emails, theirs are to be sent now.

        Return how many tasks were handled.

        Raises:
            AccountGone: if the owner was deleted.
            StaleVersion: if another transaction got in the way.
        """

    @abstractmethod
    def fired_after(self, revisions: Mapping[UserId, int]) -> Sequence[FiredReminder]:
        """Return what was fired for these owners after a revision of each.

        It is in the order of revisions, and for each in the order of moments and tasks.
        """

    @abstractmethod
    def claim_emails(
        self, *, now: datetime, until: datetime, latest: datetime, limit: int
    ) -> Sequence[ClaimedEmail]:
        """Return at most `limit` emails that are to be sent now, and claim each until a time.

        Nobody else gets them before that. One that was put off until after `latest` counts as
        expired: the clock was wrong when that happened.
        """

    @abstractmethod
    def settle_email(self, reminder: FiredReminder) -> None:
        """Record that no email is to be sent for this reminder any more."""

    @abstractmethod
    def put_off_email(self, reminder: FiredReminder, *, until: datetime) -> None:
        """Let the email of this reminder be sent at this time, unless it was settled."""

    @abstractmethod
    def purge(self, *, fired_before: datetime, limit: int) -> int:
        """Delete at most `limit` reminders that were fired before this time. Return how many."""
