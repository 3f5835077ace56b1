"""Users of external issuers: their identities, and accounts without an email.

Revision: 0003, after 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_EMAIL_RULE = "email IS NOT NULL OR password_hash IS NULL"
_COPY = """
    INSERT INTO new_users (id, name, email, password_hash, version, created_at, updated_at)
    SELECT id, name, email, password_hash, version, created_at, updated_at FROM users
"""


def upgrade() -> None:
    _alter_email(nullable=True)
    op.create_table(
        "identities",
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_identities")),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_identities_user_id_users"), ondelete="CASCADE"
        ),
    )
    op.create_index("ix_identities_user_id", "identities", ["user_id"])
    op.create_table(
        "external_ends",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_ends")),
    )
    op.create_index("ix_external_ends_ended_at", "external_ends", ["ended_at"])


def downgrade() -> None:
    op.drop_table("external_ends")
    op.drop_table("identities")
    # Users without an email get one in a domain that never exists (RFC 2606), to keep their tasks.
    op.execute(
        "UPDATE users SET email = cast(id AS text) || '@missing.invalid' WHERE email IS NULL"
    )
    _alter_email(nullable=False)


def _alter_email(*, nullable: bool) -> None:
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_users(email_is_nullable=nullable)
        return
    op.alter_column("users", "email", existing_type=sa.String(254), nullable=nullable)
    name = op.f("ck_users_email_with_password")
    if nullable:
        op.create_check_constraint(name, "users", _EMAIL_RULE)
    else:
        op.drop_constraint(name, "users", type_="check")


def _rebuild_users(*, email_is_nullable: bool) -> None:
    """Replace the table, because SQLite cannot alter a column."""
    checks = {
        "name_length": "length(name) BETWEEN 1 AND 100",
        "email_length": "length(email) BETWEEN 1 AND 254",
        "version_positive": "version >= 1",
    }
    if email_is_nullable:
        checks["email_with_password"] = _EMAIL_RULE
    op.create_table(
        "new_users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("email", sa.String(254), nullable=email_is_nullable),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_users_{name}")) for name, rule in checks.items()),
    )
    op.execute(_COPY)
    op.drop_table("users")
    op.rename_table("new_users", "users")
    op.create_index("uq_users_email", "users", [sa.text("lower(email)")], unique=True)
