"""Revocations in memory."""

from collections.abc import Sequence
from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.session import SessionId
from todo_core.ports.repositories import RevocationRepository


class InMemoryRevocationRepository(RevocationRepository):
    """Revocations in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def revoke_external(self, session_id: SessionId, *, now: datetime) -> None:
        with self._store.lock:
            self._store.external_revocations[session_id] = now

    def external_revoked_at(self, session_id: SessionId) -> datetime | None:
        with self._store.lock:
            return self._store.external_revocations.get(session_id)

    def revoked_since(self, time: datetime) -> Sequence[SessionId]:
        with self._store.lock:
            store = self._store
            revoked = [*store.revoked_sessions.items(), *store.external_revocations.items()]
            return [session_id for session_id, revoked_at in revoked if revoked_at >= time]

    def purge(
        self, *, revoked_before: datetime, revoked_externally_before: datetime, limit: int
    ) -> int:
        with self._store.lock:
            store = self._store
            return _purge(store.revoked_sessions, revoked_before, limit) + _purge(
                store.external_revocations, revoked_externally_before, limit
            )


def _purge(revoked: dict[SessionId, datetime], before: datetime, limit: int) -> int:
    purged = [session_id for session_id, time in revoked.items() if time < before][:limit]
    for session_id in purged:
        del revoked[session_id]
    return len(purged)
