"""Tickets in memory."""

from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.stream_ticket import StreamTicket
from todo_core.errors import AccountGone, InvalidAccessToken
from todo_core.ports.repositories import StreamTicketRepository


class InMemoryStreamTicketRepository(StreamTicketRepository):
    """Tickets in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, ticket: StreamTicket) -> None:
        with self._store.lock:
            if ticket.user_id not in self._store.users:
                raise AccountGone
            self._store.stream_tickets[ticket.token_hash] = ticket

    def take(self, token_hash: str) -> StreamTicket:
        with self._store.lock:
            ticket = self._store.stream_tickets.pop(token_hash, None)
        if ticket is None:
            raise InvalidAccessToken
        return ticket

    def purge(self, *, expired_before: datetime, limit: int) -> int:
        with self._store.lock:
            purged = [
                token_hash
                for token_hash, ticket in self._store.stream_tickets.items()
                if ticket.expires_at < expired_before
            ][:limit]
            for token_hash in purged:
                del self._store.stream_tickets[token_hash]
            return len(purged)
