"""`todo serve`."""

import json
import os
import re
import signal
import socket
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvicorn

from todo_api.cli.database import migrate_in_child
from todo_api.cli.errors import exit_with, invalid_settings, settings_or_exit
from todo_api.container import Container
from todo_api.exporter.server import listening_socket, serving_metrics
from todo_api.runtime.affinity import core_count
from todo_api.runtime.logging import configure_logs, logs_json
from todo_api.server.options import server_options
from todo_api.settings import Settings, SettingsError
from todo_api.worker import serving_app

_MAX_WORKERS = 256
_PACKAGES = Path(__file__).parents[2]
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
    settings = settings_or_exit()
    _check_address(host)
    if settings.is_embedded:
        migrate_in_child(settings)
    configure_logs(settings)
    _check_adapters(settings)
    if settings.page_enabled:
        typer.echo(f"Page     http://{_in_url(host)}:{port}/", err=True)
    typer.echo(f"API      http://{_in_url(host)}:{port}/api", err=True)
    typer.echo(f"Docs     http://{_in_url(host)}:{port}/docs", err=True)
    typer.echo(f"Storage  {_storage(settings)}", err=True)
    if workers > 1 and _limits_are_per_worker(settings):
        typer.echo(
            "Warning  Each worker counts rate limits separately. To share them, set"
            " TODO_RATE_LIMIT_STORAGE=redis://….",
            err=True,
        )
    metrics = _metrics_address(settings, port)
    if metrics is not None:
        typer.echo(f"Metrics  http://{_in_url(metrics[0])}:{metrics[1]}/metrics", err=True)
    options = {"host": host, "port": port, **server_options(settings)}
    if workers > 1 or reload:
        folders = [str(_PACKAGES / name) for name in _RELOADED] if reload else None
        _become_parent(
            settings,
            options
            | {"workers": workers, "reload": reload, "reload_dirs": folders, "metrics": metrics},
        )
    # Uvicorn sends itself the signal again at the end: a requested stop is not a failure.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with nullcontext() if metrics is None else serving_metrics(*metrics):
        # Otherwise uvicorn would take the number of workers from WEB_CONCURRENCY.
        uvicorn.run(serving_app(settings), workers=1, **options)


def _become_parent(settings: Settings, options: dict[str, Any]) -> NoReturn:
    """Replace this process with the parent of workers (`todo_api.workers`)."""
    options.pop("http")  # the workers find it by its name
    options["log_level"] = "debug" if settings.debug else settings.log_level
    log_format = "json" if logs_json(settings) else "console"
    os.execv(  # noqa: S606 - our own command
        sys.executable,
        [sys.executable, "-P", "-m", "todo_api.workers", json.dumps(options), log_format],
    )


def _check_address(host: str) -> None:
    """Exit with a clear message if the service cannot listen on this address."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.bind(address)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be encoded
        exit_with(f"Cannot listen on --host {host!a}: {error}.")


def _metrics_address(settings: Settings, api_port: int) -> tuple[str, int] | None:
    """Return where metrics are served, or exit with a clear message if that is not possible."""
    host, port = settings.metrics_host, settings.metrics_port
    if port is None:
        return None
    if port == api_port:
        exit_with("TODO_METRICS_PORT must not be the port of the API (--port). Choose another one.")
    try:
        listening_socket(host, port).close()
    except OSError as error:
        exit_with(f"Cannot listen on TODO_METRICS_HOST and TODO_METRICS_PORT: {error}.")
    return host, port


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_adapters(settings: Settings) -> None:
    """Create the signing key and the connection pool, so that errors are reported at startup."""
    container = Container(settings=settings)
    try:
        container.key_ring()
        container.database().close()
    except SettingsError as error:
        exit_with(invalid_settings(error))
    except (OSError, ValueError) as error:
        exit_with(f"The signing key cannot be used: {error}.")


def _limits_are_per_worker(settings: Settings) -> bool:
    storage = settings.rate_limit_storage.get_secret_value()
    return settings.rate_limit_enabled and storage == "memory://"


def _storage(settings: Settings) -> str:
    return str(settings.data_dir.resolve()) if settings.is_embedded else "PostgreSQL"
