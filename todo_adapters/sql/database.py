"""Connections to the database, and how statements run on them.

A statement runs by itself, in autocommit, on a connection borrowed from the
pool: one round trip, and nothing to roll back. Several run as one on a
`Transaction`. Repositories do not know on which of the two they run.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, CursorResult, Engine, Executable, Row, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import create_engine

from todo_adapters.sql.errors import Refusals, meaning_of

if TYPE_CHECKING:
    import psycopg

type AnyRow = Row[*tuple[Any, ...]]  # of whatever was selected
type Parameters = Mapping[str, Any]  # whatever the bound columns take

_SQLITE_BUSY_TIMEOUT_MS = 5_000
_SQLITE_CACHE_KIB = 512
_PREPARE_AFTER_USES = 5
_CHUNK_OF_ROWS = 64
_NETWORK: Mapping[str, int] = MappingProxyType(
    {
        "connect_timeout": 5,  # seconds, as are all but the last
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,  # milliseconds
    }
)
"""How libpq notices that a server is gone which does not even refuse: within ten seconds or so."""

ANSWER_TIMEOUT_SECONDS = 10.0
"""How long a statement may take on PostgreSQL before it counts as lost, and its connection too.

What answers for the network below it (a load balancer, a pooler) may go on doing so
when nothing behind it answers any more; no keepalive ever notices that. The server's
`statement_timeout` would not either, and poolers refuse or lose it.
"""

_CANCEL_TIMEOUT_SECONDS = 1.0


def _do_not_pause() -> None:
    """Go on with a long result: others may wait for the end of the transaction."""


class SqlExecutor(ABC):
    """Runs prebuilt statements, and raises the core's errors instead of the database's.

    `_give_way` is called between two chunks of a long result.
    """

    _give_way: Callable[[], None] = staticmethod(_do_not_pause)

    def rows(self, statement: Executable, parameters: Parameters) -> Sequence[AnyRow]:
        """All rows of a query.

        Raises:
            Unavailable: if the database does not answer.
        """
        try:
            return self._run(statement, parameters, CursorResult.all)
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    def entities[Entity](
        self, statement: Executable, parameters: Parameters, to_entity: Callable[[AnyRow], Entity]
    ) -> list[Entity]:
        """Return what `to_entity` makes of each row of a query that may have very many.

        They are fetched and mapped in chunks, and between two chunks others may go first.

        Raises:
            Unavailable: if the database does not answer.
        """

        def take(result: CursorResult[Any]) -> list[Entity]:
            rows = result.fetchmany(_CHUNK_OF_ROWS)
            entities = [to_entity(row) for row in rows]
            while len(rows) == _CHUNK_OF_ROWS:
                self._give_way()
                rows = result.fetchmany(_CHUNK_OF_ROWS)
                entities += [to_entity(row) for row in rows]
            return entities

        try:
            return self._run(statement, parameters, take)
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    def write(
        self, statement: Executable, parameters: Parameters, refusals: Refusals | None = None
    ) -> int:
        """How many rows an insert, update or delete affected.

        Raises:
            TodoError: the one that `refusals` has for the constraint that was violated.
            Unavailable: if the database does not answer.
        """
        try:
            return self._run(statement, parameters, _row_count)
        except SQLAlchemyError as error:
            raise meaning_of(error, refusals or {}) from error

    def write_many(self, statement: Executable, parameters: Sequence[Parameters]) -> None:
        """Run an insert, update or delete once for each set of parameters.

        Raises:
            Unavailable: if the database does not answer.
        """
        try:
            self._run(statement, parameters, _row_count)
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    @abstractmethod
    def atomically(self) -> "AbstractContextManager[SqlExecutor]":
        """Several statements that stand or fall together: a transaction, or part of this one."""

    @abstractmethod
    def _run[Answer](
        self,
        statement: Executable,
        parameters: Parameters | Sequence[Parameters],
        take: Callable[[CursorResult[Any]], Answer],
    ) -> Answer:
        """Execute the statement, and take the answer while the connection is held."""


def _row_count(result: CursorResult[Any]) -> int:
    return result.rowcount


class Transaction(SqlExecutor):
    """Runs statements on one connection on which a transaction was begun."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def atomically(self) -> AbstractContextManager[SqlExecutor]:
        return nullcontext(self)

    def _run[Answer](
        self,
        statement: Executable,
        parameters: Parameters | Sequence[Parameters],
        take: Callable[[CursorResult[Any]], Answer],
    ) -> Answer:
        return take(self.connection.execute(statement, parameters))


