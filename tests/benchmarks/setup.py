"""Where a comparison runs: its cores, its database and its folder."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.benchmarks.processes import (
    BenchmarkFailed,
    ProcessTree,
    clean_environment,
    parent_of,
)
from tests.support.postgres import running_postgres

TODO = Path(sys.executable).with_name("todo")
"""The command of the service."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The core of the servers that are compared, and that of wrk and PostgreSQL.

    None is any core, as the operating system chooses.
    """

    server_core: int | None = None
    load_core: int | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the processes have cores of their own."""
        return self.server_core is not None


UNPINNED = Layout()
"""The layout that users have."""


def pinned() -> Layout:
    """Return the layout on the first two cores that this process may use.

    Raises:
        BenchmarkFailed: if there is only one.
    """
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchmarkFailed("Two cores are needed: one for the server, one for the load.")
    return Layout(server_core=usable[0], load_core=usable[1])


@dataclass(frozen=True, slots=True)
class Setup:
    """The layout, the folder of all files, and the settings that select the service's database.

    `database_processes` are those of PostgreSQL.
    """

    layout: Layout
    folder: Path
    settings: Mapping[str, str]
    database_processes: ProcessTree | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether the service uses its embedded database."""
        return self.database_processes is None


@contextmanager
def sqlite(layout: Layout) -> Iterator[Setup]:
    """Set up an empty folder, in which the service creates its embedded database."""
    with _folder() as folder:
        yield Setup(layout, folder, _settings_in(folder))


@contextmanager
def postgresql(layout: Layout) -> Iterator[Setup]:
    """Set up a PostgreSQL server with a migrated database, on the core of the load."""
    with _folder() as folder, running_postgres() as server:
        processes = _processes_of(server.url())
        if layout.load_core is not None:
            processes.move_to(layout.load_core)
        settings = _settings_in(folder) | {
            "DATABASE_URL": server.url(),
            "TODO_JWT_SECRET": secrets.token_urlsafe(32),
        }
        subprocess.run(
            [TODO, "migrate"],
            check=True,
            capture_output=True,
            cwd=folder,
            env=clean_environment(settings),
        )
        yield Setup(layout, folder, settings, processes)


def _processes_of(database_url: str) -> ProcessTree:
    """Return the processes of a PostgreSQL server, whose first is the parent of all others."""
    with psycopg.connect(database_url) as connection:
        return ProcessTree(parent_of(connection.info.backend_pid))


def _settings_in(folder: Path) -> dict[str, str]:
    return {"TODO_DATA_DIR": str(folder / "todo-data"), "TODO_RATE_LIMIT_ENABLED": "false"}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="todo-benchmark-") as folder:
        yield Path(folder)
