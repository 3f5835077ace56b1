"""The state of the schema: which revision the database is at, and bringing it to the newest."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from todo_adapters.sql.database import Database
from todo_adapters.sql.errors import meaning_of

_MIGRATION_LOCK = 7_283_405_119_613
"""An arbitrary number that all instances of this service share."""

_LOCK = text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")


class SqlSchema:
    """The schema of one database, and the migrations in one folder that make it."""

    def __init__(self, database: Database, migrations: Path) -> None:
        self._database = database
        self._config = Config()
        self._config.set_main_option("script_location", str(migrations).replace("%", "%%"))
        self.newest = ScriptDirectory.from_config(self._config).get_current_head()

    def current(self) -> str | None:
        """The revision that the database is at; None if it was never migrated.

        Raises:
            Unavailable: if the database does not answer.
        """
        try:
            with self._database.engine.connect() as connection:
                return MigrationContext.configure(connection).get_current_revision()
        except SQLAlchemyError as error:
            raise meaning_of(error, {}) from error

    def migrate(self) -> None:
        """Bring the schema to the newest revision, all of it or nothing.

        Several processes may do so at once: the first does it, the others wait
        for it and find it done.

        Raises:
            Unavailable: if the database does not answer.
        """
        with self._database.transaction() as transaction:
            if self._database.engine.dialect.name == "postgresql":
                # Tied to the transaction, it works behind a transaction pooler too.
                transaction.rows(_LOCK, {})
            self._config.attributes["connection"] = transaction.connection
            command.upgrade(self._config, "head")
