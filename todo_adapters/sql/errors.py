"""Translation of the database's errors to the core's."""

import re
from collections.abc import Mapping
from sqlite3 import Error as SqliteError

from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from todo_adapters.sql import sqlite
from todo_adapters.sql.postgresql import READ_ONLY
from todo_core.errors import StaleVersion, TodoError, Unavailable

type ConstraintErrors = Mapping[str, type[TodoError]]
"""The error to raise when a statement violates the constraint of this name."""

_NOT_READY = {"42P01", "42703", READ_ONLY}
"""PostgreSQL's codes for a missing table, a missing column, and a read-only server."""

_DEADLOCK = "40P01"
"""PostgreSQL's code for a transaction that it rolls back because two wait for each other."""


def translate_error(error: SQLAlchemyError, constraint_errors: ConstraintErrors) -> Exception:
    """Return the core's error for the database's, or the same error if the core has none.

    A database that does not respond, is full, locked, shutting down or not migrated, and
    a pool without a free connection, are all unavailable for now. A transaction that was rolled
    back to end a deadlock met a concurrent change, like a stale version.
    """
    if isinstance(error, IntegrityError):
        constraint = _violated_constraint(error, constraint_errors)
        return constraint_errors[constraint]() if constraint in constraint_errors else error
    if isinstance(error, DBAPIError) and _sqlstate(error) == _DEADLOCK:
        return StaleVersion()
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return Unavailable("database")
    if isinstance(error, DBAPIError) and (
        error.connection_invalidated or _sqlstate(error) in _NOT_READY
    ):
        return Unavailable("database")
    return error


def _sqlstate(error: DBAPIError) -> str | None:
    """Return PostgreSQL's code of the error, if it is one of PostgreSQL's."""
    return getattr(error.orig, "sqlstate", None)


def _violated_constraint(error: IntegrityError, constraint_errors: ConstraintErrors) -> str:
    cause = error.orig
    if isinstance(cause, SqliteError):
        return sqlite.violated_constraint(cause, constraint_errors)
    # psycopg's, which is not imported here: see docs/decisions/late-imports.md.
    name = str(cause.diag.constraint_name)  # type: ignore[union-attr]
    # That of a partition has the name of the table's constraint, and a number.
    return name if name in constraint_errors else re.sub("_[0-9]+$", "", name)
