"""Runs the revisions, for `todo serve` and `todo migrate` as well as for `uv run alembic …`.

The first two pass a connection with an open transaction. Alembic's own command line does not: the
database is then that of the settings.
"""

from typing import Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.types import TypeDecorator

from todo_adapters.sql.tables import declare_for_postgresql, metadata
from todo_api.container import Container
from todo_api.settings import load_settings


def render_item(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write a custom column type as the standard type that it is stored as.

    A revision is history: it must not change when the code does.
    """
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def run(connection: Connection) -> None:
    """Run the requested migrations. The caller commits."""
    if connection.dialect.name == "postgresql":
        declare_for_postgresql()
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        render_item=render_item,
        render_as_batch=connection.dialect.name == "sqlite",
    )
    context.run_migrations()


def run_with_own_connection() -> None:
    """Run the requested migrations in a new transaction, on the database of the settings."""
    database = Container(settings=load_settings()).migration_database()
    try:
        with database.schema_change() as connection:
            run(connection)
    finally:
        database.close()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    run_with_own_connection()
