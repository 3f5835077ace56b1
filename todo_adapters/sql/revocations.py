"""Revocations in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import bindparam, delete, insert, select, union_all

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.tables import (
    EXTERNAL_REVOCATIONS,
    REVOKED_SESSIONS,
    ExternalRevocationRow,
    RevokedSessionRow,
    UtcDateTime,
)
from todo_core.entities.session import SessionId
from todo_core.ports.repositories import RevocationRepository

_THIS_ONE = EXTERNAL_REVOCATIONS.c.id == bindparam("session_id")
_TABLES = ((RevokedSessionRow, REVOKED_SESSIONS), (ExternalRevocationRow, EXTERNAL_REVOCATIONS))

_REMOVE_EXTERNAL = delete(EXTERNAL_REVOCATIONS).where(_THIS_ONE)
_ADD_EXTERNAL = insert(EXTERNAL_REVOCATIONS)
_EXTERNAL_REVOKED_AT = (
    select(ExternalRevocationRow)
    .with_only_columns(EXTERNAL_REVOCATIONS.c.revoked_at)
    .where(_THIS_ONE)
)
_REVOKED_SINCE = union_all(
    *(
        select(row)
        .with_only_columns(table.c.id)
        .where(table.c.revoked_at >= bindparam("time", type_=UtcDateTime))
        for row, table in _TABLES
    )
)
_PURGE, _PURGE_EXTERNAL = (
    delete(table).where(
        table.c.id.in_(
            select(row)
            .with_only_columns(table.c.id)
            .where(table.c.revoked_at < bindparam("revoked_before"))
            .limit(bindparam("limit"))
        )
    )
    for row, table in _TABLES
)


class SqlRevocationRepository(RevocationRepository):
    """Revocations in two tables: one for our own sessions, one for external ones.

    `SqlSessionRepository` adds our own when it revokes them.
    """

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def revoke_external(self, session_id: SessionId, *, now: datetime) -> None:
        with self._executor.atomically() as executor:
            executor.write(_REMOVE_EXTERNAL, {"session_id": session_id})
            executor.write(_ADD_EXTERNAL, {"id": session_id, "revoked_at": now})

    def external_revoked_at(self, session_id: SessionId) -> datetime | None:
        values = self._executor.values(_EXTERNAL_REVOKED_AT, {"session_id": session_id})
        return values[0] if values else None

    def revoked_since(self, time: datetime) -> Sequence[SessionId]:
        return self._executor.values(_REVOKED_SINCE, {"time": time})

    def purge(
        self, *, revoked_before: datetime, revoked_externally_before: datetime, limit: int
    ) -> int:
        return sum(
            self._executor.write(statement, {"revoked_before": before, "limit": limit})
            for statement, before in (
                (_PURGE, revoked_before),
                (_PURGE_EXTERNAL, revoked_externally_before),
            )
        )
