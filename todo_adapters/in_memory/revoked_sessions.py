"""The revoked sessions that this process knows."""

from collections.abc import Iterable

from todo_core.entities.session import SessionId
from todo_core.ports.revoked_sessions import RevokedSessions


class InMemoryRevokedSessions(RevokedSessions):
    """Keeps the ids of revoked sessions, indefinitely."""

    def __init__(self) -> None:
        self._revoked: set[SessionId] = set()

    def add(self, session_ids: Iterable[SessionId]) -> None:
        self._revoked.update(session_ids)

    def __contains__(self, session_id: SessionId) -> bool:
        return session_id in self._revoked
