"""Removing what is of no use to anybody any more."""

from dataclasses import dataclass
from datetime import timedelta

from todo_core.ports.clock import Clock
from todo_core.ports.repositories import (
    PasswordResetRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)

BATCH = 1000
"""How many rows of a kind are deleted at a time, so that no other writer has to wait for long."""


@dataclass(frozen=True, slots=True)
class PurgeDeleted:
    """The service deletes what is left of accounts that are marked as deleted.

    Each call deletes a bounded number of rows and returns how many. Call it until it returns 0;
    several processes may do so at once.
    """

    users: UserRepository
    tasks: TaskRepository

    def __call__(self) -> int:
        for user_id in self.users.marked(limit=1):
            removed = self.tasks.remove_some(user_id, limit=BATCH)
            return removed or int(self.users.purge(user_id))
        return 0


@dataclass(frozen=True, slots=True)
class CleanUp:
    """The service removes expired sessions and resets, and what is left of deleted accounts.

    It removes a bounded number and returns how many, so that it may be called until that is
    none; several processes may do so at once. Notes of ended sessions are kept for as
    long as their access tokens may live, our own or an external issuer's.
    """

    purge_deleted: PurgeDeleted
    sessions: SessionRepository
    password_resets: PasswordResetRepository
    idle_lifetime: timedelta
    access_token_lifetime: timedelta
    external_token_lifetime: timedelta
    clock: Clock

    def __call__(self) -> int:
        now = self.clock.now()
        return (
            self.purge_deleted()
            + self.sessions.forget(
                expired=now,
                idle=now - self.idle_lifetime,
                ended=now - self.access_token_lifetime,
                ended_externally=now - self.external_token_lifetime,
                limit=BATCH,
            )
            + self.password_resets.forget(expired=now, limit=BATCH)
        )
