"""SQLite, for the embedded service."""

import math
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, override

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from todo_adapters.sql.dialect import DatabaseDialect
from todo_adapters.sql.sqlite_lock import DatabaseLock
from todo_adapters.system.files import create_private

STATEMENT_TIMEOUT_SECONDS = 10.0
"""How long a statement, or all of those of a transaction, may take before it is interrupted."""

_STEPS_BETWEEN_CHECKS = 100_000
"""How many steps of SQLite's virtual machine there are between two looks at the time.

They take about ten milliseconds. A search makes twenty for each task, the list of 500 tasks 14,000,
so an ordinary statement seldom pays for a look.
"""

_LONGEST_WAIT_SECONDS = 5.0
"""How long a statement waits while another connection writes, or for the lock of the database."""

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.0001, 0.001
_CACHE_KIB = 512
_LONG_LOG_PAGES = 4_000
"""The length of the write-ahead log, 16 MB, from which on `checkpoint` lets writers wait."""

_LONGEST_LOG_PAGES = 16_000
"""The length of the write-ahead log, 64 MB, from which on every write copies it to the database.

This is a safeguard: before that, `checkpoint` has copied all of it.
"""

_CHECKPOINT_ATTEMPTS = 10
_SECONDS_BETWEEN_ATTEMPTS = 0.001

_CONSTRAINTS = {
    "UNIQUE constraint failed: users.email_key": "uq_users_email_key",
    "UNIQUE constraint failed: tasks.owner_id, tasks.id": "pk_tasks",
    "UNIQUE constraint failed: identities.issuer, identities.subject": "pk_identities",
}
"""SQLite describes the violated constraint instead of naming it."""


class _PatientCursor(sqlite3.Cursor):
    """A cursor whose statements wait while another connection writes.

    A write takes about 0.1 ms. SQLite's own way to wait (`busy_timeout`) pauses for 1, 2, 5, 10 …
    milliseconds: with two processes, there were 8 to 18 % fewer writes a second, and the 99th
    percentile of their time was twice as long.

    `executemany` does not wait. Here it is called in transactions only, which have the lock.
    """

    @override
    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
        return self._execute_when_free(sql, parameters)

    def _execute_when_free(self, sql: str, parameters: Any) -> Self:  # noqa: ANN401 - as above
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        pause = _FIRST_PAUSE_SECONDS
        while True:
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
            try:
                return super().execute(sql, parameters)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise


def _is_busy(error: sqlite3.Error) -> bool:
    """Return whether another connection has a lock that the statement needs.

    The last byte of the code is its kind (https://sqlite.org/rescode.html).
    """
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


