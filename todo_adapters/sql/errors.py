"""What the database's own errors mean to the core."""

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

from todo_core.errors import TodoError, Unavailable

type Refusals = Mapping[str, type[TodoError]]
"""Which error it means when the constraint of this name refuses a statement."""

_NOT_READY = {"42P01", "42703", "25006"}
"""PostgreSQL's codes for a table or column that is missing, and a server that only reads."""

_SQLITE_CONSTRAINTS = {
    "UNIQUE constraint failed: users.email_key": "uq_users_email_key",
    "UNIQUE constraint failed: tasks.id": "pk_tasks",
    "UNIQUE constraint failed: identities.issuer, identities.subject": "pk_identities",
}
"""SQLite describes the constraint instead of naming it."""


def meaning_of(error: SQLAlchemyError, refusals: Refusals) -> Exception:
    """The core's error for the database's; the same error if it means nothing to the core.

    A database that does not answer, is full, locked, shutting down or not migrated, and
    a pool without a free connection, all mean that it is unavailable for now.
    """
    if isinstance(error, IntegrityError):
        constraint = _violated_constraint(error, refusals)
        return refusals[constraint]() if constraint in refusals else error
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return Unavailable("database")
    if isinstance(error, DBAPIError) and (
        error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _NOT_READY
    ):
        return Unavailable("database")
    return error


def _violated_constraint(error: IntegrityError, refusals: Refusals) -> str:
    refused = error.orig
    if not isinstance(refused, SqliteError):
        # psycopg names it; importing psycopg to say so would cost the embedded service 9 MB.
        return str(refused.diag.constraint_name)  # type: ignore[union-attr]
    if refused.sqlite_errorname == "SQLITE_CONSTRAINT_FOREIGNKEY":
        # It does not even say which one; no statement here is subject to two.
        return next((name for name in refusals if name.startswith("fk_")), "")
    return _SQLITE_CONSTRAINTS.get(str(refused), "")
