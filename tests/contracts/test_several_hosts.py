"""A database URL with several hosts leads to the server that accepts writes."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from tests.support.postgres import PostgresServer, running_postgres
from tests.support.processes import free_port
from tests.support.waiting import until
from todo_adapters.sql.database import Database, open_database
from todo_core.errors import Unavailable

ONE = text("SELECT 1")
PARAMETERS = "target_session_attrs=read-write&connect_timeout=2"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


def database_on(*ports: int, user: str = "todo") -> Database:
    hosts = "&".join(f"host=127.0.0.1:{port}" for port in ports)
    dsn = f"postgresql+psycopg://{user}@/postgres?{hosts}&{PARAMETERS}"
    return open_database(dsn, pool_size=1, pool_timeout=1)


def execute(server: PostgresServer, *statements: str) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_host_that_does_not_respond_is_skipped(server: PostgresServer) -> None:
    database = database_on(free_port(), server.port)
    assert database.rows(ONE, {}) == [(1,)]
    database.close()


def test_a_server_that_does_not_tell_its_timeline_is_used(server: PostgresServer) -> None:
    execute(
        server,
        "CREATE ROLE service LOGIN",
        "REVOKE EXECUTE ON FUNCTION pg_current_wal_lsn() FROM PUBLIC",
    )
    database = database_on(free_port(), server.port, user="service")
    assert database.rows(ONE, {}) == [(1,)]
    database.close()


def set_read_only(server: PostgresServer, value: str) -> None:
    """Let new sessions be read-only or not, and return when they are."""
    execute(
        server,
        f"ALTER SYSTEM SET default_transaction_read_only = {value}",
        "SELECT pg_reload_conf()",
    )

    def is_set() -> bool:
        with psycopg.connect(server.url()) as connection:
            return connection.execute("SHOW transaction_read_only").fetchone() == (value,)

    until(is_set)


def test_without_a_server_that_accepts_writes_the_database_is_unavailable(
    server: PostgresServer,
) -> None:
    database = database_on(free_port(), server.port)
    set_read_only(server, "on")
    with pytest.raises(Unavailable) as error:
        database.rows(ONE, {})
    reason = str(error.value.__cause__)
    assert "Connection refused" in reason
    assert "session is read-only" in reason
    set_read_only(server, "off")
    assert database.rows(ONE, {}) == [(1,)]
    database.close()
