"""The `todo` command."""

import ctypes
import resource
import signal
import socket
import subprocess
import sys
from contextlib import closing
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

_M_ARENA_MAX = -8  # as malloc.h has it
_MOST_WORKERS = 256
_SWITCH_SECONDS = 0.001

main = typer.Typer(
    help="A Todo backend.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@main.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, max=_MOST_WORKERS, help="How many processes.")] = 1,
    reload: Annotated[bool, typer.Option(help="Start anew when the code changes.")] = False,
) -> None:
    """Serve the API. The embedded database is made, and migrated, first."""
    settings = _settings()
    _check_address(host)
    if settings.is_embedded:
        _migrate_apart(settings)
    configure_logs(settings)
    _check_parts(settings)
    shown_host = f"[{host}]" if ":" in host else host
    typer.echo(f"API      http://{shown_host}:{port}/api", err=True)
    typer.echo(f"Docs     http://{shown_host}:{port}/docs", err=True)
    typer.echo(f"Storage  {_storage(settings)}", err=True)
    if workers > 1 and _counts_apart(settings):
        typer.echo(
            "Warning  each worker counts rate limits by itself; TODO_RATE_LIMIT_STORAGE=redis://…"
            " makes them count together",
            err=True,
        )
    one_process = workers == 1 and not reload
    # Uvicorn sends itself the signal again when all is done: having ended as asked is no failure.
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
    """Bring the database's schema to the newest revision. Safe to run several times at once."""
    _migrate(_settings())


@main.command()
def cleanup() -> None:
    """Remove expired sessions and resets now; the service does so by itself, now and then."""
    settings = _settings()
    container = Container(settings=settings)
    try:
        removed = clean_up_everything(container)
        container.database().close()
    except SettingsError as error:
        _stop(_wrong_settings(error))
    except Unavailable as error:
        _stop(_unavailable(error))
    typer.echo(f"Removed  {removed}", err=True)


def serving_app() -> FastAPI:
    """The application under the settings of the environment, for a worker process."""
    return _serving_app(_settings())


def _serving_app(settings: Settings) -> FastAPI:
    _share_arenas()
    _switch_threads_often()
    _allow_many_connections()
    configure_logs(settings)
    return create_app(settings)


def _share_arenas() -> None:
    """Let all threads allocate from two arenas, where glibc would give each its own.

    Only one of them runs Python at a time, and what is free in another's is lost.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 2)


def _switch_threads_often() -> None:
    """Switch between threads after one millisecond instead of Python's default of five.

    A request needs the interpreter several times. While another thread renders a long list, it
    would wait up to five milliseconds each time.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)


def _allow_many_connections() -> None:
    """Open as many files, and so connections, as this process is allowed if it asks to."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        _stop(_wrong_settings(error))


def _migrate(settings: Settings) -> None:
    container = Container(settings=settings)
    try:
        with closing(container.migration_database()):
            schema = container.migration_schema()
            if schema.current() != schema.newest:
                schema.migrate()
    except SettingsError as error:
        _stop(_wrong_settings(error))
    except OSError as error:
        _stop(f"TODO_DATA_DIR cannot be used: {error}")
    except ValueError as error:
        _stop(f"The database cannot be migrated: {error}")
    except Unavailable as error:
        _stop(_unavailable(error))
    typer.echo(f"Schema   at revision {schema.newest}", err=True)


def _migrate_apart(settings: Settings) -> None:
    """Migrate in a process of its own where there is something to do.

    What serves would keep the 9 MB that Alembic takes for as long as it runs.
    """
    container = Container(settings=settings)
    try:
        schema = container.migration_schema()
        is_behind = schema.current() != schema.newest
        container.migration_database().close()
    except SettingsError as error:
        _stop(_wrong_settings(error))
    except OSError as error:
        _stop(f"TODO_DATA_DIR cannot be used: {error}")
    except Unavailable as error:
        _stop(_unavailable(error))
    if is_behind:
        command = [sys.executable, "-c", f"from {__name__} import main; main()", "migrate"]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 - our own command
            raise typer.Exit(1)


def _check_address(host: str) -> None:
    """Stop with a clear message if nothing can listen on this address, whatever the port."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.bind(address)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be encoded
        _stop(f"--host {host!a} cannot be listened on: {error}")


def _check_parts(settings: Settings) -> None:
    """Create the signing key and the pool now, so that errors are reported at startup."""
    container = Container(settings=settings)
    try:
        container.key_ring()
        container.database().close()
    except SettingsError as error:
        _stop(_wrong_settings(error))
    except (OSError, ValueError) as error:
        _stop(f"The signing key cannot be used: {error}")


def _wrong_settings(error: SettingsError) -> str:
    return f"The settings are not right:\n{error}"


def _counts_apart(settings: Settings) -> bool:
    storage = settings.rate_limit_storage.get_secret_value()
    return settings.rate_limit_enabled and storage == "memory://"


def _storage(settings: Settings) -> str:
    return str(settings.data_dir.resolve()) if settings.is_embedded else "PostgreSQL"


def _unavailable(error: Unavailable) -> str:
    """What is wrong, in the words of the database itself."""
    reason = getattr(error.__cause__, "orig", None) or error.__cause__
    return (
        f"The database does not answer: {reason}\nIt is the one of DATABASE_URL or TODO_DATA_DIR."
    )


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
