"""Sessions in memory."""

from collections.abc import Sequence
from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, SessionNotFound, StaleVersion
from todo_core.ports.repositories import SessionRepository


class InMemorySessionRepository(SessionRepository):
    """Sessions in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, session: Session) -> None:
        with self._store.lock:
            if session.user_id not in self._store.users:
                raise AccountGone
            self._store.sessions[session.id] = session

    def get(self, session_id: SessionId) -> Session:
        with self._store.lock:
            try:
                return self._store.sessions[session_id]
            except KeyError:
                raise SessionNotFound from None

    def list(self, user_id: UserId) -> Sequence[Session]:
        with self._store.lock:
            owned = [each for each in self._store.sessions.values() if each.user_id == user_id]
        return sorted(owned, key=lambda session: session.refreshed_at, reverse=True)

    def save_refreshed(self, session: Session) -> None:
        with self._store.lock:
            stored = self._store.sessions.get(session.id)
            if stored is None or stored.generation != session.generation - 1:
                raise StaleVersion
            self._store.sessions[session.id] = session

    def revoke(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        with self._store.lock:
            session = self._store.sessions.get(session_id)
            if session is None or session.user_id != user_id:
                raise SessionNotFound
            del self._store.sessions[session_id]
            self._store.revoked_sessions[session_id] = now

    def revoke_all(
        self, user_id: UserId, *, keep: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        with self._store.lock:
            revoked = [each.id for each in self.list(user_id) if each.id != keep]
            for session_id in revoked:
                self.revoke(session_id, user_id=user_id, now=now)
            return revoked

    def revoke_least_recent(
        self, user_id: UserId, *, keep: int, now: datetime
    ) -> Sequence[SessionId]:
        with self._store.lock:
            revoked = [each.id for each in self.list(user_id)[keep:]]
            for session_id in revoked:
                self.revoke(session_id, user_id=user_id, now=now)
            return revoked

    def purge(self, *, expired_before: datetime, idle_since: datetime, limit: int) -> int:
        with self._store.lock:
            purged = [
                session.id
                for session in self._store.sessions.values()
                if session.expires_at < expired_before or session.refreshed_at < idle_since
            ][:limit]
            for session_id in purged:
                del self._store.sessions[session_id]
            return len(purged)
