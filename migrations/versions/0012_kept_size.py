"""The size of the responses that are kept for an owner.

Responses that were kept before are not counted.

Revision: 0012, after 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "task_owners", sa.Column("kept_size", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column("task_owners", sa.Column("kept_from", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("task_owners", "kept_from")
    op.drop_column("task_owners", "kept_size")
