"""A span for each SQL statement.

The instrumentations of SQLAlchemy and of drivers do not fit: statements run on the driver's cursor,
without SQLAlchemy's events (`todo_adapters.sql.statements`), and on SQLite reading the rows takes
most of the time.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import override

from opentelemetry.trace import Span, SpanKind, Tracer
from sqlalchemy import (
    CompoundSelect,
    Delete,
    Dialect,
    FromClause,
    Insert,
    Select,
    Table,
    TextClause,
    Update,
)
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.selectable import SelectStatementGrouping

from todo_adapters.sql.statements import AnyRow, DriverStatement, Parameters, Statement
from todo_adapters.tracing.spans import is_sampled, record_error


class TracedStatement(DriverStatement):
    """A statement whose executions have spans (semantic conventions for database clients, 1.33).

    `db.query.text` is the SQL with placeholders. Values of parameters are never recorded.
    """

    def __init__(
        self, tracer: Tracer, statement: Statement, names: Iterable[str], *, dialect: Dialect
    ) -> None:
        super().__init__(statement, names, dialect=dialect)
        self._tracer = tracer
        operation = _operation_of(statement)
        self._attributes = {
            "db.system.name": dialect.name,
            "db.operation.name": operation,
            "db.query.text": self.sql,
        }
        self.name = operation
        if (table := _table_of(statement)) is not None:
            self._attributes["db.collection.name"] = table
            self.name = f"{operation} {table}"

    @override
    def execute(self, cursor: DBAPICursor, parameters: Parameters) -> None:
        if not is_sampled():
            super().execute(cursor, parameters)
            return
        with self._span():
            super().execute(cursor, parameters)

    @override
    def execute_many(self, cursor: DBAPICursor, parameters: Sequence[Parameters]) -> None:
        if not is_sampled():
            super().execute_many(cursor, parameters)
            return
        with self._span() as span:
            if len(parameters) > 1:
                span.set_attribute("db.operation.batch.size", len(parameters))
            super().execute_many(cursor, parameters)

    @override
    def fetch(self, cursor: DBAPICursor, parameters: Parameters) -> Sequence[AnyRow]:
        if not is_sampled():
            return super().fetch(cursor, parameters)
        with self._span():
            super().execute(cursor, parameters)
            return self.convert(cursor.fetchall())

    @override
    def fetch_chunks(
        self, cursor: DBAPICursor, parameters: Parameters, size: int
    ) -> Iterator[Sequence[AnyRow]]:
        if not is_sampled():
            yield from super().fetch_chunks(cursor, parameters, size)
            return
        with self._span():
            super().execute(cursor, parameters)
            yield from self.read_chunks(cursor, size)

    @contextmanager
    def _span(self) -> Iterator[Span]:
        """Begin a span, which is not the current one: nothing happens within a statement."""
        span = self._tracer.start_span(self.name, kind=SpanKind.CLIENT, attributes=self._attributes)
        try:
            yield span
        except Exception as error:
            record_error(span, error)
            if isinstance(code := getattr(error, "sqlstate", None), str):
                span.set_attribute("db.response.status_code", code)
            raise
        finally:
            span.end()


def _operation_of(statement: Statement) -> str:
    """Return what a statement does. Its text may begin with WITH or a parenthesis."""
    match statement:
        case TextClause():
            return statement.text.split(maxsplit=1)[0].upper()
        case Insert() | Update() | Delete():
            return type(statement).__visit_name__.upper()
        case _:
            return "SELECT"


def _table_of(statement: Statement) -> str | None:
    """Return the name of the only table that a statement writes or selects from."""
    found: set[FromClause] = set()
    match statement:
        case Insert() | Update() | Delete():
            found.add(statement.table)
        case Select():
            found.update(statement.columns_clause_froms)
        case CompoundSelect():
            for each in statement.selects:
                part = each.element if isinstance(each, SelectStatementGrouping) else each
                found.update(part.columns_clause_froms if isinstance(part, Select) else ())
    match [*found]:
        case [Table(name=name)]:
            return str(name)
        case _:
            return None
