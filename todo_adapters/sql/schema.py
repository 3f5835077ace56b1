"""The revision of the schema, and its migration to the newest one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Column, MetaData, String, Table, inspect, select
from sqlalchemy.exc import SQLAlchemyError

from todo_adapters.sql.database import Database
from todo_adapters.sql.errors import translate_error

NEWEST_REVISION = "0017"
"""The revision that makes the declared tables. A test checks that it is the newest."""

_VERSION = Table("alembic_version", MetaData(), Column("version_num", String))


@dataclass(frozen=True, slots=True)
class SchemaRevision:
    """A revision of the schema, and what its migration adds, in one line."""

    id: str
    summary: str


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

    def history(self) -> Sequence[SchemaRevision]:
        """Return all revisions that this release knows, the oldest first."""
        from alembic.script import ScriptDirectory  # late, as below

        scripts = ScriptDirectory(str(self._migrations))
        return [
            SchemaRevision(script.revision, script.doc)
            for script in reversed(list(scripts.walk_revisions()))
        ]

    def migrate(self) -> None:
        """Bring the schema to the newest revision, completely or not at all.

        Several processes may do so at the same time: the first one migrates, and the others
        wait for it.

        Raises:
            Unavailable: if the database does not respond.
            ValueError: if stored data must be changed first; the message says which.
        """
        self._run("upgrade", "head")

    def downgrade(self, revision: str) -> None:
        """Bring the schema back to an earlier revision. What only later ones store is deleted.

        Raises:
            Unavailable: if the database does not respond.
            ValueError: if stored data must be changed first; the message says which.
        """
        self._run("downgrade", revision)

    def _run(self, action: Literal["upgrade", "downgrade"], revision: str) -> None:
        from alembic import command  # late: see docs/decisions/late-imports.md
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(self._migrations).replace("%", "%%"))
        run = command.upgrade if action == "upgrade" else command.downgrade
        with self._database.schema_change() as connection:
            config.attributes["connection"] = connection
            try:
                run(config, revision)
            except CommandError as error:
                raise ValueError(str(error)) from error
