"""The details of tasks, such as priority, due date, tags and position, and users' time zones.

All of them may be missing in rows of the earlier release, whose processes keep writing such rows
until they are replaced. On PostgreSQL, no statement holds a lock on the tasks for long.

Revision: 0013, after 0012
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
    is_online,
)

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COLUMNS: Mapping[str, sa.types.TypeEngine[Any]] = {
    "priority": sa.SmallInteger(),
    "due_at": sa.DateTime(timezone=True),
    "due_on": sa.Date(),
    "tags": sa.Text(),
    "tag_keys": sa.Text(),
    "position": sa.String(199),
    "recurrence_rule": sa.Text(),
    "repeat_from": sa.Text(),
    "repeat_clock": sa.Text(),
    "next_id": sa.BigInteger(),
    "completed_at": sa.DateTime(timezone=True),
}
_RULES = {
    "priority": ("priority_known", "priority BETWEEN 0 AND 4"),
    "due_on": ("due_day_with_moment", "due_on IS NULL OR due_at IS NOT NULL"),
    "tag_keys": ("tag_keys_with_tags", "(tags IS NULL) = (tag_keys IS NULL)"),
}
_INDEX = "ix_tasks_owner_id_completed_due_at_id"
_INDEXED = ("owner_id", "completed", "due_at", "id")


def upgrade() -> None:
    if is_online():
        with committing():
            _upgrade_online()
        return
    zone = sa.Column("time_zone", sa.String(64), server_default="UTC", nullable=False)
    op.add_column("users", zone)
    for name, kind in _COLUMNS.items():
        op.add_column("deleted_tasks", sa.Column(name, kind, nullable=True))
    for name in _COLUMNS:
        rule = f" {_rule(name)}" if name in _RULES else ""
        op.execute(f"ALTER TABLE tasks {_added(name)}{rule}")
    op.create_index(_INDEX, "tasks", _INDEXED, sqlite_where=sa.text("due_at IS NOT NULL"))


def _upgrade_online() -> None:
    # One table at a time: a process that deletes a task locks both of the others.
    if not has_column("users", "time_zone"):
        briefly_locking("ALTER TABLE users ADD COLUMN time_zone varchar(64) DEFAULT 'UTC' NOT NULL")
    if not has_column("deleted_tasks", "priority"):
        briefly_locking(f"ALTER TABLE deleted_tasks {', '.join(map(_added, _COLUMNS))}")
    if not has_column("tasks", "priority"):
        rules = [f"ADD {_rule(name)} NOT VALID" for name in _RULES]
        briefly_locking(f"ALTER TABLE tasks {', '.join([*map(_added, _COLUMNS), *rules])}")
    for name, _ in _RULES.values():
        op.execute(f"ALTER TABLE tasks VALIDATE CONSTRAINT ck_tasks_{name}")
    create_index_concurrently(_INDEX, f"tasks ({', '.join(_INDEXED)}) WHERE due_at IS NOT NULL")


def _added(name: str) -> str:
    return f"ADD COLUMN {name} {_COLUMNS[name].compile(op.get_bind().dialect)}"


def _rule(column: str) -> str:
    name, condition = _RULES[column]
    return f"CONSTRAINT ck_tasks_{name} CHECK ({condition})"


def downgrade() -> None:
    if is_online():
        with committing():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}")
            dropped = [f"DROP COLUMN IF EXISTS {name}" for name in _COLUMNS]
            for table in ("tasks", "deleted_tasks"):
                briefly_locking(f"ALTER TABLE {table} {', '.join(dropped)}")
            briefly_locking("ALTER TABLE users DROP COLUMN IF EXISTS time_zone")
    else:
        op.drop_index(_INDEX, "tasks")
        # A column goes with its rule, and so before the others that the rule names.
        for name in reversed([*_COLUMNS]):
            op.drop_column("tasks", name)
        for name in _COLUMNS:
            op.drop_column("deleted_tasks", name)
        op.drop_column("users", "time_zone")
