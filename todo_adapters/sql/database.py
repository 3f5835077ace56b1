"""Connections to the database, and how statements run on them.

A single statement runs in autocommit, on a connection from the pool: one round trip, and nothing
to roll back. Statements that must succeed or fail together run in a `Transaction`. Repositories
do not know which of the two they use.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple, NoReturn, Protocol, override

from sqlalchemy import (
    URL,
    Connection,
    Dialect,
    Engine,
    PoolProxiedConnection,
    TextClause,
    make_url,
)
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import QueuePool
from sqlmodel import create_engine

from todo_adapters.sql.dialect import DatabaseDialect
from todo_adapters.sql.errors import ConstraintErrors, translate_error
from todo_adapters.sql.postgresql import PostgresqlDialect
from todo_adapters.sql.revisions import RevisedWrite
from todo_adapters.sql.sqlite import SqliteDialect
from todo_adapters.sql.statements import AnyRow, DriverStatement, Parameters, Statement
from todo_core.errors import Unavailable

_ROWS_PER_CHUNK = 64
_MAX_COMPILED_STATEMENTS = 1000

type _Compile = Callable[[Statement, tuple[str, ...]], DriverStatement]


class MakeStatement(Protocol):
    """Compiles a statement: `DriverStatement`, or a class that adds something to it."""

    def __call__(
        self, statement: Statement, names: Iterable[str], *, dialect: Dialect
    ) -> DriverStatement:
        """Compile the statement for parameters of these names."""


def _do_not_pause() -> None:
    """Continue with a long result, because others may wait for the transaction to end."""


class SqlExecutor(ABC):
    """Runs prebuilt statements, and raises the core's errors instead of the database's.

    `_give_way` is called between two chunks of a long result.
    """

    dialect: DatabaseDialect
    _compile: _Compile
    _give_way: Callable[[], None] = staticmethod(_do_not_pause)

    def rows(self, statement: Statement, parameters: Parameters) -> Sequence[AnyRow]:
        """Return all rows of a query.

        Raises:
            Unavailable: if the database does not respond.
        """

        def read(compiled: DriverStatement, cursor: DBAPICursor) -> Sequence[AnyRow]:
            return compiled.fetch(cursor, parameters)

        return self._run(statement, parameters, read)

    def row(self, statement: Statement, parameters: Parameters) -> AnyRow | None:
        """Return the first row of a query, or None if it has none.

        Raises:
            Unavailable: if the database does not respond.
        """
        rows = self.rows(statement, parameters)
        return rows[0] if rows else None

    def values(self, statement: Statement, parameters: Parameters) -> Sequence[Any]:
        """Return the values of a query that selects one column.

        Raises:
            Unavailable: if the database does not respond.
        """
        return [value for (value,) in self.rows(statement, parameters)]

    def entities[Entity](
        self, statement: Statement, parameters: Parameters, to_entity: Callable[[AnyRow], Entity]
    ) -> list[Entity]:
        """Return an entity for each row of a query that may have very many rows.

        Rows are fetched and mapped in chunks. Other threads may run between two chunks.

        Raises:
            Unavailable: if the database does not respond.
        """

        def read(compiled: DriverStatement, cursor: DBAPICursor) -> list[Entity]:
            entities: list[Entity] = []
            for rows in compiled.fetch_chunks(cursor, parameters, _ROWS_PER_CHUNK):
                entities += [to_entity(row) for row in rows]
                if len(rows) == _ROWS_PER_CHUNK:
                    self._give_way()
            return entities

        return self._run(statement, parameters, read)

    def write(
        self,
        statement: Statement,
        parameters: Parameters,
        constraint_errors: ConstraintErrors | None = None,
    ) -> int:
        """Run an insert, update or delete, and return how many rows it affected.

        Raises:
            TodoError: the one in `constraint_errors` for the constraint that was violated.
            Unavailable: if the database does not respond.
        """

        def write(compiled: DriverStatement, cursor: DBAPICursor) -> int:
            compiled.execute(cursor, parameters)
            return cursor.rowcount

        return self._run(statement, parameters, write, constraint_errors)

    def write_revised(
        self,
        write: RevisedWrite,
        parameters: Parameters,
        constraint_errors: ConstraintErrors | None = None,
    ) -> int:
        """Run a write that takes the owner's next revision, and return how many tasks it affected.

        Raises:
            TodoError: the one in `constraint_errors` for the constraint that was violated.
            Unavailable: if the database does not respond.
        """
        if self.dialect.queries_may_write:
            return self.write(write.at_once, parameters, constraint_errors)
        with self.atomically() as executor:
            if not executor.write(write.advance, parameters):
                return 0
            return [executor.write(each, parameters, constraint_errors) for each in write.writes][
                -1
            ]

    def write_many(
        self,
        statement: Statement,
        parameters: Sequence[Parameters],
        constraint_errors: ConstraintErrors | None = None,
    ) -> None:
        """Run an insert, update or delete once for each set of parameters.

        Raises:
            TodoError: the one in `constraint_errors` for the constraint that was violated.
            Unavailable: if the database does not respond.
        """

        def write(compiled: DriverStatement, cursor: DBAPICursor) -> None:
            compiled.execute_many(cursor, parameters)

        self._run(statement, parameters[0], write, constraint_errors)

    @abstractmethod
    def atomically(self) -> "AbstractContextManager[SqlExecutor]":
        """Begin a transaction for several statements, or make them part of the current one."""

    def _run[Result](
        self,
        statement: Statement,
        parameters: Parameters,
        execute: Callable[[DriverStatement, DBAPICursor], Result],
        constraint_errors: ConstraintErrors | None = None,
    ) -> Result:
        """Compile a statement for parameters of these names, and execute it."""
        try:
            return self._execute(statement, tuple(parameters), execute)
        except SQLAlchemyError as error:
            raise translate_error(error, constraint_errors or {}) from error

    @abstractmethod
    def _execute[Result](
        self,
        statement: Statement,
        names: tuple[str, ...],
        execute: Callable[[DriverStatement, DBAPICursor], Result],
    ) -> Result:
        """Compile the statement, and call `execute` with a cursor of the driver.

        Raises:
            DBAPIError: for any error of the driver. If it means that the connection is lost, the
                pool replaces all of its connections.
        """


class Transaction(SqlExecutor):
    """Runs statements on one connection on which a transaction was begun."""

    def __init__(
        self,
        engine: Engine,
        pooled: PoolProxiedConnection,
        cursor: DBAPICursor,
        dialect: DatabaseDialect,
        compile: _Compile,
    ) -> None:
        self._engine = engine
        self._pooled = pooled
        self._cursor = cursor
        self.dialect = dialect
        self._compile = compile

    @cached_property
    def connection(self) -> Connection:
        """The same connection, with which SQLAlchemy executes any statement."""
        return Connection(self._engine, self._pooled)

    def atomically(self) -> AbstractContextManager[SqlExecutor]:
        return nullcontext(self)

    @override
    def _execute[Result](
        self,
        statement: Statement,
        names: tuple[str, ...],
        execute: Callable[[DriverStatement, DBAPICursor], Result],
    ) -> Result:
        compiled = self._compile(statement, names)
        try:
            return execute(compiled, self._cursor)
        except self._engine.dialect.loaded_dbapi.Error as error:
            _raise_by_sqlalchemy(error, compiled.sql, self.connection)


class _CompiledWrite(NamedTuple):
    """A `RevisedWrite` as a transaction of several statements."""

    begin: DriverStatement
    advance: DriverStatement
    writes: Sequence[DriverStatement]
    commit: DriverStatement
    roll_back: DriverStatement


class Database(SqlExecutor):
    """A pool of connections in autocommit.

    `give_way` is called between two chunks of a long result.
    """

    def __init__(
        self,
        engine: Engine,
        dialect: DatabaseDialect,
        *,
        give_way: Callable[[], None],
        make_statement: MakeStatement,
    ) -> None:
        self.engine = engine
        self.dialect = dialect
        self._give_way = give_way
        self._compile = lru_cache(_MAX_COMPILED_STATEMENTS)(
            partial(make_statement, dialect=engine.dialect)
        )
        # One look into a cache instead of five: a twentieth of the time to store a task.
        self._compile_write = lru_cache(_MAX_COMPILED_STATEMENTS)(self._compile_transaction)

    @override
    def _execute[Result](
        self,
        statement: Statement,
        names: tuple[str, ...],
        execute: Callable[[DriverStatement, DBAPICursor], Result],
    ) -> Result:
        pooled = self._check_out()
        try:
            compiled = self._compile(statement, names)
            try:
                with closing(pooled.cursor()) as cursor:
                    return execute(compiled, cursor)
            except self.engine.dialect.loaded_dbapi.Error as error:
                _raise_by_sqlalchemy(error, compiled.sql, Connection(self.engine, pooled))
        finally:
            pooled.close()

    def _check_out(self) -> PoolProxiedConnection:
        """Take a connection from the pool, without SQLAlchemy's `Connection` around it.

        That would take a twentieth of the processor time of a request.
        """
        try:
            return self.engine.raw_connection()
        except self.engine.dialect.loaded_dbapi.Error as error:
            raise Unavailable("database") from error

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Begin a transaction; commit it at the end, or roll it back if the block raises.

        Raises:
            Unavailable: if the database does not respond.
        """
        try:
            with closing(self._check_out()) as pooled, self._begin(pooled) as cursor:
                yield Transaction(self.engine, pooled, cursor, self.dialect, self._compile)
        except SQLAlchemyError as error:
            raise translate_error(error, {}) from error

    @contextmanager
    def schema_change(self) -> Iterator[Connection]:
        """Begin a transaction for migrations, and return its connection.

        It has no timeout, and waits for other processes that migrate.

        Raises:
            Unavailable: if the database does not respond.
            ValueError: if rows are left that refer to rows that do not exist.
        """
        try:
            with (
                self.engine.connect() as connection,
                self.dialect.schema_change(connection, self._begin(connection.connection)),
            ):
                yield connection
        except SQLAlchemyError as error:
            raise translate_error(error, {}) from error

    @contextmanager
    def _begin(self, pooled: PoolProxiedConnection) -> Iterator[DBAPICursor]:
        try:
            cursor = pooled.cursor()
        except self.engine.dialect.loaded_dbapi.Error as error:
            _raise_by_sqlalchemy(error, str(self.dialect.begin), Connection(self.engine, pooled))
        self._control(self.dialect.begin, pooled, cursor)
        try:
            yield cursor
            self._control(self.dialect.commit, pooled, cursor)
        except BaseException:
            self._roll_back(pooled, cursor)
            raise
        finally:
            if pooled.is_valid:  # otherwise the cursor was closed with its connection
                cursor.close()

    def _roll_back(self, pooled: PoolProxiedConnection, cursor: DBAPICursor) -> None:
        """Roll back, or discard the connection if that fails."""
        try:
            if pooled.is_valid:
                self._control(self.dialect.roll_back, pooled, cursor)
        except SQLAlchemyError:
            pooled.invalidate()

    def _control(
        self, statement: TextClause, pooled: PoolProxiedConnection, cursor: DBAPICursor
    ) -> None:
        """Begin or end a transaction."""
        compiled = self._compile(statement, ())
        try:
            compiled.execute(cursor, {})
        except self.engine.dialect.loaded_dbapi.Error as error:
            _raise_by_sqlalchemy(error, compiled.sql, Connection(self.engine, pooled))

    def atomically(self) -> AbstractContextManager[SqlExecutor]:
        return self.transaction()

    @override
    def write_revised(
        self,
        write: RevisedWrite,
        parameters: Parameters,
        constraint_errors: ConstraintErrors | None = None,
    ) -> int:
        if self.dialect.queries_may_write:
            return super().write_revised(write, parameters, constraint_errors)
        compiled = self._compile_write(write, tuple(parameters))

        # As in `transaction`, but without its objects: a quarter of the time to store a task.
        def execute(_: DriverStatement, cursor: DBAPICursor) -> int:
            compiled.begin.execute(cursor, {})
            try:
                compiled.advance.execute(cursor, parameters)
                if cursor.rowcount:
                    for each in compiled.writes:
                        each.execute(cursor, parameters)
                affected = cursor.rowcount
                compiled.commit.execute(cursor, {})
            except BaseException:
                with suppress(self.engine.dialect.loaded_dbapi.Error):
                    compiled.roll_back.execute(cursor, {})
                raise
            return affected

        return self._run(write.advance, parameters, execute, constraint_errors)

    def _compile_transaction(self, write: RevisedWrite, names: tuple[str, ...]) -> _CompiledWrite:
        begin, commit, roll_back = (
            self._compile(statement, ())
            for statement in (self.dialect.begin, self.dialect.commit, self.dialect.roll_back)
        )
        advance, *writes = (self._compile(each, names) for each in (write.advance, *write.writes))
        return _CompiledWrite(begin, advance, writes, commit, roll_back)

    @property
    def connections_in_use(self) -> int:
        """How many connections of the pool are in use."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    @property
    def needs_checkpoints(self) -> bool:
        """Whether `checkpoint` should be called several times a second."""
        return self.dialect.needs_checkpoints

    def checkpoint(self) -> None:
        """Do what the database has postponed, so that no request has to wait while it does it.

        Raises:
            Unavailable: if the database does not respond.
        """
        if self.needs_checkpoints:
            try:
                with self.engine.connect() as connection:
                    self.dialect.checkpoint(connection)
            except SQLAlchemyError as error:
                raise translate_error(error, {}) from error

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()


def _raise_by_sqlalchemy(error: Exception, sql: str, connection: Connection) -> NoReturn:
    """Raise the error of the driver as SQLAlchemy does, which discards lost connections.

    SQLAlchemy has no public name for it.
    """
    connection._handle_dbapi_exception(error, sql, None, None, None)  # noqa: SLF001


def open_database(
    dsn: str,
    *,
    pool_size: int,
    pool_timeout: float,
    prepared_statements: bool = True,
    give_way: Callable[[], None] = _do_not_pause,
    make_statement: MakeStatement = DriverStatement,
    holds_lock: bool = False,
) -> Database:
    """Return a database with a pool of connections, which are opened when they are needed.

    Args:
        dsn: `sqlite:///…` or `postgresql+psycopg://…`.
        pool_size: how many connections are open at most.
        pool_timeout: how many seconds to wait for a free one.
        prepared_statements: whether a PostgreSQL server may prepare statements that are used
            repeatedly. Behind a connection pooler none are prepared.
        give_way: called between two chunks of a long result. It may wait for a moment, so that
            a long query does not delay many short ones.
        make_statement: compiles each statement.
        holds_lock: whether this process holds the lock of a SQLite database alone, so that its
            connections must not wait for it.

    Raises:
        ValueError: if the URL is malformed, or has a parameter that the driver does not know.
    """
    url = _parse_url(dsn)
    dialect: DatabaseDialect = (
        SqliteDialect(holds_lock=holds_lock)
        if url.get_backend_name() == "sqlite"
        else PostgresqlDialect(prepared_statements=prepared_statements)
    )
    dialect.check_url(url)
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        pool_reset_on_return=None,  # each transaction is ended by what began it
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection that was used last has the warmest caches
        pool_timeout=pool_timeout,
        hide_parameters=True,  # users' data must not reach the logs in the text of an error
        connect_args={
            name: value
            for name, value in dialect.connect_arguments.items()
            if name not in url.query
        },
    )
    dialect.configure(engine)
    return Database(engine, dialect, give_way=give_way, make_statement=make_statement)


def _parse_url(dsn: str) -> URL:
    try:
        url = make_url(dsn)
        url.get_dialect()().create_connect_args(url)
    except (ArgumentError, ValueError):
        raise ValueError("cannot be read as the URL of a database") from None
    return url
