"""A real PgBouncer for the tests, in transaction mode as providers of hosted PostgreSQL use it.

It refuses to run as root, so root runs it as the user `nobody`, like PostgreSQL.
"""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import free_port

SERVER_CONNECTIONS = 3
START_TIMEOUT_SECONDS = 10
PGBOUNCER = shutil.which(
    "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
)


class Pooler:
    """A PgBouncer on loopback, in front of the PostgreSQL server at this port."""

    def __init__(self, folder: Path, postgres_port: int) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        (folder / "settings.ini").write_text(
            "[databases]\n"
            f"* = host=127.0.0.1 port={postgres_port} user=todo\n"
            "[pgbouncer]\n"
            "listen_addr = 127.0.0.1\n"
            f"listen_port = {self.port}\n"
            "unix_socket_dir =\n"
            "auth_type = any\n"
            "pool_mode = transaction\n"
            f"default_pool_size = {SERVER_CONNECTIONS}\n"
            "max_client_conn = 100\n"
            "server_login_retry = 1\n"
        )

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        if PGBOUNCER is None:
            raise FileNotFoundError("pgbouncer is not installed")
        user = "nobody" if os.geteuid() == 0 else None
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PGBOUNCER, "--quiet", self._folder / "settings.ini"],
                stdout=log,
                stderr=log,
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                cwd=self._folder,
            )
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it, which closes all connections."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def running_pooler(postgres_port: int) -> Iterator[Pooler]:
    """Run a pooler until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="todo-pgbouncer-"))
    folder.chmod(0o755)
    try:
        pooler = Pooler(folder, postgres_port)
        pooler.start()
        try:
            yield pooler
        finally:
            pooler.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
