"""A trash for deleted tasks, and an index of tasks in the order of their changes.

Tasks that were not changed since 0007 get revisions too: negative ones, in the order in which they
were last changed. So no other revision changes, and tasks that are changed meanwhile are skipped.

Revision: 0008, after 0007
"""

import sqlalchemy as sa
from alembic import op

from migrations.online import (
    committing,
    create_index_concurrently,
    has_column,
    has_table,
    is_online,
)

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEX = "ix_tasks_owner_id_completed_revision_id"
_OWNERS_IN_BATCH = 500


def upgrade() -> None:
    if not has_column("task_owners", "deleted"):
        op.add_column(
            "task_owners", sa.Column("deleted", sa.Integer(), server_default="0", nullable=False)
        )
        op.add_column(
            "task_owners",
            sa.Column("forgotten_revision", sa.BigInteger(), server_default="0", nullable=False),
        )
    if not has_table("deleted_tasks"):
        _create_trash()
    if is_online():
        with committing():
            _number_in_batches()
            create_index_concurrently(_INDEX, "tasks (owner_id, completed, revision, id)")
    else:
        _number("TRUE", {})
        op.create_index(_INDEX, "tasks", ["owner_id", "completed", "revision", "id"])


def downgrade() -> None:
    if is_online():
        with committing():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}")
    else:
        op.drop_index(_INDEX, "tasks")
    op.execute("UPDATE tasks SET revision = 0 WHERE revision < 0")
    op.drop_table("deleted_tasks")
    op.drop_column("task_owners", "forgotten_revision")
    op.drop_column("task_owners", "deleted")


def _create_trash() -> None:
    op.create_table(
        "deleted_tasks",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(200), nullable=True),
        sa.Column("description", sa.String(1000), nullable=True),
        sa.Column("completed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("folded_title", sa.Text(), nullable=True),
        sa.Column("folded_description", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("owner_id", "id", name=op.f("pk_deleted_tasks")),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["users.id"],
            name=op.f("fk_deleted_tasks_owner_id_users"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "completed IN (0, 1)", name=op.f("ck_deleted_tasks_completed_boolean")
        ).ddl_if(dialect="sqlite"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_deleted_tasks_owner_id_revision", "deleted_tasks", ["owner_id", "revision"])
    op.create_index("ix_deleted_tasks_expires_at", "deleted_tasks", ["expires_at"])


def _number_in_batches() -> None:
    """Number the tasks of some owners at a time, so that no writer waits for long."""
    connection = op.get_bind()
    owners = sa.text(
        "SELECT DISTINCT owner_id FROM tasks WHERE revision = 0"
        " AND (CAST(:last AS uuid) IS NULL OR owner_id > CAST(:last AS uuid))"
        " ORDER BY owner_id LIMIT :limit"
    )
    last = None
    parameters = {"last": last, "limit": _OWNERS_IN_BATCH}
    while found := connection.scalars(owners, parameters).all():
        _number("owner_id BETWEEN :first AND :last", {"first": found[0], "last": found[-1]})
        parameters["last"] = found[-1]


def _number(condition: str, parameters: dict[str, object]) -> None:
    op.get_bind().execute(
        sa.text(
            "UPDATE tasks SET revision = -numbered.number"  # noqa: S608 - constants
            " FROM (SELECT owner_id, id, row_number() OVER"
            " (PARTITION BY owner_id ORDER BY updated_at DESC, id DESC) AS number"
            f" FROM tasks WHERE revision = 0 AND {condition}) AS numbered"
            " WHERE tasks.owner_id = numbered.owner_id AND tasks.id = numbered.id"
            " AND tasks.revision = 0"
        ),
        parameters,
    )
