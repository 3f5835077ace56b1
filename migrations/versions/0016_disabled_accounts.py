"""When the operator disabled an account.

Processes of the earlier release do not know of it: until they are replaced, they let the users of
disabled accounts log in.

Revision: 0016, after 0015
"""

import sqlalchemy as sa
from alembic import op

from migrations.online import briefly_locking, committing, has_column, is_online

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_COLUMN = "disabled_at"


def upgrade() -> None:
    if not is_online():
        op.add_column("users", sa.Column(_COLUMN, sa.DateTime(timezone=True), nullable=True))
    elif not has_column("users", _COLUMN):
        with committing():
            briefly_locking(f"ALTER TABLE users ADD COLUMN {_COLUMN} timestamp with time zone")


def downgrade() -> None:
    if not is_online():
        op.drop_column("users", _COLUMN)
    elif has_column("users", _COLUMN):
        with committing():
            briefly_locking(f"ALTER TABLE users DROP COLUMN {_COLUMN}")
