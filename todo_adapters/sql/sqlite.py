"""SQLite, for the embedded service."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import override

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from todo_adapters.sql.dialect import DatabaseDialect

_BUSY_TIMEOUT_MS = 5_000
_CACHE_KIB = 512
_LONGEST_LOG_PAGES = 8_000
"""The length of the write-ahead log, 32 MB, from which on writers copy it to the database.

This is a safeguard: before that, `checkpoint` has copied nearly all of it.
"""

_CONSTRAINTS = {
    "UNIQUE constraint failed: users.email_key": "uq_users_email_key",
    "UNIQUE constraint failed: tasks.owner_id, tasks.id": "pk_tasks",
    "UNIQUE constraint failed: identities.issuer, identities.subject": "pk_identities",
}
"""SQLite describes the violated constraint instead of naming it."""


class SqliteDialect(DatabaseDialect):
    """SQLite in its write-ahead log mode, with foreign keys."""

    connect_arguments: Mapping[str, int | None] = {}

    begin = text("BEGIN IMMEDIATE")
    """Takes the write lock immediately: a transaction that reads first may fail to get it later."""

    queries_may_write = False
    has_advisory_locks = False
    limits_parts = False
    has_arrays = False

    checkpoint = "PRAGMA wal_checkpoint(PASSIVE)"
    """Copies the write-ahead log to the database while others read and write.

    When all of it is copied, the next writer overwrites it from the beginning.
    """

    @override
    def check_url(self, url: URL) -> None:
        """Accept every path."""

    @override
    def configure(self, engine: Engine) -> None:
        event.listen(engine, "connect", _set_pragmas)

    @override
    @contextmanager
    def schema_change(
        self, connection: Connection, transaction: AbstractContextManager[object]
    ) -> Iterator[None]:
        """Check foreign keys at the end only.

        SQLite alters most of a table by replacing it, and dropping the old one would delete
        all rows that refer to it.
        """
        pooled = connection.connection
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            with transaction:
                yield
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise ValueError("a migration left rows that refer to rows that do not exist")
        finally:
            if pooled.is_valid:  # otherwise the pool discards it
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def violated_constraint(error: sqlite3.Error, candidates: Mapping[str, object]) -> str:
    """Return the name of the constraint that was violated, or an empty string if it is unknown.

    For a foreign key, SQLite does not say which one. It is the one among the candidates, since no
    statement here is subject to two.
    """
    if error.sqlite_errorname == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return next((name for name in candidates if name.startswith("fk_")), "")
    return _CONSTRAINTS.get(str(error), "")


def _set_pragmas(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Set what other databases do by default.

    Write-ahead logging lets readers and a writer work at the same time. With it, synchronous
    NORMAL is safe: the database is never corrupted, and no acknowledged write is lost when the
    process dies.
    """
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG_PAGES}")
    cursor.execute("PRAGMA foreign_keys = ON")
    # Overwrite deleted data, whatever the default of this build of SQLite is.
    cursor.execute("PRAGMA secure_delete = ON")
    # Each connection has a cache of its own, and the operating system has one for all of them.
    cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    cursor.close()
