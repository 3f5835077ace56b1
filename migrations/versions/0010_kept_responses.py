"""The responses to requests with an idempotency key.

Revision: 0010, after 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_responses",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("response", sa.LargeBinary(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key", name=op.f("pk_kept_responses")),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name=op.f("fk_kept_responses_user_id_users"),
            ondelete="CASCADE",
        ),
        sa.CheckConstraint(
            "length(response) BETWEEN 0 AND 1048576",
            name=op.f("ck_kept_responses_response_length"),
        ),
    )
    op.create_index("ix_kept_responses_claimed_at", "kept_responses", ["claimed_at"])


def downgrade() -> None:
    op.drop_table("kept_responses")
