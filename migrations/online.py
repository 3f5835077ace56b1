"""Changes of large tables on PostgreSQL while the service is running.

A revision runs in a transaction. What takes long runs outside of it, in `committing`, and what
needs a table for itself in `briefly_locking`. If the migration is interrupted, it is run again
from the start of the revision, so each step must do nothing if it is done already.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

_LOCK_TIMEOUT_SECONDS = 2
"""More than `deadlock_timeout`, after which a lock request cancels an automatic vacuum."""

_ATTEMPTS = 120


def is_online() -> bool:
    """Return whether the database is PostgreSQL. SQLite changes a table in the transaction."""
    return op.get_bind().dialect.name == "postgresql"


def has_column(table: str, column: str) -> bool:
    """Return whether a table has this column."""
    return any(each["name"] == column for each in inspect(op.get_bind()).get_columns(table))


def has_table(name: str) -> bool:
    """Return whether there is such a table."""
    return inspect(op.get_bind()).has_table(name)


@contextmanager
def committing() -> Iterator[None]:
    """Commit what was done before, and each statement of the block by itself."""
    op.execute("COMMIT")
    yield
    op.execute("BEGIN")


def create_index_concurrently(name: str, definition: str, *, unique: bool = False) -> None:
    """Create an index in `committing`, in place of what an interrupted attempt has left."""
    is_valid = op.get_bind().scalar(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"),
        {"name": name},
    )
    if is_valid is False:
        op.execute(f"DROP INDEX CONCURRENTLY {name}")
    if not is_valid:
        kind = "UNIQUE INDEX" if unique else "INDEX"
        op.execute(f"CREATE {kind} CONCURRENTLY {name} ON {definition}")


def briefly_locking(*statements: str) -> None:
    """Execute the statements in a transaction of their own, in `committing`.

    They wait at most two seconds for a lock, since all other requests for the table wait behind
    them, and then let those go first before they try again.

    Raises:
        OperationalError: if other transactions hold the table at every attempt.
    """
    for remaining in reversed(range(_ATTEMPTS)):
        op.execute("BEGIN")
        try:
            op.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT_SECONDS}s'")
            for statement in statements:
                op.execute(statement)
        except OperationalError:
            op.execute("ROLLBACK")
            if not remaining:
                raise
            time.sleep(_LOCK_TIMEOUT_SECONDS)
        else:
            op.execute("COMMIT")
            return
