"""Ranks in SQL: those that are stored, and those of tasks whose rows have none.

Releases before the column have stored no rank. It is computed then as the core does it
(`todo_core.entities.rank.Rank.of_new_task`), so that no row has to be rewritten.
"""

from typing import Any

from sqlalchemy import ColumnElement, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import ColumnCollection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from todo_core.entities.rank import ID_LIMIT, LAST_TIME


class _Position(FunctionElement[str]):
    """The rank of a task: what is stored, or else what follows from its creation and its id.

    It is compared code point by code point.
    """

    type = Text()
    inherit_cache = True


@compiles(_Position, "sqlite")
def _in_sqlite(element: _Position, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    stored, created_at, task_id = (compiler.process(each, **options) for each in element.clauses)
    # From the text of a time, whose fraction a function for times would round.
    seconds = f"CAST(strftime('%s', substr({created_at}, 1, 19)) AS INTEGER)"
    microseconds = f"{seconds} * 1000000 + CAST(substr({created_at}, 21, 6) AS INTEGER)"
    first = f"printf('L%015x%014x', {LAST_TIME} - ({microseconds}), {ID_LIMIT} - {task_id})"
    return f"coalesce({stored}, rtrim({first}, '0'))"


@compiles(_Position, "postgresql")
def _in_postgresql(element: _Position, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401 - as SQLAlchemy passes them
    stored, created_at, task_id = (compiler.process(each, **options) for each in element.clauses)
    microseconds = f"(extract(epoch FROM {created_at}) * 1000000)::bigint"
    first = (
        f"'L' || lpad(to_hex({LAST_TIME} - {microseconds}), 15, '0')"
        f" || lpad(to_hex({ID_LIMIT} - {task_id}), 14, '0')"
    )
    # Without the collation, the locale of the database decides.
    return f"coalesce({stored}, rtrim({first}, '0')) COLLATE \"C\""


def stored_position(columns: ColumnCollection[str, Any]) -> ColumnElement[str]:
    """Return the rank of a task."""
    return _Position(columns["position"], columns["created_at"], columns["id"])
