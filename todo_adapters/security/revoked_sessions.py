"""The sessions that were revoked, by this process and by others."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from todo_core.entities.session import SessionId
from todo_core.ports.clock import Clock
from todo_core.ports.repositories import RevocationRepository
from todo_core.ports.revoked_sessions import RevokedSessions

_OVERLAP = timedelta(minutes=10)
"""How far each poll looks back, for late commits and for processes whose clocks are behind."""


class PolledRevokedSessions(RevokedSessions):
    """Keeps the sessions that this process revoked, and polls for those that others revoked.

    Call `poll` every few seconds: then no request needs a query, and revocations by other
    processes are known here within that time. A session is removed after `remember`, when the
    last of its access tokens has expired.
    """

    def __init__(
        self, revocations: RevocationRepository, clock: Clock, *, remember: timedelta
    ) -> None:
        self._revocations = revocations
        self._clock = clock
        self._remember = remember + _OVERLAP
        self._revoked: dict[SessionId, datetime] = {}
        self._polled_at: datetime | None = None

    def add(self, session_ids: Iterable[SessionId]) -> None:
        now = self._clock.now()
        for session_id in session_ids:
            self._revoked[session_id] = now

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._revoked

    def poll(self) -> None:
        """Look for sessions that other processes have revoked since the last poll.

        Raises:
            Unavailable: if the repository does not respond; the known sessions are kept.
        """
        now = self._clock.now()
        lookback = _OVERLAP if self._polled_at else self._remember
        self.add(self._revocations.revoked_since((self._polled_at or now) - lookback))
        self._polled_at = now
        expired = [
            session_id
            for session_id, added_at in list(self._revoked.items())
            if added_at < now - self._remember
        ]
        for session_id in expired:
            del self._revoked[session_id]
