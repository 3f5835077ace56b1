"""The `todo` command."""

import ctypes
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Annotated, NoReturn

import typer
import uvicorn
from fastapi import FastAPI

from todo_api.app import create_app
from todo_api.container import Container, clean_up_everything
from todo_api.runtime.logging import configure_logs
from todo_api.server.options import server_options
from todo_api.settings import Settings, SettingsError, load_settings
from todo_core.errors import Unavailable

_M_ARENA_MAX = -8  # from malloc.h
_MAX_WORKERS = 256
_SWITCH_SECONDS = 0.001

main = typer.Typer(
    help="A Todo backend. Settings are read from the environment and from .env.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@main.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[
        int, typer.Option(min=1, max=_MAX_WORKERS, help="The number of processes.")
    ] = 1,
    reload: Annotated[bool, typer.Option(help="Restart when the code changes.")] = False,
) -> None:
    """Serve the API. Create and migrate the embedded database first."""
    settings = _settings()
    _check_address(host)
    if settings.is_embedded:
        _migrate_in_subprocess(settings)
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
    one_process = workers == 1 and not reload
    # Uvicorn sends itself the signal again at the end: a requested stop is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    uvicorn.run(
        _serving_app(settings) if one_process else f"{__name__}:serving_app",
        factory=not one_process,
        host=host,
        port=port,
        workers=workers,
        reload=reload,
        **server_options(settings),
    )


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


def serving_app() -> FastAPI:
    """Return the application with the settings of the environment, for a worker process."""
    return _serving_app(_settings())


def _serving_app(settings: Settings) -> FastAPI:
    _share_arenas()
    _switch_threads_often()
    _allow_many_connections()
    configure_logs(settings)
    return create_app(settings)


def _share_arenas() -> None:
    """Let all threads allocate memory from two arenas instead of one for each thread.

    Only one thread runs Python at a time, and no thread can use free memory in another's arena.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 2)


def _switch_threads_often() -> None:
    """Switch between threads after one millisecond instead of Python's default of five.

    A request needs the interpreter several times. While another thread renders a long list, the
    request would wait up to five milliseconds each time.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


def _allow_many_connections() -> None:
    """Raise the limit of open files, and so of connections, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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


def _migrate_in_subprocess(settings: Settings) -> None:
    """Migrate in another process if the schema is not up to date.

    The serving process would keep the memory that Alembic takes
    (docs/decisions/late-imports.md).
    """
    container = Container(settings=settings)
    with _explained_errors(), closing(container.migration_database()):
        schema = container.migration_schema()
        is_behind = schema.current() != schema.newest
    if is_behind:
        command = [sys.executable, "-c", f"from {__name__} import main; main()", "migrate"]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command
            raise typer.Exit(1)


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
