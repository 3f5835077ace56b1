"""Kept responses in memory."""

from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore, KeptResponseRecord, KeptSize
from todo_core.entities.idempotency import IdempotentRequest, KeptResponse
from todo_core.errors import AccountGone, IdempotencyInProgress, TooManyKeptResponses
from todo_core.ports.repositories import KeptResponseRepository


class InMemoryKeptResponseRepository(KeptResponseRepository):
    """Kept responses in memory. Units of work wait for each other, so none is in progress."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def claim(
        self, request: IdempotentRequest, *, now: datetime, kept_since: datetime
    ) -> KeptResponse | None:
        with self._store.lock:
            if request.user_id not in self._store.users:
                raise AccountGone
            record = self._store.kept_responses.get((request.user_id, request.key))
            if record is None or record.claimed_at < kept_since:
                claimed = KeptResponseRecord(now, None)
                self._store.kept_responses[request.user_id, request.key] = claimed
                return None
            if record.response is None:
                raise IdempotencyInProgress
            return record.response

    def keep(
        self,
        request: IdempotentRequest,
        response: KeptResponse,
        *,
        now: datetime,
        kept_since: datetime,
        most: int,
    ) -> None:
        with self._store.lock:
            counted = self._store.kept_sizes.get(request.user_id)
            if counted is None or counted.since < kept_since:
                counted = KeptSize(now, 0)
            if counted.size + response.size > most:
                raise TooManyKeptResponses(counted.since - kept_since)
            total = KeptSize(counted.since, counted.size + response.size)
            self._store.kept_sizes[request.user_id] = total
            claimed = self._store.kept_responses[request.user_id, request.key]
            kept = KeptResponseRecord(claimed.claimed_at, response)
            self._store.kept_responses[request.user_id, request.key] = kept

    def purge(self, *, claimed_before: datetime, limit: int) -> int:
        with self._store.lock:
            purged = [
                key
                for key, record in self._store.kept_responses.items()
                if record.claimed_at < claimed_before
            ][:limit]
            for key in purged:
                del self._store.kept_responses[key]
            return len(purged)