class Database(SqlExecutor):
    """A pool of connections in autocommit.

    `begin` is the statement that starts a transaction on this kind of database. `give_way` is
    called between two chunks of a long result.
    """

    def __init__(self, engine: Engine, *, begin: str, give_way: Callable[[], None]) -> None:
        self.engine = engine
        self._begin = begin
        self._give_way = give_way

    def _run[Answer](
        self,
        statement: Executable,
        parameters: Parameters | Sequence[Parameters],
        take: Callable[[CursorResult[Any]], Answer],
    ) -> Answer:
        with self.engine.connect() as connection:
            return take(connection.execute(statement, parameters))

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Begin a transaction; commit it at the end, or roll it back if the block raises.

        Raises:
            Unavailable: if the database does not answer.
        """
        try:
            with self.engine.connect() as connection, self._begun(connection):
                yield Transaction(connection)
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    @contextmanager
    def schema_change(self) -> Iterator[Transaction]:
        """The same for migrations, in which SQLite checks foreign keys at the end only.

        On PostgreSQL they may take any time, be it to wait for another that migrates.
        SQLite alters most of a table by making another in its place, and dropping the
        first would delete whatever refers to it.

        Raises:
            Unavailable: if the database does not answer.
            ValueError: if a row is left that refers to none.
        """
        if self.engine.dialect.name != "sqlite":
            with self.transaction() as transaction, _any_time(transaction.connection):
                yield transaction
            return
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
                try:
                    with self._begun(connection):
                        yield Transaction(connection)
                        if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                            raise ValueError("a migration left rows that refer to none")
                finally:
                    if not connection.invalidated:  # else it is thrown away as it is
                        connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    @contextmanager
    def _begun(self, connection: Connection) -> Iterator[None]:
        connection.exec_driver_sql(self._begin)
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise

    def atomically(self) -> AbstractContextManager[SqlExecutor]:
        return self.transaction()

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()


def _roll_back(connection: Connection) -> None:
    """Roll back, or throw the connection away if it cannot even do that."""
    try:
        connection.exec_driver_sql("ROLLBACK")
    except SQLAlchemyError:
        connection.invalidate()


@contextmanager
def _any_time(connection: Connection) -> Iterator[None]:
    """Wait for as long as it takes, on this connection to PostgreSQL, for the time of the block."""
    driver = connection.connection.dbapi_connection
    _wait_at_most(driver, None)
    try:
        yield
    finally:
        _wait_at_most(driver, ANSWER_TIMEOUT_SECONDS)


def _wait_at_most(connection: DBAPIConnection | None, seconds: float | None) -> None:
    vars(connection)["answer_timeout"] = seconds


def open_database(
    dsn: str,
    *,
    pool_size: int,
    pool_timeout: float,
    prepared_statements: bool = True,
    give_way: Callable[[], None] = _do_not_pause,
) -> Database:
    """Make the pool for a SQLAlchemy URL; the first connection is opened when it is first needed.

    `pool_size` connections are kept at most, and `pool_timeout` is how many
    seconds to wait for a free one. Statements that are used again and
    again are prepared on a PostgreSQL server, unless `prepared_statements` is false or
    a pooler is in between. `give_way` is called between two chunks of a long result: it may
    wait for a moment, so that one long query does not hold up many short ones.

    Raises:
        ValueError: if the URL is not one, or has a parameter that the driver does not know.
    """
    url = _parse_url(dsn)
    # What libpq asks of every session, and poolers know of: times then come in UTC
    # already, and need not be converted one by one.
    os.environ.setdefault("PGTZ", "UTC")
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        hide_parameters=True,  # what people wrote must not reach the logs through an error
        connect_args={} if is_sqlite else {"prepare_threshold": None, **_NETWORK},
    )
    if is_sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
        return Database(engine, begin="BEGIN IMMEDIATE", give_way=give_way)
    event.listen(engine, "do_connect", _connect_postgresql)
    if prepared_statements:
        event.listen(engine, "connect", _prepare_postgresql)
    return Database(engine, begin="BEGIN", give_way=give_way)


def _parse_url(dsn: str) -> URL:
    """Parse the URL; let libpq check the parameters now, which it would otherwise at a request."""
    try:
        url = make_url(dsn)
        dialect = url.get_dialect()()
        positional, named = dialect.create_connect_args(url)
    except (ArgumentError, ValueError):
        raise ValueError("cannot be read as the URL of a database") from None
    if url.get_backend_name() != "sqlite":
        import psycopg

        try:
            psycopg.conninfo.make_conninfo(*positional, **named)
        except psycopg.Error:
            raise ValueError(
                "has a parameter that PostgreSQL's client library does not know"
            ) from None
    return url


def _connect_postgresql(
    _dialect: Dialect,
    _entry: ConnectionPoolEntry,
    arguments: tuple[str, ...],
    parameters: dict[str, Any],  # as libpq takes them
) -> "psycopg.Connection":
    return _impatient_connection().connect(*arguments, **parameters)


@cache
def _impatient_connection() -> "type[psycopg.Connection]":
    """A connection that waits for an answer no longer than `answer_timeout` seconds.

    psycopg, which waits by itself instead of letting libpq do so, has a timeout for that at
    no cost, but no way to set it. It is made here because importing psycopg takes 9 MB,
    which the embedded service saves.
    """
    import psycopg
    from psycopg.abc import RV, PQGen
    from psycopg.pq import TransactionStatus

    class ImpatientConnection(psycopg.Connection[psycopg.rows.TupleRow]):
        answer_timeout: float | None = ANSWER_TIMEOUT_SECONDS

        def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
            try:
                return super().wait(gen, interval, timeout or self.answer_timeout)
            except psycopg.OperationalError:
                if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    # Nothing has come: tell the server not to go on with it, if it hears us.
                    with suppress(psycopg.Error):
                        self.cancel_safe(timeout=_CANCEL_TIMEOUT_SECONDS)
                    self.close()
                raise

    return ImpatientConnection


def _prepare_postgresql(connection: "psycopg.Connection", _: ConnectionPoolEntry) -> None:
    """Let psycopg prepare statements where the session is the server's own.

    A pooler that changes servers between transactions (PgBouncer, Neon) would look
    for them in vain. It gives itself away by the process id that it tells, which is
    not that of the server behind it. Preparing saves a fifth of a query's time.
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    connection.rollback()
    if row is not None and row[0] == connection.info.backend_pid:
        connection.prepare_threshold = _PREPARE_AFTER_USES


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """Ask SQLite for what other databases do by themselves.

    Write-ahead logging lets readers and a writer work at the same time;
    synchronous NORMAL is its safe setting: no corruption, and nothing that was
    acknowledged is lost when the process dies.
    """
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_SQLITE_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten, whatever the default of this build of SQLite is.
    cursor.execute("PRAGMA secure_delete = ON")
    # Each connection has a cache of its own, and the operating system one for all of them.
    cursor.execute(f"PRAGMA cache_size = -{_SQLITE_CACHE_KIB}")
    cursor.close()
