"""Migrating a database to any revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config

import migrations
from todo_adapters.sql.database import Database

MIGRATIONS = Path(migrations.__path__[0])
"""The folder of the migrations."""


def alembic(database: Database, action: str, revision: str) -> None:
    """Upgrade or downgrade the database to a revision."""
    with database.schema_change() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        getattr(command, action)(config, revision)
