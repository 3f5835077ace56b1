"""The parents of subtasks.

The column is null in rows of the earlier release, whose processes keep writing such rows until they
are replaced. On PostgreSQL, no statement holds a lock on the tasks for long. SQLite cannot add a
foreign key of two columns to a table, so that the table is replaced by a copy.

Revision: 0014, after 0013
"""

import re

import sqlalchemy as sa
from alembic import op

from migrations.online import (
    briefly_locking,
    committing,
    create_index_concurrently,
    has_column,
    is_online,
)

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_FOREIGN_KEY = "fk_tasks_parent_id_tasks"
_REFERENCE = (
    f"CONSTRAINT {_FOREIGN_KEY} FOREIGN KEY (owner_id, parent_id) REFERENCES tasks (owner_id, id)"
)
_KEY = "CONSTRAINT pk_tasks PRIMARY KEY (owner_id, id)"
_INDEXED = {
    "tasks": ("owner_id", "parent_id", "completed"),
    "deleted_tasks": ("owner_id", "parent_id", "expires_at"),
}
_NAME = re.compile(r'CREATE TABLE "?tasks"?')
_DEFINITION = sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'tasks'")
_INDEXES_OF_TASKS = sa.text(
    "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'tasks' AND sql IS NOT NULL"
)


def upgrade() -> None:
    if not has_column("deleted_tasks", "parent_id"):
        op.add_column("deleted_tasks", sa.Column("parent_id", sa.BigInteger(), nullable=True))
    if is_online():
        with committing():
            _upgrade_online()
        return
    op.add_column("tasks", sa.Column("parent_id", sa.BigInteger(), nullable=True))
    _rebuild_tasks(_KEY, f"{_KEY}, {_REFERENCE}")
    for table, columns in _INDEXED.items():
        op.create_index(
            _index(table), table, columns, sqlite_where=sa.text("parent_id IS NOT NULL")
        )


def _index(table: str) -> str:
    return "_".join(["ix", table, *_INDEXED[table]])


def _upgrade_online() -> None:
    if not has_column("tasks", "parent_id"):
        briefly_locking(
            f"ALTER TABLE tasks ADD COLUMN parent_id bigint, ADD {_REFERENCE} NOT VALID"
        )
    for table, columns in _INDEXED.items():
        definition = f"{table} ({', '.join(columns)}) WHERE parent_id IS NOT NULL"
        create_index_concurrently(_index(table), definition)
    op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT {_FOREIGN_KEY}")


def _rebuild_tasks(before: str, after: str) -> None:
    """Replace the table by a copy with another definition of its keys, and with the same indexes.

    The definition is changed as text, because what reflection knows of a table is not all that
    SQLite knows. The rows are copied in the order in which they are stored.
    """
    connection = op.get_bind()
    definition = connection.scalar(_DEFINITION)
    indexes = connection.scalars(_INDEXES_OF_TASKS).all()
    assert definition.count(before) == 1, definition  # noqa: S101 - or the copy would differ
    op.execute(_NAME.sub("CREATE TABLE new_tasks", definition.replace(before, after), count=1))
    op.execute("INSERT INTO new_tasks SELECT * FROM tasks ORDER BY owner_id, id")
    op.drop_table("tasks")
    op.rename_table("new_tasks", "tasks")
    for index in indexes:
        op.execute(index)


def downgrade() -> None:
    if is_online():
        with committing():
            for table in _INDEXED:
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_index(table)}")
            briefly_locking("ALTER TABLE tasks DROP COLUMN IF EXISTS parent_id")
    else:
        for table in _INDEXED:
            op.drop_index(_index(table), table)
        _rebuild_tasks(f"{_KEY}, {_REFERENCE}", _KEY)
        op.drop_column("tasks", "parent_id")
    if has_column("deleted_tasks", "parent_id"):
        op.drop_column("deleted_tasks", "parent_id")
