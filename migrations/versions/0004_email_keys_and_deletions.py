"""The key by which emails are compared, and accounts that are being deleted.

Until now the database compared emails by its own `lower`, which depends on its locale: in a
Turkish one, `INFO@EXAMPLE.COM` was not found as `info@example.com`. The key is computed here
as the service does it. In such a database, two accounts may have the same key. Only the operator
can decide between them, so the migration stops and names them.

Revision: 0004, after 0003
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BATCH = 1000
_MAX_NAMED = 10

_USERS = sa.table(
    "users",
    sa.column("id", sa.Uuid()),
    sa.column("email", sa.String()),
    sa.column("email_key", sa.String()),
)
_KEY_RULE = "(email IS NULL) = (email_key IS NULL)"
_DELETED_RULE = "deleted_at IS NULL OR (email IS NULL AND password_hash IS NULL)"
_IS_DELETED = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("users", sa.Column("email_key", sa.String(254), nullable=True))
    _store_keys()
    _require_unique_keys()
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_users(with_keys=True)
    else:
        op.drop_index("uq_users_email", "users")
        op.add_column("users", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
        op.create_check_constraint(op.f("ck_users_email_key_with_email"), "users", _KEY_RULE)
        op.create_check_constraint(op.f("ck_users_deleted_is_empty"), "users", _DELETED_RULE)
    op.create_index("uq_users_email_key", "users", ["email_key"], unique=True)
    op.create_index(
        "ix_users_deleted_at",
        "users",
        ["deleted_at"],
        sqlite_where=_IS_DELETED,
        postgresql_where=_IS_DELETED,
    )


def downgrade() -> None:
    # The older service would not continue the deletions, and would treat these rows as accounts.
    deleted = "SELECT id FROM users WHERE deleted_at IS NOT NULL"
    for table in ("tasks", "sessions", "identities", "password_resets"):
        op.execute(f"DELETE FROM {table} WHERE user_id IN ({deleted})")  # noqa: S608 - constants
    op.execute("DELETE FROM users WHERE deleted_at IS NOT NULL")
    op.drop_index("ix_users_deleted_at", "users")
    op.drop_index("uq_users_email_key", "users")
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_users(with_keys=False)
    else:
        op.drop_constraint(op.f("ck_users_deleted_is_empty"), "users", type_="check")
        op.drop_constraint(op.f("ck_users_email_key_with_email"), "users", type_="check")
        op.drop_column("users", "deleted_at")
        op.drop_column("users", "email_key")
    op.create_index("uq_users_email", "users", [sa.text("lower(email)")], unique=True)


def _store_keys() -> None:
    connection = op.get_bind()
    store = (
        sa.update(_USERS)
        .where(_USERS.c.id == sa.bindparam("of_id"))
        .values(email_key=sa.bindparam("key"))
    )
    page = (
        sa.select(_USERS.c.id, _USERS.c.email)
        .where(_USERS.c.email.is_not(None))
        .order_by(_USERS.c.id)
        .limit(_BATCH)
    )
    rows = connection.execute(page).all()
    while rows:
        connection.execute(store, [{"of_id": row.id, "key": row.email.lower()} for row in rows])
        rows = connection.execute(page.where(_USERS.c.id > rows[-1].id)).all()


def _require_unique_keys() -> None:
    connection = op.get_bind()
    repeated = (
        sa.select(_USERS.c.email_key)
        .where(_USERS.c.email_key.is_not(None))
        .group_by(_USERS.c.email_key)
        .having(sa.func.count() > 1)
        .limit(_MAX_NAMED)
    )
    groups = []
    for key in connection.execute(repeated).scalars().all():
        having_it = sa.select(_USERS.c.id).where(_USERS.c.email_key == key).order_by(_USERS.c.id)
        groups.append(" and ".join(map(str, connection.execute(having_it).scalars())))
    if groups:
        raise CommandError(
            "Accounts have the same email except for upper and lower case: users "
            + "; ".join(groups)
            + ". Change the email of one of them, or delete it, and migrate again."
            " Nothing was changed."
        )


def _rebuild_users(*, with_keys: bool) -> None:
    """Replace the table, because SQLite cannot add a constraint."""
    checks = {
        "name_length": "length(name) BETWEEN 1 AND 100",
        "email_length": "length(email) BETWEEN 1 AND 254",
        "version_positive": "version >= 1",
        "email_with_password": "email IS NOT NULL OR password_hash IS NULL",
    }
    columns = "id, name, email, password_hash, version, created_at, updated_at"
    new_columns: list[sa.Column[object]] = []
    if with_keys:
        checks |= {"email_key_with_email": _KEY_RULE, "deleted_is_empty": _DELETED_RULE}
        columns += ", email_key"
        new_columns = [
            sa.Column("email_key", sa.String(254), nullable=True),
            sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        ]
    op.create_table(
        "new_users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("email", sa.String(254), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        *new_columns,
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        *(sa.CheckConstraint(rule, name=op.f(f"ck_users_{name}")) for name, rule in checks.items()),
    )
    op.execute(f"INSERT INTO new_users ({columns}) SELECT {columns} FROM users")  # noqa: S608
    op.drop_table("users")
    op.rename_table("new_users", "users")
