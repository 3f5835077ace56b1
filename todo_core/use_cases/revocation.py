"""Revoking sessions: a step of several use cases."""

from collections.abc import Iterable
from dataclasses import dataclass

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.clock import Clock
from todo_core.ports.repositories import SessionRepository
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.security_log import SecurityEvent, SecurityLog


@dataclass(frozen=True, slots=True)
class RevokeSessions:
    """Revoke a user's sessions: their access and refresh tokens are no longer accepted.

    In this process that takes effect immediately, in others within the interval in which they
    check. Each revoked session is recorded in the security log.

    Use cases that revoke sessions within a unit of work call `announce` when it is committed.
    """

    sessions: SessionRepository
    revoked_sessions: RevokedSessions
    clock: Clock
    security_log: SecurityLog

    def __call__(self, session_id: SessionId, *, user_id: UserId) -> None:
        """Revoke one session.

        Raises:
            SessionNotFound: if the user has no such session.
        """
        self.sessions.revoke(session_id, user_id=user_id, now=self.clock.now())
        self.announce([session_id], user_id=user_id)

    def all_but(self, session_id: SessionId, *, user_id: UserId) -> None:
        """Revoke all of the user's sessions but this one."""
        revoked = self.sessions.revoke_all(user_id, keep=session_id, now=self.clock.now())
        self.announce(revoked, user_id=user_id)

    def announce(self, session_ids: Iterable[SessionId], *, user_id: UserId) -> None:
        """Record revoked sessions in this process and in the security log."""
        revoked = list(session_ids)
        self.revoked_sessions.add(revoked)
        for session_id in revoked:
            self.security_log.record(
                SecurityEvent.SESSION_ENDED, user_id=user_id, session_id=session_id
            )
