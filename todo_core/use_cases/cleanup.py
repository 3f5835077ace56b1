"""Removing what is of no use to anybody any more."""

from dataclasses import dataclass
from datetime import timedelta

from todo_core.ports.clock import Clock
from todo_core.ports.repositories import PasswordResetRepository, SessionRepository

BATCH = 500
"""How many rows of a kind are removed at a time, so that nobody has to wait for it."""


@dataclass(frozen=True, slots=True)
class CleanUp:
    """The service removes sessions that are over, and resets that have expired.

    It removes a bounded number and says how many, so that it may be called again;
    several processes may do so at once. Notes of ended sessions are kept for as
    long as their access tokens may live, our own or an external issuer's.
    """

    sessions: SessionRepository
    password_resets: PasswordResetRepository
    idle_lifetime: timedelta
    access_token_lifetime: timedelta
    external_token_lifetime: timedelta
    clock: Clock

    def __call__(self) -> int:
        now = self.clock.now()
        return self.sessions.forget(
            expired=now,
            idle=now - self.idle_lifetime,
            ended=now - self.access_token_lifetime,
            ended_externally=now - self.external_token_lifetime,
            limit=BATCH,
        ) + self.password_resets.forget(expired=now, limit=BATCH)
