"""How the commands report errors: with one clear message, and exit code 1."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from todo_api.container import Container
from todo_api.settings import Settings, SettingsError, load_settings
from todo_core.errors import Unavailable


def settings_or_exit() -> Settings:
    """Return the settings of the environment, or exit with a message for each invalid one."""
    try:
        return load_settings()
    except SettingsError as error:
        exit_with(invalid_settings(error))


@contextmanager
def explained_errors() -> Iterator[None]:
    """Exit with a clear message if the settings, the data folder or the database cannot be used."""
    try:
        yield
    except SettingsError as error:
        exit_with(invalid_settings(error))
    except OSError as error:
        exit_with(f"TODO_DATA_DIR cannot be used: {error}.")
    except Unavailable as error:
        exit_with(database_unavailable(error))


def require_newest_schema(container: Container) -> None:
    """Exit with a clear message if the schema of the database is not up to date.

    Raises:
        Unavailable: if the database does not respond.
    """
    schema = container.schema()
    if schema.current() != schema.newest:
        exit_with("The schema of the database is not up to date. Run: todo migrate")


def database_unavailable(error: Unavailable) -> str:
    """Return a message with the error of the database itself."""
    reason = getattr(error.__cause__, "orig", None) or error.__cause__
    return f"The database does not answer: {reason}\nCheck DATABASE_URL or TODO_DATA_DIR."


def exit_with(message: str) -> NoReturn:
    """Print the message to standard error, and exit with code 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


def invalid_settings(error: SettingsError) -> str:
    """Return a message that names each setting that is not valid."""
    return f"The settings are not valid:\n{error}"
