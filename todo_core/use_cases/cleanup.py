"""The clean-up: deleting data that is no longer needed."""

from dataclasses import dataclass
from datetime import timedelta

from todo_core.entities.idempotency import RETENTION
from todo_core.ports.clock import Clock
from todo_core.ports.reminders import ReminderRepository
from todo_core.ports.repositories import (
    KeptResponseRepository,
    PasswordResetRepository,
    RevocationRepository,
    SessionRepository,
    StreamTicketRepository,
    TaskRepository,
    UserRepository,
)
from todo_core.use_cases.reminders import FIRED_RETENTION
from todo_core.use_cases.trash import PurgeTrash

BATCH = 1000
"""How many rows of each kind are deleted at a time, so that other writers do not wait for long."""


@dataclass(frozen=True, slots=True)
class PurgeDeleted:
    """Delete what is left of accounts that are marked as deleted.

    Each call deletes a bounded number of rows and returns how many. Call it until it returns 0;
    several processes may do so at once.
    """

    users: UserRepository
    tasks: TaskRepository

    def __call__(self) -> int:
        for user_id in self.users.list_marked_deleted(limit=1):
            removed = self.tasks.remove_batch(user_id, limit=BATCH)
            return removed or int(self.users.purge(user_id))
        return 0


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Delete what is expired, and what is left of deleted accounts.

    Sessions, password resets, kept responses, tickets, fired reminders and deleted tasks expire.

    Each call deletes a bounded number of rows and returns how many. Call it until it returns 0;
    several processes may do so at once. Revocations are kept as long as an access token
    of the session may be unexpired: `access_token_lifetime` for our own sessions,
    `external_token_lifetime` for those of external issuers.
    """

    purge_deleted: PurgeDeleted
    purge_trash: PurgeTrash
    sessions: SessionRepository
    revocations: RevocationRepository
    password_resets: PasswordResetRepository
    kept_responses: KeptResponseRepository
    stream_tickets: StreamTicketRepository
    reminders: ReminderRepository
    idle_lifetime: timedelta
    access_token_lifetime: timedelta
    external_token_lifetime: timedelta
    clock: Clock

    def __call__(self) -> int:
        now = self.clock.now()
        return (
            self.purge_deleted()
            + self.purge_trash(limit=BATCH)
            + self.sessions.purge(
                expired_before=now, idle_since=now - self.idle_lifetime, limit=BATCH
            )
            + self.revocations.purge(
                revoked_before=now - self.access_token_lifetime,
                revoked_externally_before=now - self.external_token_lifetime,
                limit=BATCH,
            )
            + self.password_resets.purge(expired_before=now, limit=BATCH)
            + self.kept_responses.purge(claimed_before=now - RETENTION, limit=BATCH)
            + self.stream_tickets.purge(expired_before=now, limit=BATCH)
            + self.reminders.purge(fired_before=now - FIRED_RETENTION, limit=BATCH)
        )
