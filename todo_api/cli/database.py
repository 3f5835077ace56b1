"""`todo migrate` and `todo cleanup`: commands about the database as a whole."""

import sys
from contextlib import closing
from multiprocessing import get_context
from typing import NoReturn

import typer

from todo_api.cli.errors import exit_with, explained_errors, settings_or_exit
from todo_api.container import Container, clean_up_everything
from todo_api.settings import Settings


def migrate() -> None:
    """Migrate the database to the newest schema. Several processes may run this at once."""
    _migrate(settings_or_exit())


def cleanup() -> None:
    """Remove expired data now. The service also does this about every ten minutes."""
    settings = settings_or_exit()
    container = Container(settings=settings)
    with explained_errors(), closing(container.database()):
        removed = clean_up_everything(container)
    typer.echo(f"Removed  {removed}", err=True)


def migrate_in_child(settings: Settings) -> None:
    """Migrate in a child process if the schema is not up to date.

    The serving process would keep the memory that Alembic takes
    (docs/decisions/late-imports.md). A forked child need not import the service again.
    """
    container = Container(settings=settings)
    with explained_errors(), closing(container.migration_database()):
        schema = container.migration_schema()
        is_behind = schema.current() != schema.newest
    if is_behind:
        child = get_context("fork").Process(target=_migrate_and_exit, args=(settings,))
        child.start()
        child.join()
        if child.exitcode:
            raise typer.Exit(1)


def _migrate_and_exit(settings: Settings) -> NoReturn:
    try:
        _migrate(settings)
    except typer.Exit as stopped:
        sys.exit(stopped.exit_code)
    sys.exit()


def _migrate(settings: Settings) -> None:
    container = Container(settings=settings)
    with explained_errors(), closing(container.migration_database()):
        schema = container.migration_schema()
        if schema.current() != schema.newest:
            try:
                schema.migrate()
            except ValueError as error:
                exit_with(f"The database cannot be migrated: {error}.")
    typer.echo(f"Schema   at revision {schema.newest}", err=True)
