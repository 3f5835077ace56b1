"""A PostgreSQL primary and its synchronous standby, of which either can fail."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg

from tests.support.postgres import DURABLE, PostgresServer
from tests.support.processes import free_port
from tests.support.waiting import until

_JOIN_SECONDS = 30
_SETTINGS = MappingProxyType({**DURABLE, "wal_receiver_timeout": "5s"})


class PostgresPair:
    """Two servers. A commit of the primary waits until the standby has stored it too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_port(), free_port()
        self._servers = 0
        self.primary = self._new_server(self._ports[0], primary=None)
        self.standby: PostgresServer | None = None

    def url(self) -> str:
        """Return a URL with both servers, always in the same order."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        return f"postgresql://todo@{hosts}/postgres"

    def join(self) -> None:
        """Start a standby, and return when commits wait for it."""
        [port] = {*self._ports} - {self.primary.port}
        self.standby = self._new_server(port, primary=self.primary)
        self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.execute("SELECT pg_reload_conf()")
        query = "SELECT sync_state FROM pg_stat_replication"
        until(lambda: self.execute(query) == ("sync",), seconds=_JOIN_SECONDS)

    def promote(self) -> PostgresServer:
        """Make the standby the primary, and return the former one, whatever state it is in."""
        assert self.standby is not None
        former, self.primary, self.standby = self.primary, self.standby, None
        assert self.execute("SELECT pg_promote()") == (True,)
        # Its copy of the setting would make its commits wait for a standby that it does not have.
        self.execute("ALTER SYSTEM RESET synchronous_standby_names")
        self.execute("SELECT pg_reload_conf()")
        return former

    def execute(self, statement: str) -> tuple[object, ...] | None:
        """Execute a statement on the primary, and return its first row, if it has one."""
        with psycopg.connect(self.primary.url(), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchone() if cursor.description else None

    def close(self) -> None:
        """Stop both servers."""
        for server in (self.standby, self.primary):
            if server is not None:
                server.stop()

    def _new_server(self, port: int, primary: PostgresServer | None) -> PostgresServer:
        self._servers += 1
        folder = self._folder / str(self._servers)
        folder.mkdir()
        server = PostgresServer(folder, _SETTINGS, port=port, primary=primary)
        server.start()
        return server


@contextmanager
def running_pair() -> Iterator[PostgresPair]:
    """Run a primary and a synchronous standby until the block ends."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="todo-postgres-pair-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        pair = PostgresPair(folder)
        stack.callback(pair.close)
        pair.join()
        yield pair
