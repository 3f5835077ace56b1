"""A readable name of the device of each session.

Revision: 0005, after 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The default is for processes of the previous release, which may still be running.
    column = sa.Column("device", sa.Text(), server_default="Unknown device", nullable=False)
    op.add_column("sessions", column)
    # Devices are named at the login. Existing sessions get the beginning of their user agent.
    op.execute("UPDATE sessions SET device = substr(user_agent, 1, 40) WHERE user_agent <> ''")


def downgrade() -> None:
    op.drop_column("sessions", "device")
