"""A revision and counts for each owner of tasks, and the owner as part of the key of a task.

The row of an owner is added when they first write a task: see `todo_adapters.sql.revisions`. The
earlier version does not know it and would write tasks without a revision, so the column of the
owner is renamed: its processes then answer 503 to requests about tasks until they are restarted.
On PostgreSQL they continue to work until that last step.

Revision: 0007, after 0006
"""

import sqlalchemy as sa
from alembic import op

from migrations.online import (
    briefly_locking,
    committing,
    create_index_concurrently,
    has_column,
    has_table,
    is_online,
)

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if not has_table("task_owners"):
        _create_owners()
    if not is_online():
        _rebuild_tasks("user_id", "owner_id", key=["owner_id", "id"])
    elif not has_column("tasks", "owner_id"):
        _change_online(
            "ADD COLUMN revision bigint NOT NULL DEFAULT 0", "user_id", "owner_id", "user_id, id"
        )


def downgrade() -> None:
    if not is_online():
        _rebuild_tasks("owner_id", "user_id", key=["id"])
    elif has_column("tasks", "owner_id"):
        _change_online("DROP COLUMN revision", "owner_id", "user_id", "id")
    op.drop_table("task_owners")


def _create_owners() -> None:
    op.create_table(
        "task_owners",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("completed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", name=op.f("pk_task_owners")),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["users.id"],
            name=op.f("fk_task_owners_owner_id_users"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint("revision >= 0", name=op.f("ck_task_owners_revision_not_negative")),
        sa.CheckConstraint("total >= 0", name=op.f("ck_task_owners_total_not_negative")),
        sqlite_with_rowid=False,
    )


def _change_online(column: str, before: str, after: str, key: str) -> None:
    """Add or drop a column, replace the key, and rename the column of the owner.

    The table is locked for a moment, at the end.
    """
    with committing():
        create_index_concurrently("pk_new_tasks", f"tasks ({key})", unique=True)
        briefly_locking(
            f"ALTER TABLE tasks {column}",
            "ALTER TABLE tasks DROP CONSTRAINT pk_tasks",
            "ALTER TABLE tasks ADD CONSTRAINT pk_tasks PRIMARY KEY USING INDEX pk_new_tasks",
            f"ALTER TABLE tasks RENAME COLUMN {before} TO {after}",
            "ALTER TABLE tasks"
            f" RENAME CONSTRAINT fk_tasks_{before}_users TO fk_tasks_{after}_users",
            f"ALTER INDEX ix_tasks_{before}_completed_created_at_id"
            f" RENAME TO ix_tasks_{after}_completed_created_at_id",
        )


def _rebuild_tasks(before: str, after: str, *, key: list[str]) -> None:
    """Replace the table, because SQLite cannot change a key."""
    columns = "id, title, description, completed, version, created_at, updated_at"
    is_upgrade = len(key) > 1
    revision_column = sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False)
    op.drop_index(f"ix_tasks_{before}_completed_created_at_id", "tasks")
    op.create_table(
        "new_tasks",
        sa.Column(after, sa.Uuid(), nullable=False),
        # As the only column of the key, INTEGER makes it SQLite's row id.
        sa.Column("id", sa.BigInteger() if is_upgrade else sa.Integer(), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("description", sa.String(1000), nullable=True),
        sa.Column("completed", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *([revision_column] if is_upgrade else []),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_tasks")),
        sa.ForeignKeyConstraint(
            [after], ["users.id"], name=op.f(f"fk_tasks_{after}_users"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("completed IN (0, 1)", name=op.f("ck_tasks_completed_boolean")),
        sa.CheckConstraint("length(title) BETWEEN 1 AND 200", name=op.f("ck_tasks_title_length")),
        sa.CheckConstraint(
            "length(description) BETWEEN 1 AND 1000", name=op.f("ck_tasks_description_length")
        ),
        sa.CheckConstraint("version >= 1", name=op.f("ck_tasks_version_positive")),
        sqlite_with_rowid=not is_upgrade,
    )
    op.execute(
        f"INSERT INTO new_tasks ({after}, {columns}) SELECT {before}, {columns} FROM tasks"  # noqa: S608 - constants
        f" ORDER BY {before}, id"  # the order in which they are stored
    )
    op.drop_table("tasks")
    op.rename_table("new_tasks", "tasks")
    op.create_index(
        f"ix_tasks_{after}_completed_created_at_id",
        "tasks",
        [after, "completed", "created_at", "id"],
    )
