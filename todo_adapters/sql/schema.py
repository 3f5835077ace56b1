"""The revision of the schema, and its migration to the newest one."""

from pathlib import Path

from sqlalchemy import Column, MetaData, String, Table, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from todo_adapters.sql.database import Database
from todo_adapters.sql.errors import translate_error

NEWEST_REVISION = "0016"
"""The revision that makes the declared tables. A test checks that it is the newest."""

_VERSION = Table("alembic_version", MetaData(), Column("version_num", String))


class SqlSchema:
    """The schema of one database, made by the migrations in one folder."""

    newest = NEWEST_REVISION

    def __init__(self, database: Database, migrations: Path) -> None:
        self._database = database
        self._migrations = migrations

    def current(self) -> str | None:
        """Return the revision of the database, or None if it was never migrated.

        Raises:
            Unavailable: if the database does not respond.
        """
        try:
            with self._database.engine.connect() as connection:
                if not inspect(connection).has_table(_VERSION.name):
                    return None
                return connection.execute(select(_VERSION.c.version_num)).scalar()
        except SQLAlchemyError as error:
            raise translate_error(error, {}) from error

    def migrate(self) -> None:
        """Bring the schema to the newest revision, completely or not at all.

        Several processes may do so at the same time: the first one migrates, and the others
        wait for it.

        Raises:
            Unavailable: if the database does not respond.
            ValueError: if stored data must be changed first; the message says which.
        """
        from alembic import command  # late: see docs/decisions/late-imports.md
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(self._migrations).replace("%", "%%"))
        with self._database.schema_change() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise ValueError(str(error)) from error
