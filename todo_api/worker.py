"""A process that answers requests: that of `todo serve`, or one of its workers."""

import atexit
import ctypes
import os
import resource
import signal
import sys
from functools import cache, partial
from multiprocessing import parent_process
from typing import Any

import structlog
from fastapi import FastAPI

from todo_api.app import create_app
from todo_api.exporter.files import count_in_files, count_nowhere
from todo_api.runtime.logging import configure_logs
from todo_api.server.protocol import StrictHttpProtocol
from todo_api.settings import Settings, Telemetry, load_settings
from todo_api.wiring.telemetry import open_log_export

_M_ARENA_MAX = -8  # from malloc.h
_PR_SET_PDEATHSIG = 1  # from linux/prctl.h
_SWITCH_SECONDS = 0.001

_log = structlog.get_logger()


def serving_app(settings: Settings) -> FastAPI:
    """Prepare this process for serving, and return its application."""
    _share_arenas()
    _switch_threads_often()
    _allow_many_connections()
    telemetry = Telemetry.from_environment(os.environ)
    configure = partial(configure_logs, settings, with_traces=telemetry.traces is not None)
    configure()
    if (export := open_log_export(settings, telemetry)) is not None:
        configure(export=export)
        atexit.register(export.close)
    for problem in telemetry.problems:
        _log.warning("telemetry.not_exported", reason=problem)
    if settings.metrics_port is not None:
        try:
            count_in_files()
        except OSError as error:
            count_nowhere()
            _log.warning("metrics.not_counted", reason=str(error))
    return create_app(settings, telemetry)


def app() -> FastAPI:
    """Return the application with the settings of the environment; uvicorn calls it by name."""
    _stop_with_parent()
    return serving_app(_settings())


def http_protocol(**connection: Any) -> StrictHttpProtocol:  # noqa: ANN401 - as uvicorn passes it
    """Return the protocol for a connection; uvicorn calls it by name."""
    return StrictHttpProtocol(max_body_size=_settings().max_body_size, **connection)


@cache
def _settings() -> Settings:
    return load_settings()


def _stop_with_parent() -> None:
    """Let the kernel send SIGTERM to a worker when its parent ends, even if that was killed.

    Otherwise, a worker whose parent was killed would go on and keep the address in use.
    """
    parent = parent_process()
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent.pid:  # it ended before
        os.kill(os.getpid(), signal.SIGTERM)


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
