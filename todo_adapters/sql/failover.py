"""Connecting to the primary among several PostgreSQL servers.

libpq tries the servers of a URL one after another, always from the first one on, and takes any that
accepts writes. After a failover it would wait for a dead first server at each connection, and it
would take a former primary that came back and does not know of its successor.
"""

from collections.abc import Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg


class PrimaryOfSeveral:
    """Connects to the primary, and begins with the server that was it last.

    A server on an earlier timeline than one that was the primary before is refused: each promotion
    of a standby begins a new timeline. This knows only what this process has seen.
    """

    def __init__(self) -> None:
        self._last: Mapping[str, str] | None = None
        self._timeline = 0

    def connect(
        self,
        connection_class: "type[psycopg.Connection]",
        parameters: Mapping[str, Any],  # as libpq takes them
    ) -> "psycopg.Connection":
        """Connect to the primary.

        Raises:
            psycopg.OperationalError: if no server responds, accepts writes and is up to date.
        """
        import psycopg  # late: see docs/decisions/late-imports.md

        failures = []
        for server in sorted(_servers(parameters), key=lambda each: each != self._last):
            try:
                connection = connection_class.connect(**{**parameters, **server})
                timeline = _timeline(connection)
            except psycopg.OperationalError as error:
                failures.append(str(error))
                continue
            if timeline is not None and timeline < self._timeline:
                connection.close()
                failures.append(f"{server} is a former primary, on timeline {timeline}")
                continue
            self._timeline = timeline or self._timeline
            self._last = server
            return connection
        raise psycopg.OperationalError("\n".join(failures))


def _servers(parameters: Mapping[str, Any]) -> list[dict[str, str]]:
    hosts = parameters["host"].split(",")
    ports = parameters.get("port", "").split(",")
    return [
        {"host": host, "port": port} for host, port in zip_longest(hosts, ports, fillvalue=ports[0])
    ]


def _timeline(connection: "psycopg.Connection") -> int | None:
    """Return the timeline that the server writes, or None if it does not tell."""
    import psycopg  # late: see docs/decisions/late-imports.md

    try:
        row = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchone()
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        row = None
    connection.rollback()
    # The first eight digits of the name (https://www.postgresql.org/docs/current/wal-internals.html)
    return None if row is None else int(row[0][:8], 16)
