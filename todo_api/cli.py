"""The `todo` command."""

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvicorn

from todo_api.container import Container, clean_up_everything
from todo_api.runtime.affinity import core_count
from todo_api.runtime.logging import configure_logs, logs_json
from todo_api.server.options import server_options
from todo_api.settings import Settings, SettingsError, load_settings
from todo_api.worker import serving_app
from todo_core.errors import Unavailable

_MAX_WORKERS = 256
_PACKAGES = Path(__file__).parents[1]
_RELOADED = ("todo_core", "todo_adapters", "todo_api", "migrations")
"""What `--reload` watches."""


def _worker_count(value: str | int) -> int:
    """Read the number of workers from the command line; typer passes the default through as well.

    Raises:
        typer.BadParameter: if it is neither `auto` nor a number in the range.
    """
    text = str(value)
    if text == "auto":
        return min(core_count(), _MAX_WORKERS)
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= _MAX_WORKERS:
        raise typer.BadParameter(f"must be auto, or a number from 1 to {_MAX_WORKERS}.")
    return int(text)


main = typer.Typer(
    help="A Todo backend. Settings are read from the environment and from .env.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@main.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[
        int,
        typer.Option(
            parser=_worker_count,
            metavar="N|auto",
            help="The number of processes; auto is one for each core that may be used.",
        ),
    ] = 1,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,
) -> None:
    """Serve the API. Create and migrate the embedded database first."""
    settings = _settings()
    _check_address(host)
    if settings.is_embedded:
        _migrate_in_child(settings)
    configure_logs(settings)
    _check_adapters(settings)
    shown_host = f"[{host}]" if ":" in host else host
    typer.echo(f"API      http://{shown_host}:{port}/api", err=True)
    typer.echo(f"Docs     http://{shown_host}:{port}/docs", err=True)
    typer.echo(f"Storage  {_storage(settings)}", err=True)
    if workers > 1 and _limits_are_per_worker(settings):
        typer.echo(
            "Warning  Each worker counts rate limits separately. To share them, set"
            " TODO_RATE_LIMIT_STORAGE=redis://….",
            err=True,
        )
    options = {"host": host, "port": port, **server_options(settings)}
    if workers > 1 or reload:
        folders = [str(_PACKAGES / name) for name in _RELOADED] if reload else None
        _become_parent(
            settings,
            options | {"workers": workers, "reload": reload, "reload_dirs": folders},
        )
    # Uvicorn sends itself the signal again at the end: a requested stop is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # Otherwise uvicorn would take the number of workers from WEB_CONCURRENCY.
    uvicorn.run(serving_app(settings), workers=1, **options)


@main.command()
def migrate() -> None:
    """Migrate the database to the newest schema. Several processes may run this at once."""
    _migrate(_settings())


@main.command()
def cleanup() -> None:
    """Remove expired data now. The service also does this about every ten minutes."""
    settings = _settings()
    container = Container(settings=settings)
    try:
        removed = clean_up_everything(container)
        container.database().close()
    except SettingsError as error:
        _exit_with(_invalid_settings(error))
    except Unavailable as error:
        _exit_with(_unavailable(error))
    typer.echo(f"Removed  {removed}", err=True)


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        _exit_with(_invalid_settings(error))


def _migrate(settings: Settings) -> None:
    container = Container(settings=settings)
    with _explained_errors(), closing(container.migration_database()):
        schema = container.migration_schema()
        if schema.current() != schema.newest:
            try:
                schema.migrate()
            except ValueError as error:
                _exit_with(f"The database cannot be migrated: {error}.")
    typer.echo(f"Schema   at revision {schema.newest}", err=True)


def _migrate_in_child(settings: Settings) -> None:
    """Migrate in a child process if the schema is not up to date.

    The serving process would keep the memory that Alembic takes
    (docs/decisions/late-imports.md). A forked child need not import the service again.
    """
    container = Container(settings=settings)
    with _explained_errors(), closing(container.migration_database()):
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


def _become_parent(settings: Settings, options: dict[str, Any]) -> NoReturn:
    """Replace this process with the parent of workers (`todo_api.workers`)."""
    options.pop("http")  # the workers find it by its name
    options["log_level"] = "debug" if settings.debug else settings.log_level
    log_format = "json" if logs_json(settings) else "console"
    os.execv(  # noqa: S606 - our own command
        sys.executable,
        [sys.executable, "-P", "-m", "todo_api.workers", json.dumps(options), log_format],
    )


@contextmanager
def _explained_errors() -> Iterator[None]:
    """Exit with a clear message if the settings, the data folder or the database cannot be used."""
    try:
        yield
    except SettingsError as error:
        _exit_with(_invalid_settings(error))
    except OSError as error:
        _exit_with(f"TODO_DATA_DIR cannot be used: {error}.")
    except Unavailable as error:
        _exit_with(_unavailable(error))


def _check_address(host: str) -> None:
    """Exit with a clear message if no port of this address can be listened on."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.bind(address)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be encoded
        _exit_with(f"Cannot listen on --host {host!a}: {error}.")


def _check_adapters(settings: Settings) -> None:
    """Create the signing key and the connection pool, so that errors are reported at startup."""
    container = Container(settings=settings)
    try:
        container.key_ring()
        container.database().close()
    except SettingsError as error:
        _exit_with(_invalid_settings(error))
    except (OSError, ValueError) as error:
        _exit_with(f"The signing key cannot be used: {error}.")


def _invalid_settings(error: SettingsError) -> str:
    return f"The settings are not valid:\n{error}"


def _limits_are_per_worker(settings: Settings) -> bool:
    storage = settings.rate_limit_storage.get_secret_value()
    return settings.rate_limit_enabled and storage == "memory://"


def _storage(settings: Settings) -> str:
    return str(settings.data_dir.resolve()) if settings.is_embedded else "PostgreSQL"


def _unavailable(error: Unavailable) -> str:
    """Return a message with the error of the database itself."""
    reason = getattr(error.__cause__, "orig", None) or error.__cause__
    return f"The database does not answer: {reason}\nCheck DATABASE_URL or TODO_DATA_DIR."


def _exit_with(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