class ConnectionWithTimeout(sqlite3.Connection):
    """A connection on which the statements of a cursor are interrupted after `timeout` seconds.

    Each statement has a cursor of its own, and so has each transaction: its time begins with the
    cursor, which takes 0.3 µs. The connection remains usable after an interruption.

    While it is open, it shares the lock of the database, so that nobody replaces the file.
    """

    timeout = STATEMENT_TIMEOUT_SECONDS
    _deadline = math.inf

    def __init__(self, database: str, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as the driver takes them
        self._lock = self._take_lock(Path(database))
        try:
            _create_if_missing(Path(database))
            super().__init__(database, *args, **options)
        except BaseException:
            self._release_lock()
            raise
        self.set_progress_handler(self._is_late, _STEPS_BETWEEN_CHECKS)

    def _take_lock(self, file: Path) -> DatabaseLock | None:
        try:
            return DatabaseLock(file, timeout=_LONGEST_WAIT_SECONDS)
        except OSError as error:  # a TimeoutError among them
            raise sqlite3.OperationalError(f"unable to open database file: {error}") from error

    @override
    def close(self) -> None:
        super().close()
        self._release_lock()

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    @override
    def cursor(self) -> sqlite3.Cursor:  # type: ignore[override]  # nobody passes a factory
        self._deadline = time.monotonic() + self.timeout
        return super().cursor(_PatientCursor)

    def _is_late(self) -> bool:
        """Return whether to interrupt the statement, but never that which rolls back then."""
        is_late = time.monotonic() > self._deadline
        if is_late:
            self._deadline = math.inf
        return is_late


class ConnectionOfLockHolder(ConnectionWithTimeout):
    """A connection of the process that holds the lock of the database alone."""

    @override
    def _take_lock(self, file: Path) -> None:
        """Take none: it would wait for the lock that its own process holds."""


def _create_if_missing(file: Path) -> None:
    """Create the file of the database for the owner of its folder, who need not be this user."""
    try:
        os.close(create_private(file))
    except FileExistsError:
        pass
    except OSError as error:
        raise sqlite3.OperationalError(f"unable to open database file: {error}") from error


class SqliteDialect(DatabaseDialect):
    """SQLite in its write-ahead log mode, with foreign keys."""

    def __init__(self, *, holds_lock: bool = False) -> None:
        """Connect to a database whose lock this process holds alone, or share its lock."""
        factory = ConnectionOfLockHolder if holds_lock else ConnectionWithTimeout
        self.connect_arguments: Mapping[str, Any] = MappingProxyType({"factory": factory})

    begin = text("BEGIN IMMEDIATE")
    """Takes the write lock immediately: a transaction that reads first may fail to get it later."""

    queries_may_write = False
    has_advisory_locks = False
    limits_parts = False
    has_arrays = False

    needs_checkpoints = True

    @override
    def check_url(self, url: URL) -> None:
        """Accept every path."""

    @override
    def configure(self, engine: Engine) -> None:
        event.listen(engine, "connect", _set_pragmas)

    @override
    def checkpoint(self, connection: Connection) -> None:
        """Copy the write-ahead log to the database while others read and write.

        When all of it is copied, the next writer overwrites it from the beginning. But while
        several processes write all the time, something is always left, and the log grows. So when
        it is long, what is left is copied while writers wait, which is little.
        """
        _, pages = _checkpoint(connection, "PASSIVE")
        if pages < _LONG_LOG_PAGES:
            return
        for _ in range(_CHECKPOINT_ATTEMPTS):
            is_busy, _ = _checkpoint(connection, "FULL")
            if not is_busy:
                return
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)

    @override
    @contextmanager
    def schema_change(
        self, connection: Connection, transaction: AbstractContextManager[object]
    ) -> Iterator[None]:
        """Suspend the timeout, and check foreign keys at the end only.

        SQLite alters most of a table by replacing it, and dropping the old one would delete
        all rows that refer to it.
        """
        pooled = connection.connection
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        try:
            with without_timeout(connection), transaction:
                yield
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise ValueError("a migration left rows that refer to rows that do not exist")
        finally:
            if pooled.is_valid:  # otherwise the pool discards it
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")


def _checkpoint(connection: Connection, mode: str) -> tuple[bool, int]:
    """Copy the log, and return whether others prevented it from being finished, and its length.

    The length in pages is -1 while another connection copies (https://sqlite.org/pragma.html).
    """
    is_busy, pages, _ = connection.exec_driver_sql(f"PRAGMA wal_checkpoint({mode})").one()
    return bool(is_busy), pages


@contextmanager
def without_timeout(connection: Connection) -> Iterator[None]:
    """Let statements on this connection take any time while the block runs."""
    driver_connection = connection.connection.dbapi_connection
    set_timeout(driver_connection, math.inf)
    try:
        yield
    finally:
        set_timeout(driver_connection, STATEMENT_TIMEOUT_SECONDS)


def set_timeout(connection: DBAPIConnection | None, seconds: float) -> None:
    """Set after how many seconds the statements of the next cursors are interrupted."""
    vars(connection)["timeout"] = seconds


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
    cursor.execute("PRAGMA busy_timeout = 0")  # the cursors wait
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute(f"PRAGMA wal_autocheckpoint = {_LONGEST_LOG_PAGES}")
    cursor.execute("PRAGMA foreign_keys = ON")
    # Overwrite deleted data, whatever the default of this build of SQLite is.
    cursor.execute("PRAGMA secure_delete = ON")
    # Each connection has a cache of its own, and the operating system has one for all of them.
    cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    cursor.close()
