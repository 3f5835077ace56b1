"""The statements of the SQL adapters, and watching the statements that a database executes."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from unittest.mock import patch

from sqlalchemy import CompoundSelect, Delete, Engine, Insert, Select, TextClause, Update, event
from sqlmodel import bindparam, select

import todo_adapters.sql
from todo_adapters.sql.revisions import RevisedWrite
from todo_adapters.sql.statements import DriverStatement, Statement
from todo_adapters.sql.tables import TASKS, TaskRow
from todo_adapters.sql.task_rows import TASK_COLUMNS

TASKS_OF_OWNER = (
    select(TaskRow)
    .with_only_columns(*TASK_COLUMNS)
    .where(TASKS.c.owner_id == bindparam("owner"))
    .order_by(TASKS.c.created_at.desc(), TASKS.c.id.desc())
)
"""A query with several rows, and values of all types."""

type Execute = Callable[[DriverStatement, Any, Any], None]
type Watch = Callable[[Any, str], None]  # the driver's connection, and the SQL


def prebuilt_statements() -> Mapping[str, Statement]:
    """Return every statement that is built when a module of the SQL adapters is imported.

    The name of one that only PostgreSQL can execute ends with `at_once`.
    """
    return dict(_statements())


def _statements() -> Iterator[tuple[str, Statement]]:
    kinds = (Select, CompoundSelect, Insert, Update, Delete, TextClause)
    for module in iter_modules(todo_adapters.sql.__path__):
        for name, value in vars(import_module(f"todo_adapters.sql.{module.name}")).items():
            if isinstance(value, kinds):
                yield f"{module.name}.{name}", value
            elif isinstance(value, tuple):
                for number, each in enumerate(value):
                    if isinstance(each, kinds):
                        yield f"{module.name}.{name}[{number}]", each
            elif isinstance(value, RevisedWrite):
                yield f"{module.name}.{name}.advance", value.advance
                for number, each in enumerate(value.writes):
                    yield f"{module.name}.{name}.writes[{number}]", each
                yield f"{module.name}.{name}.at_once", value.at_once


def _ignore(*_: object) -> None:
    """Do nothing."""


@contextmanager
def watched_statements(
    engine: Engine, *, before: Watch = _ignore, after: Watch = _ignore
) -> Iterator[None]:
    """Call `before` and `after` around each statement that SQLAlchemy or the driver executes."""

    def on_before(connection: Any, _: object, sql: str, *__: object) -> None:
        before(connection.connection.dbapi_connection, sql)

    def on_after(connection: Any, _: object, sql: str, *__: object) -> None:
        after(connection.connection.dbapi_connection, sql)

    def watched(execute: Execute) -> Execute:
        def watched_execute(statement: DriverStatement, cursor: Any, parameters: Any) -> None:
            before(cursor.connection, statement.sql)
            execute(statement, cursor, parameters)
            after(cursor.connection, statement.sql)

        return watched_execute

    event.listen(engine, "before_cursor_execute", on_before)
    event.listen(engine, "after_cursor_execute", on_after)
    try:
        with patch.multiple(
            DriverStatement,
            execute=watched(DriverStatement.execute),
            execute_many=watched(DriverStatement.execute_many),
        ):
            yield
    finally:
        event.remove(engine, "before_cursor_execute", on_before)
        event.remove(engine, "after_cursor_execute", on_after)


@contextmanager
def recorded_statements(engine: Engine) -> Iterator[list[str]]:
    """Record the SQL that is executed during the block."""
    recorded: list[str] = []
    with watched_statements(engine, before=lambda _, sql: recorded.append(sql)):
        yield recorded
