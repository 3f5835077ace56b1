"""The sessions that have ended, here and in other processes."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from todo_core.entities.session import SessionId
from todo_core.ports.clock import Clock
from todo_core.ports.repositories import RevocationRepository
from todo_core.ports.revoked_sessions import EndedSessions

_OVERLAP = timedelta(minutes=1)
"""How far back each look reaches: what was committed late, or by a clock that is behind."""


class PolledEndedSessions(EndedSessions):
    """Knows what it was told, and what it finds in the repository whenever it looks.

    It is to look (`poll`) every few seconds. So no request needs a query, and
    what another process ends is known here that soon. An ended session is
    forgotten when the last of its access tokens has expired, after `remember`.
    """

    def __init__(
        self, revocations: RevocationRepository, clock: Clock, *, remember: timedelta
    ) -> None:
        self._revocations = revocations
        self._clock = clock
        self._remember = remember + _OVERLAP
        self._ended: dict[SessionId, datetime] = {}
        self._looked_at: datetime | None = None

    def note(self, session_ids: Iterable[SessionId]) -> None:
        now = self._clock.now()
        for session_id in session_ids:
            self._ended[session_id] = now

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._ended

    def poll(self) -> None:
        """Look for what others have ended since the last time.

        Raises:
            Unavailable: if the repository does not answer; what is known stays known.
        """
        now = self._clock.now()
        reach = _OVERLAP if self._looked_at else self._remember
        self.note(self._revocations.revoked_since((self._looked_at or now) - reach))
        self._looked_at = now
        forgotten = [
            session_id
            for session_id, noted_at in list(self._ended.items())
            if noted_at < now - self._remember
        ]
        for session_id in forgotten:
            del self._ended[session_id]
