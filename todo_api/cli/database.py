"""`todo migrate`, `downgrade` and `cleanup`: commands about the database as a whole."""

import sys
from contextlib import closing
from multiprocessing import get_context
from typing import Annotated, NoReturn

import typer

from todo_api.cli.errors import exit_with, explained_errors, settings_or_exit
from todo_api.container import Container, clean_up_everything, downgrade_schema
from todo_api.settings import Settings, SettingsError


def migrate() -> None:
    """Migrate the database to the newest schema. Several processes may run this at once."""
    _migrate(settings_or_exit())


def downgrade(
    revision: Annotated[
        str | None,
        typer.Argument(
            help="The revision to go back to. By default the previous one.", metavar="ID"
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Go back to an earlier schema, for an earlier release. Stop the service first.

    Tasks and accounts are kept. What only the later revisions store is deleted.
    """
    settings = settings_or_exit()
    container = Container(settings=settings)
    with explained_errors(), closing(container.migration_database()):
        try:
            current, target = _revision_before(container, revision)
            if not yes:
                typer.confirm(
                    "Is there a backup, and is the service stopped?", abort=True, err=True
                )
            downgrade_schema(container, current=current, target=target)
        except SettingsError:
            raise
        except ValueError as error:
            exit_with(f"The database cannot be downgraded: {error}")
    typer.echo(f"Schema   at revision {target}", err=True)


def _revision_before(container: Container, revision: str | None) -> tuple[str, str]:
    """Return the current revision and the one to go back to, after printing what is lost.

    Raises:
        ValueError: if there is no such revision before the current one.
    """
    schema = container.migration_schema()
    current, history = schema.current(), schema.history()
    known = [each.id for each in history]
    if current is None:
        raise ValueError("it was never migrated.")
    if current not in known:
        raise ValueError(f"its revision {current} belongs to a newer release; use that one.")
    before = known[: known.index(current)]
    if not before:
        raise ValueError(f"{current} is the first revision.")
    if revision not in (None, *before):
        raise ValueError(f"there is no revision {revision} before {current}.")
    target = revision or before[-1]
    typer.echo(
        f"From revision {current} back to {target}. What only these revisions store is deleted:",
        err=True,
    )
    for each in reversed(history[before.index(target) + 1 : len(before) + 1]):
        typer.echo(f"  {each.id}  {each.summary}", err=True)
    return current, target


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
