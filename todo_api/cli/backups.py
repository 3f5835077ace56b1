"""`todo backup` and `todo restore`."""

import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from todo_api.cli.errors import exit_with, explained_errors, settings_or_exit
from todo_api.container import (
    Container,
    postgresql_backup_command,
    postgresql_restore_commands,
    recover_everything,
    remove_signing_key,
)
from todo_api.settings import Settings, SettingsError

_STREAM = Path("-")
_FOR_POSTGRESQL = 2
"""The exit code if the database is PostgreSQL, which has its own tools for this."""

_ABOUT_POSTGRESQL = (
    "They must be of the same version as the server or a later one, and must not connect through"
    " a pooler. The password is not shown: they read it from ~/.pgpass or PGPASSWORD."
)


def backup(
    file: Annotated[
        Path,
        typer.Argument(help="Where to write it: a file, a folder, or - for standard output."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="In a folder: delete all but the newest N backups."),
    ] = None,
) -> None:
    """Make a backup of the SQLite database. The service may be running."""
    settings = settings_or_exit()
    if not settings.is_embedded:
        _point_to_postgresql(
            f"The database is PostgreSQL, which has a command for backups:\n\n"
            f"  {postgresql_backup_command(settings, str(file))}"
        )
    if file == _STREAM and sys.stdout.isatty():
        exit_with("A backup is not written to a terminal. Name a file.")
    container = Container(settings=settings)
    began = time.monotonic()
    with explained_errors():
        try:
            made = container.backups().make(
                file, now=container.clock().now(), overwrite=force, keep=keep
            )
        except SettingsError:
            raise
        except ValueError as error:
            exit_with(str(error))
        except OSError as error:
            exit_with(f"The backup cannot be written: {error}")
    for removed in made.removed:
        typer.echo(f"Removed  {removed}", err=True)
    typer.echo(
        f"Backup   {made.file}, {made.size:,} bytes, revision {made.revision},"
        f" {time.monotonic() - began:.1f} s",
        err=True,
    )
    if settings.jwt_secret is None:
        typer.echo(
            "         It has no signing key: without the key, users log in again after a restore.",
            err=True,
        )


def restore(
    file: Annotated[
        Path | None, typer.Argument(help="The backup: a file, or - for standard input.")
    ] = None,
    nothing_lost: Annotated[
        bool,
        typer.Option(
            "--nothing-lost",
            help="The service was stopped before the backup was made: keep sessions and reminders.",
        ),
    ] = False,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish",
            help="The database was restored by another program: only do what must follow.",
        ),
    ] = False,
) -> None:
    """Put a backup in the place of the SQLite database. Stop the service first.

    The former database is kept in the same folder. All sessions are revoked, clients synchronize
    again, and reminders that are due are not sent, since they may have been.
    """
    settings = settings_or_exit()
    if (file is None) != finish or (finish and nothing_lost):
        raise typer.BadParameter("Name a backup, or add --finish and nothing else.")
    container = Container(settings=settings)
    with explained_errors():
        try:
            if file is None:
                _finish(container)
            elif settings.is_embedded:
                _restore(container, file, nothing_lost=nothing_lost)
            else:
                _point_to_restore(settings, file)
        except SettingsError:
            raise
        except ValueError as error:
            exit_with(str(error))
        except OSError as error:
            exit_with(f"The backup cannot be restored: {error}")


def _restore(container: Container, file: Path, *, nothing_lost: bool) -> None:
    restored = container.backups().restore(
        file, now=container.clock().now(), nothing_lost=nothing_lost
    )
    typer.echo(f"Restored {file}, revision {restored.revision}", err=True)
    if restored.kept is not None:
        typer.echo(f"Kept     {restored.kept}, the former database", err=True)
    if (recovery := restored.recovery) is not None:
        remove_signing_key(container.settings())
        _report(container.settings(), sessions=recovery.sessions, reminders=recovery.reminders)


def _finish(container: Container) -> None:
    with closing(container.migration_database()):
        recovery = recover_everything(container)
    _report(container.settings(), sessions=recovery.sessions, reminders=recovery.reminders)


def _report(settings: Settings, *, sessions: int, reminders: int) -> None:
    typer.echo(f"Revoked  {sessions} sessions: all users log in again", err=True)
    typer.echo(
        f"Skipped  the reminders of {reminders} tasks that were due: they may have been sent",
        err=True,
    )
    if settings.jwt_secret is not None:
        minutes = settings.access_token_ttl / timedelta(minutes=1)
        typer.echo(
            "Warning  Sessions that began after the backup are unknown now, but their access tokens"
            f" are valid for up to {minutes:.0f} minutes, even if they were revoked. Set a new"
            " TODO_JWT_SECRET before the service starts, and none in TODO_JWT_PREVIOUS_SECRETS.",
            err=True,
        )


def _point_to_restore(settings: Settings, file: Path) -> NoReturn:
    create, fill = postgresql_restore_commands(settings, str(file))
    _point_to_postgresql(
        "The database is PostgreSQL, which has commands for this. Stop the service, and restore to"
        f" a new database:\n\n  {create}\n  {fill}\n\n"
        "Set DATABASE_URL to the new database, and run:\n\n"
        "  todo migrate\n  todo restore --finish"
    )


def _point_to_postgresql(message: str) -> NoReturn:
    typer.echo(f"{message}\n\n{_ABOUT_POSTGRESQL}", err=True)
    raise typer.Exit(_FOR_POSTGRESQL)
