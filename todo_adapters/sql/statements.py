"""Statements as drivers take them: compiled by SQLAlchemy once, then run by the driver itself.

When SQLAlchemy executes a statement, it prepares the execution and wraps the result each time.
Without this, reading or creating a task takes half of the processor time, about 17 µs less
(`python -m tests.benchmarks.statements`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from logging import INFO, getLogger
from typing import Any

from sqlalchemy import CompoundSelect, Delete, Dialect, Insert, Select, TextClause, Update
from sqlalchemy.engine.interfaces import DBAPICursor

type Query = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]
type Statement = Query | Insert | Update | Delete | TextClause
type Parameters = Mapping[str, Any]  # the bound columns decide which types they take
type AnyRow = Sequence[Any]  # the values of the selected columns


_log = getLogger("sqlalchemy.engine")  # SQLAlchemy logs the statements there that it executes


PLAN_EACH_TIME = "todo_plan_each_time"
"""An execution option: PostgreSQL is to plan the statement for the values of its parameters.

Otherwise it may use one plan for all of them, which is made for a usual owner, not for one who
has very many tasks.
"""


class DriverStatement:
    """The SQL of a statement for one driver, and the conversions of its parameters and columns.

    `names` are the names of the parameters that it will be executed with. Its SQL must not depend
    on their values, as that of `IN` with a list does.

    Raises:
        TypeError: if it does.
    """

    def __init__(self, statement: Statement, names: Iterable[str], *, dialect: Dialect) -> None:
        is_row = isinstance(statement, Insert) and statement.select is None
        compiled = statement.compile(dialect=dialect, column_keys=list(names) if is_row else None)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise TypeError(f"the SQL depends on the values of the parameters: {statement}")
        self.sql = compiled.string
        bound = {name: parameter for parameter, name in compiled.bind_names.items()}
        self._constants = {
            name: parameter.value for name, parameter in bound.items() if not parameter.required
        }
        conversions = {
            name: parameter.type.dialect_impl(dialect).bind_processor(dialect)
            for name, parameter in bound.items()
        }
        options = statement.get_execution_options()
        plans_each_time = dialect.name == "postgresql" and options.get(PLAN_EACH_TIME, False)
        self._options = {"prepare": False} if plans_each_time else {}
        self._by_position = compiled.positional
        self._parameters = [
            (name, conversions[name]) for name in compiled.positiontup or conversions
        ]
        self._columns = [
            (index, convert)
            for index, column in enumerate(getattr(statement, "exported_columns", ()))
            if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None))
        ]

    def execute(self, cursor: DBAPICursor, parameters: Parameters) -> None:
        """Execute it on the driver's cursor."""
        self._log()
        cursor.execute(self.sql, self._bind(parameters), **self._options)

    def fetch(self, cursor: DBAPICursor, parameters: Parameters) -> Sequence[AnyRow]:
        """Execute it on the driver's cursor, and return all rows."""
        self.execute(cursor, parameters)
        return self.convert(cursor.fetchall())

    def fetch_chunks(
        self, cursor: DBAPICursor, parameters: Parameters, size: int
    ) -> Iterator[Sequence[AnyRow]]:
        """Execute it on the driver's cursor, and yield its rows in chunks of this size."""
        self.execute(cursor, parameters)
        yield from self.read_chunks(cursor, size)

    def read_chunks(self, cursor: DBAPICursor, size: int) -> Iterator[Sequence[AnyRow]]:
        """Yield the rows of a statement that was executed, in chunks of this size."""
        rows = cursor.fetchmany(size)
        yield self.convert(rows)
        while len(rows) == size:
            rows = cursor.fetchmany(size)
            yield self.convert(rows)

    def execute_many(self, cursor: DBAPICursor, parameters: Sequence[Parameters]) -> None:
        """Execute it once for each set of parameters."""
        self._log()
        cursor.executemany(self.sql, [self._bind(each) for each in parameters])

    def _log(self) -> None:
        if _log.isEnabledFor(INFO):
            _log.info(self.sql)

    def _bind(self, parameters: Parameters) -> Any:  # noqa: ANN401 - as the driver takes them
        if self._constants:
            parameters = {**self._constants, **parameters}
        if self._by_position:
            return [
                parameters[name] if convert is None else convert(parameters[name])
                for name, convert in self._parameters
            ]
        return {
            name: parameters[name] if convert is None else convert(parameters[name])
            for name, convert in self._parameters
        }

    def convert(self, rows: Sequence[AnyRow]) -> Sequence[AnyRow]:
        """Return rows of the driver with their values in the types of the columns."""
        return [self._convert(row) for row in rows] if self._columns else rows

    def _convert(self, row: AnyRow) -> AnyRow:
        values = list(row)
        for index, convert in self._columns:
            if (value := values[index]) is not None:
                values[index] = convert(value)
        return values
