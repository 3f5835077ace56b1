"""Reminders of tasks: their columns, those that were fired, and whether users want emails of them.

The columns of tasks are empty in rows of the earlier release, whose processes keep writing such
rows until they are replaced. On PostgreSQL, no statement holds a lock on the tasks for long.

Revision: 0015, after 0014
"""

from collections.abc import Mapping
from typing import Any

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

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_CONTENT: Mapping[str, sa.types.TypeEngine[Any]] = {
    "reminders": sa.Text(),
    "reminder_times": sa.Text(),
}
_OF_TASKS: Mapping[str, sa.types.TypeEngine[Any]] = {
    **_CONTENT,
    "remind_at": sa.DateTime(timezone=True),
}
_RULE = "ck_tasks_reminder_times_with_reminders"
_CONDITION = "(reminders IS NULL) = (reminder_times IS NULL)"
_INDEX = "ix_tasks_remind_at"
_FIRED = "fired_reminders"
_WITH_EMAIL = sa.text("email_due_at IS NOT NULL")


def upgrade() -> None:
    if not has_table(_FIRED):
        _create_fired_reminders()
    if is_online():
        with committing():
            _upgrade_online()
        return
    boolean, default = sa.Boolean(), sa.true()
    op.add_column(
        "users", sa.Column("reminder_emails", boolean, server_default=default, nullable=False)
    )
    for name, kind in _CONTENT.items():
        op.add_column("deleted_tasks", sa.Column(name, kind, nullable=True))
    for name in _OF_TASKS:
        rule = f" CONSTRAINT {_RULE} CHECK ({_CONDITION})" if name == "reminder_times" else ""
        op.execute(f"ALTER TABLE tasks {_added(name)}{rule}")
    op.create_index(_INDEX, "tasks", ["remind_at"], sqlite_where=sa.text("remind_at IS NOT NULL"))


def _create_fired_reminders() -> None:
    op.create_table(
        _FIRED,
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("remind_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("email_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint(
            "owner_id", "task_id", "remind_at", name=op.f("pk_fired_reminders")
        ),
        sa.ForeignKeyConstraint(
            ["owner_id"],
            ["users.id"],
            name=op.f("fk_fired_reminders_owner_id_users"),
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_fired_reminders_owner_id_revision", _FIRED, ["owner_id", "revision"])
    op.create_index(
        "ix_fired_reminders_email_due_at",
        _FIRED,
        ["email_due_at"],
        sqlite_where=_WITH_EMAIL,
        postgresql_where=_WITH_EMAIL,
    )
    op.create_index("ix_fired_reminders_fired_at", _FIRED, ["fired_at"])


def _upgrade_online() -> None:
    # One table at a time: a process that deletes a task locks all of them.
    if not has_column("users", "reminder_emails"):
        briefly_locking(
            "ALTER TABLE users ADD COLUMN reminder_emails boolean DEFAULT true NOT NULL"
        )
    if not has_column("deleted_tasks", "reminders"):
        briefly_locking(f"ALTER TABLE deleted_tasks {', '.join(map(_added, _CONTENT))}")
    if not has_column("tasks", "remind_at"):
        rule = f"ADD CONSTRAINT {_RULE} CHECK ({_CONDITION}) NOT VALID"
        briefly_locking(f"ALTER TABLE tasks {', '.join([*map(_added, _OF_TASKS), rule])}")
    op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT {_RULE}")
    create_index_concurrently(_INDEX, "tasks (remind_at) WHERE remind_at IS NOT NULL")


def _added(name: str) -> str:
    return f"ADD COLUMN {name} {_OF_TASKS[name].compile(op.get_bind().dialect)}"


def downgrade() -> None:
    if is_online():
        with committing():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}")
            dropped = [f"DROP COLUMN IF EXISTS {name}" for name in _OF_TASKS]
            briefly_locking(f"ALTER TABLE tasks {', '.join(dropped)}")
            dropped = [f"DROP COLUMN IF EXISTS {name}" for name in _CONTENT]
            briefly_locking(f"ALTER TABLE deleted_tasks {', '.join(dropped)}")
            briefly_locking("ALTER TABLE users DROP COLUMN IF EXISTS reminder_emails")
    else:
        op.drop_index(_INDEX, "tasks")
        # A column goes with its rule, and so before the other one that the rule names.
        for name in reversed([*_OF_TASKS]):
            op.drop_column("tasks", name)
        for name in _CONTENT:
            op.drop_column("deleted_tasks", name)
        op.drop_column("users", "reminder_emails")
    if has_table(_FIRED):
        op.drop_table(_FIRED)
