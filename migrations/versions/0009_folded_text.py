"""The folded text of tasks that are not in ASCII, for search and for the order of titles.

It is computed here as the service does it. Only rows whose text is not in ASCII are written. On
PostgreSQL they are written in batches, while processes read and write; a row that changes in the
meantime is left to the next pass, until there is none. Processes of the earlier release cannot
write tasks any more at that point (see 0007).

Revision: 0009, after 0008
"""

import unicodedata
from uuid import UUID

import sqlalchemy as sa
from alembic import op

from migrations.online import briefly_locking, committing, has_column, is_online

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BATCH = 1000
_FIRST_KEY = (UUID(int=0), 0)
_COLUMNS = ("folded_title", "folded_description")

_TASKS = sa.table(
    "tasks",
    sa.column("owner_id", sa.Uuid()),
    sa.column("id", sa.BigInteger()),
    sa.column("version", sa.Integer()),
    *(sa.column(name, sa.Text()) for name in ("title", "description", *_COLUMNS)),
)
_KEY = (_TASKS.c.owner_id, _TASKS.c.id)
_STORE = (
    sa.update(_TASKS)
    .where(
        _TASKS.c.owner_id == sa.bindparam("of_owner"),
        _TASKS.c.id == sa.bindparam("of_id"),
        _TASKS.c.version == sa.bindparam("of_version"),
    )
    .values(
        folded_title=sa.bindparam("new_title"), folded_description=sa.bindparam("new_description")
    )
)


def upgrade() -> None:
    if not is_online():
        for name in _COLUMNS:
            op.add_column("tasks", sa.Column(name, sa.Text(), nullable=True))
        _fold_tasks()
        return
    with committing():
        if not has_column("tasks", _COLUMNS[0]):
            briefly_locking(
                "ALTER TABLE tasks " + ", ".join(f"ADD COLUMN {name} text" for name in _COLUMNS)
            )
        _fold_tasks()


def downgrade() -> None:
    if not is_online():
        for name in _COLUMNS:
            op.drop_column("tasks", name)
        return
    with committing():
        briefly_locking(
            "ALTER TABLE tasks " + ", ".join(f"DROP COLUMN IF EXISTS {name}" for name in _COLUMNS)
        )


def _fold_tasks() -> None:
    """Fold the text of all tasks, including those that change while they are read."""
    while _fold_tasks_once():
        pass


def _fold_tasks_once() -> bool:
    """Read the tasks in the order of their key, and return whether there were any to fold."""
    connection = op.get_bind()
    page = (
        sa.select(*_TASKS.c)
        .where(sa.tuple_(*_KEY) > sa.tuple_(*map(sa.bindparam, ("owner", "id"), _FIRST_KEY)))
        .where(
            (_TASKS.c.folded_title.is_(None) & _is_not_ascii("title"))
            | (_TASKS.c.folded_description.is_(None) & _is_not_ascii("description"))
        )
        .order_by(*_KEY)
        .limit(_BATCH)
    )
    rows = connection.execute(page).all()
    has_found = bool(rows)
    while rows:
        connection.execute(
            _STORE,
            [
                {
                    "of_owner": row.owner_id,
                    "of_id": row.id,
                    "of_version": row.version,
                    "new_title": _folded_unless_ascii(row.title),
                    "new_description": _folded_unless_ascii(row.description),
                }
                for row in rows
            ],
        )
        rows = connection.execute(page, {"owner": rows[-1].owner_id, "id": rows[-1].id}).all()
    return has_found


def _is_not_ascii(column: str) -> sa.ColumnElement[bool]:
    in_bytes = f"convert_to({column}, 'UTF8')" if is_online() else f"CAST({column} AS BLOB)"
    length = "octet_length" if is_online() else "length"
    return sa.text(f"{length}({in_bytes}) <> length({column})")  # type: ignore[return-value]  # a condition


def _folded_unless_ascii(text: str | None) -> str | None:
    if text is None or text.isascii():
        return None
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFKC", folded).casefold()
    return unicodedata.normalize("NFKC", folded)
