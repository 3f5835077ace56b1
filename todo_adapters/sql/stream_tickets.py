"""Tickets in SQL."""

from datetime import datetime

from sqlmodel import bindparam, delete, insert, select

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.tables import STREAM_TICKETS, StreamTicketRow
from todo_core.entities.stream_ticket import StreamTicket
from todo_core.errors import AccountGone, InvalidAccessToken
from todo_core.ports.repositories import StreamTicketRepository

_ADD = insert(STREAM_TICKETS)
_TAKE = (
    delete(STREAM_TICKETS)
    .where(STREAM_TICKETS.c.token_hash == bindparam("token_hash"))
    .returning(*STREAM_TICKETS.c)
)
_PURGE = delete(STREAM_TICKETS).where(
    STREAM_TICKETS.c.token_hash.in_(
        select(StreamTicketRow)
        .with_only_columns(STREAM_TICKETS.c.token_hash)
        .where(STREAM_TICKETS.c.expires_at < bindparam("expired_before"))
        .limit(bindparam("limit"))
    )
)
_CONSTRAINT_ERRORS = {"fk_stream_tickets_user_id_users": AccountGone}


class SqlStreamTicketRepository(StreamTicketRepository):
    """Tickets in the table `stream_tickets`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, ticket: StreamTicket) -> None:
        self._executor.write(
            _ADD,
            {
                "token_hash": ticket.token_hash,
                "user_id": ticket.user_id,
                "session_id": ticket.session_id,
                "expires_at": ticket.expires_at,
                "stream_ends_at": ticket.stream_ends_at,
            },
            _CONSTRAINT_ERRORS,
        )

    def take(self, token_hash: str) -> StreamTicket:
        row = self._executor.row(_TAKE, {"token_hash": token_hash})
        if row is None:
            raise InvalidAccessToken
        return StreamTicket(*row)

    def purge(self, *, expired_before: datetime, limit: int) -> int:
        return self._executor.write(_PURGE, {"expired_before": expired_before, "limit": limit})
