"""The state of the schema: which revision the database is at, and bringing it to the newest."""

from pathlib import Path

from sqlalchemy import Column, MetaData, String, Table, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from todo_adapters.sql.database import Database
from todo_adapters.sql.errors import meaning_of

NEWEST_REVISION = "0005"
"""The revision that makes the tables as they are declared; a test sees that it is the newest."""

_MIGRATION_LOCK = 7_283_405_119_613
"""An arbitrary number that all instances of this service share."""

_VERSION = Table("alembic_version", MetaData(), Column("version_num", String))
_LOCK = text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


class SqlSchema:
    """The schema of one database, and the migrations in one folder that make it."""

    newest = NEWEST_REVISION

    def __init__(self, database: Database, migrations: Path) -> None:
        self._database = database
        self._migrations = migrations

    def current(self) -> str | None:
        """The revision that the database is at; None if it was never migrated.

        Raises:
            Unavailable: if the database does not answer.
        """
        try:
            with self._database.engine.connect() as connection:
                if not inspect(connection).has_table(_VERSION.name):
                    return None
                return connection.execute(select(_VERSION.c.version_num)).scalar()
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    def migrate(self) -> None:
        """Bring the schema to the newest revision, all of it or nothing.

        Several processes may do so at once: the first does it, the others wait
        for it and find it done.

        Raises:
            Unavailable: if the database does not answer.
            ValueError: if what is stored must be changed first; it says what.
        """
        # Only whoever migrates pays for Alembic: 9 MB, and a fifth of a second.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(self._migrations).replace("%", "%%"))
        with self._database.schema_change() as transaction:
            if self._database.engine.dialect.name == "postgresql":
                # Tied to the transaction, it works behind a transaction pooler too.
                transaction.rows(_LOCK, {})
            config.attributes["connection"] = transaction.connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise ValueError(str(error)) from error
