"""Revoking sessions: a step of several use cases."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.clock import Clock
from todo_core.ports.repositories import SessionRepository
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import UnitOfWork


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

    def everywhere(
        self, work: UnitOfWork, user_id: UserId, *, issued_until: datetime | None = None
    ) -> Sequence[SessionId]:
        """Revoke all sessions of the user within a unit of work, and return their ids.

        Of those at external issuers, these are the tokens that were issued until now, or until
        `issued_until` if that is later: the clock of an issuer may be ahead.
        """
        now = self.clock.now()
        until = now if issued_until is None else max(now, issued_until)
        external = [identity.session_id for identity in work.identities.list(user_id)]
        for session_id in external:
            work.revocations.revoke_external(session_id, now=until)
        return [*work.sessions.revoke_all(user_id, now=now), *external]

    def announce(self, session_ids: Iterable[SessionId], *, user_id: UserId) -> None:
        """Record revoked sessions in this process and in the security log."""
        revoked = list(session_ids)
        self.revoked_sessions.add(revoked)
        for session_id in revoked:
            self.security_log.record(
                SecurityEvent.SESSION_ENDED, user_id=user_id, session_id=session_id
            )
