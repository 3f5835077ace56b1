"""Rename the tables of revoked sessions to the names that the code uses.

Revision: 0006, after 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLES = (("ended_sessions", "revoked_sessions"), ("external_ends", "external_revocations"))


def upgrade() -> None:
    for before, after in TABLES:
        _rename(before, after, "ended_at", "revoked_at")


def downgrade() -> None:
    for after, before in TABLES:
        _rename(before, after, "revoked_at", "ended_at")


def _rename(before: str, after: str, column_before: str, column_after: str) -> None:
    # Rename the table: a new one would lose the privileges granted on this one.
    op.rename_table(before, after)
    op.execute(f"ALTER TABLE {after} RENAME COLUMN {column_before} TO {column_after}")
    op.drop_index(f"ix_{before}_{column_before}", after)
    op.create_index(f"ix_{after}_{column_after}", after, [column_after])
    if op.get_bind().dialect.name == "postgresql":  # SQLite cannot rename a constraint
        op.execute(f"ALTER TABLE {after} RENAME CONSTRAINT pk_{before} TO pk_{after}")
