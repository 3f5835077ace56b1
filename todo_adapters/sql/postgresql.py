"""PostgreSQL through psycopg 3, directly or behind a connection pooler.

psycopg is imported where it is first needed: see docs/decisions/late-imports.md.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, override

from sqlalchemy import URL, Connection, Engine, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect, ExceptionContext
from sqlalchemy.pool import ConnectionPoolEntry

from todo_adapters.sql.dialect import DatabaseDialect
from todo_adapters.sql.failover import PrimaryOfSeveral

if TYPE_CHECKING:
    import psycopg

RESPONSE_TIMEOUT_SECONDS = 10.0
"""How long a statement may take before it counts as lost, and its connection too.

A network component between service and server (a load balancer, a pooler) may keep
acknowledging packets when nothing behind it responds any more; keepalives never notice that.
The server's `statement_timeout` would not help either, and poolers refuse or lose it.
"""

_NETWORK_PARAMETERS: Mapping[str, int | None] = MappingProxyType(
    {
        "connect_timeout": 5,  # seconds, like all but the last
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,  # milliseconds
    }
)
"""How libpq notices within about ten seconds that a server is gone without closing connections.

The URL may have other values."""

READ_ONLY = "25006"
"""PostgreSQL's code for a write on a read-only server."""

_PREPARE_AFTER_USES = 5
_CANCEL_TIMEOUT_SECONDS = 1.0

_MIGRATION_LOCK_SECONDS = 0.1
"""The pause between two attempts to get the lock."""

_MIGRATION_LOCK = 7_283_405_119_613
"""An arbitrary number that all instances of this service share."""


class PostgresqlDialect(DatabaseDialect):
    """PostgreSQL, on connections with timeouts.

    Statements that are used repeatedly are prepared on the server, unless
    `prepared_statements` is false or a pooler is detected.
    """

    connect_arguments: Mapping[str, int | None] = MappingProxyType(
        {"prepare_threshold": None, **_NETWORK_PARAMETERS}
    )
    begin = text("BEGIN")
    queries_may_write = True
    has_advisory_locks = True
    limits_parts = True
    has_arrays = True
    needs_checkpoints = False

    def __init__(self, *, prepared_statements: bool) -> None:
        self._prepared_statements = prepared_statements

    @override
    def check_url(self, url: URL) -> None:
        """Let libpq check the parameters now; otherwise it would refuse them during a request."""
        import psycopg  # late: see docs/decisions/late-imports.md

        positional, named = url.get_dialect()().create_connect_args(url)
        try:
            psycopg.conninfo.make_conninfo(*positional, **named)
        except psycopg.Error:
            raise ValueError(
                "has a parameter that PostgreSQL's client library does not know"
            ) from None

    @override
    def configure(self, engine: Engine) -> None:
        # libpq sends this for every session, and poolers respect it: times then arrive in UTC
        # and need not be converted one by one.
        os.environ.setdefault("PGTZ", "UTC")
        event.listen(engine, "do_connect", _connect_with(PrimaryOfSeveral()))
        event.listen(engine, "handle_error", _leave_read_only_server)
        if self._prepared_statements:
            event.listen(engine, "connect", _prepare_statements)

    @override
    def checkpoint(self, connection: Connection) -> None:
        """Do nothing: PostgreSQL has a process for that."""

    @override
    @contextmanager
    def schema_change(
        self, connection: Connection, transaction: AbstractContextManager[object]
    ) -> Iterator[None]:
        """Suspend the timeout, and wait for other processes that migrate.

        A migration may commit in between. The lock is tied to the transaction of a connection of
        its own, so that it works behind a pooler too.
        """
        with connection.engine.connect() as lock:
            driver: psycopg.Connection = lock.connection.driver_connection  # type: ignore[assignment]  # its
            lock.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
            lock.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            try:
                # The creation of an index waits for all snapshots. One that waited for the lock
                # would hold a snapshot, and so does a transaction after a prepared query.
                while not _has_migration_lock(driver):
                    time.sleep(_MIGRATION_LOCK_SECONDS)
                with transaction, without_timeout(connection):
                    yield
            finally:
                lock.exec_driver_sql("ROLLBACK")


@contextmanager
def without_timeout(connection: Connection) -> Iterator[None]:
    """Wait indefinitely for responses on this connection while the block runs."""
    driver_connection = connection.connection.dbapi_connection
    set_timeout(driver_connection, None)
    try:
        yield
    finally:
        set_timeout(driver_connection, RESPONSE_TIMEOUT_SECONDS)


def set_timeout(connection: DBAPIConnection | None, seconds: float | None) -> None:
    """Set how long this connection waits for a response; None waits indefinitely."""
    vars(connection)["response_timeout"] = seconds


@cache
def connection_with_timeout() -> "type[psycopg.Connection]":
    """Return a class of connections that wait at most `response_timeout` seconds for a response.

    psycopg itself waits for the socket, not libpq. Its `wait` takes a timeout, but no caller can
    set it.
    """
    import psycopg  # late: see docs/decisions/late-imports.md
    from psycopg.abc import RV, PQGen
    from psycopg.pq import TransactionStatus

    class ConnectionWithTimeout(psycopg.Connection[psycopg.rows.TupleRow]):
        response_timeout: float | None = RESPONSE_TIMEOUT_SECONDS

        def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
            try:
                return super().wait(gen, interval, timeout or self.response_timeout)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    # No response arrived: ask the server to cancel, in case it can hear us.
                    with suppress(psycopg.Error):
                        self.cancel_safe(timeout=_CANCEL_TIMEOUT_SECONDS)
                    self.close()
                raise

    return ConnectionWithTimeout


def _has_migration_lock(connection: "psycopg.Connection") -> bool:
    """Take the lock until the transaction ends, and return whether it was free."""
    query = f"SELECT pg_try_advisory_xact_lock({_MIGRATION_LOCK})"
    return connection.execute(query.encode(), prepare=False).fetchone() == (True,)


def _connect_with(primary: PrimaryOfSeveral) -> "Callable[..., psycopg.Connection]":
    """Return a function that connects to the only server of a URL, or to the primary of several."""

    def connect(
        _dialect: Dialect,
        _entry: ConnectionPoolEntry,
        arguments: tuple[str, ...],
        parameters: dict[str, Any],  # as libpq takes them
    ) -> "psycopg.Connection":
        if "," in parameters.get("host", ""):
            return primary.connect(connection_with_timeout(), parameters)
        return connection_with_timeout().connect(*arguments, **parameters)

    return connect


def _leave_read_only_server(context: ExceptionContext) -> None:
    """Let the pool replace its connections after a write that a read-only server has refused.

    After a failover, such a connection may lead to a server that is a standby now.
    """
    if getattr(context.original_exception, "sqlstate", None) == READ_ONLY:
        context.is_disconnect = True


def _prepare_statements(connection: "psycopg.Connection", _: ConnectionPoolEntry) -> None:
    """Let psycopg prepare statements if the session is the server's own.

    A pooler that changes servers between transactions (PgBouncer, Neon) would not find
    them again. It is recognised by the process id that it reports, which is not that of the
    server behind it. Preparing saves a fifth of a query's time.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.rollback()
    if row is not None and row[0] == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARE_AFTER_USES
