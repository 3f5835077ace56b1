"""Requests wait for a thread and for the database no longer than is documented.

These tests check the parts of what `test_database_lost` checks as a whole.
"""

import asyncio
import math
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import text
from sqlalchemy.engine.interfaces import DBAPIConnection

from tests.support.settings import postgres_settings
from tests.support.waiting import until
from todo_adapters.sql import sqlite
from todo_adapters.sql.database import Database, open_database
from todo_adapters.sql.postgresql import RESPONSE_TIMEOUT_SECONDS, set_timeout
from todo_api.container import Container
from todo_api.runtime.threads import WorkerThreads
from todo_core.errors import Unavailable

ADA = "ada"
SHORT_SECONDS = 0.2
SOON_SECONDS = 5.0


def test_a_call_that_no_thread_starts_in_time_is_refused_and_never_executed() -> None:
    threads, release, done = WorkerThreads(1, share=1, longest_wait=SHORT_SECONDS), Event(), []

    async def both() -> None:
        first = asyncio.create_task(threads.run(lambda: release.wait(timeout=30), key=ADA))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match="threads"):
            await threads.run(lambda: done.append("second"), key=ADA)
        assert not first.done()
        release.set()
        assert await first is True
        await threads.run(lambda: done.append("third"), key=ADA)

    threads.start()
    asyncio.run(both())
    threads.stop()
    assert done == ["third"]


def test_a_call_that_was_started_in_time_may_take_longer() -> None:
    threads = WorkerThreads(1, share=1, longest_wait=SHORT_SECONDS)

    def slow() -> str:
        time.sleep(3 * SHORT_SECONDS)
        return "done"

    threads.start()
    assert asyncio.run(threads.run(slow, key=ADA)) == "done"
    threads.stop()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    settings = postgres_settings(postgres_url).model_copy(update={"database_pool_size": 1})
    container = Container(settings=settings)
    yield container.database()
    container.database().close()


def response_timeout(database: Database) -> object:
    """Return how many seconds a connection waits for a response."""
    with database.engine.connect() as connection:
        return getattr(connection.connection.dbapi_connection, "response_timeout", "unset")


def test_a_statement_without_a_response_in_time_fails_and_is_cancelled(
    database: Database,
) -> None:
    with database.engine.connect() as connection:
        set_timeout(connection.connection.dbapi_connection, SHORT_SECONDS)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        database.rows(text("SELECT pg_sleep(60)"), {})
    assert time.monotonic() - began < SOON_SECONDS
    asleep = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"
    )
    until(lambda: database.rows(asleep, {}) == [(0,)], seconds=SOON_SECONDS)


def test_only_migrations_wait_for_the_database_without_a_timeout(postgres_url: str) -> None:
    database = Container(settings=postgres_settings(postgres_url)).migration_database()
    assert response_timeout(database) == RESPONSE_TIMEOUT_SECONDS
    with database.schema_change() as connection:
        driver = connection.connection.dbapi_connection
        assert getattr(driver, "response_timeout", "unset") is None
    assert response_timeout(database) == RESPONSE_TIMEOUT_SECONDS
    database.close()


LONG = text(
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 5e7)"
    " SELECT count(*) FROM numbers"
)
"""Takes much longer than `SOON_SECONDS`, but ends, even if nothing interrupts it."""

COUNT = text(
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2e6)"
    " SELECT count(*) FROM numbers"
)
"""Takes longer than `SHORT_SECONDS`."""


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Database]:
    """An SQLite database with one connection, whose statements may take `SHORT_SECONDS`."""
    database = open_database(f"sqlite:///{tmp_path / 'todo.db'}", pool_size=1, pool_timeout=1)
    database.write(text("CREATE TABLE numbers_seen (n INTEGER)"), {})
    sqlite.set_timeout(driver_connection(database), SHORT_SECONDS)
    yield database
    database.close()


def driver_connection(database: Database) -> DBAPIConnection:
    with database.engine.connect() as connection:
        driver = connection.connection.dbapi_connection
    assert driver is not None
    return driver


def test_a_statement_on_sqlite_is_interrupted_and_its_connection_remains(
    embedded: Database,
) -> None:
    before = driver_connection(embedded)
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(Unavailable, match="database"):
            embedded.rows(LONG, {})
    assert 2 * SHORT_SECONDS <= time.monotonic() - began < SOON_SECONDS
    assert embedded.rows(text("SELECT 1"), {}) == [(1,)]
    assert driver_connection(embedded) is before


def test_a_transaction_on_sqlite_that_is_interrupted_is_rolled_back(embedded: Database) -> None:
    before = driver_connection(embedded)
    with pytest.raises(Unavailable, match="database"), embedded.transaction() as transaction:
        transaction.write(text("INSERT INTO numbers_seen VALUES (1)"), {})
        transaction.rows(LONG, {})
    assert embedded.rows(text("SELECT n FROM numbers_seen"), {}) == []
    with embedded.transaction() as transaction:
        transaction.write(text("INSERT INTO numbers_seen VALUES (2)"), {})
    assert embedded.rows(text("SELECT n FROM numbers_seen"), {}) == [(2,)]
    assert driver_connection(embedded) is before


def test_the_time_of_a_statement_on_sqlite_does_not_count_for_the_next_one(
    embedded: Database,
) -> None:
    embedded.rows(text("SELECT 1"), {})
    time.sleep(1.5 * SHORT_SECONDS)
    some = text(str(COUNT).replace("2e6", "1e4"))  # enough steps for a look at the time
    assert embedded.rows(some, {}) == [(10_000,)]


def test_only_migrations_take_any_time_on_sqlite(embedded: Database) -> None:
    with pytest.raises(Unavailable, match="database"):
        embedded.rows(COUNT, {})
    with embedded.schema_change() as connection:
        assert vars(connection.connection.dbapi_connection)["timeout"] == math.inf
        assert connection.execute(COUNT).scalar() == 2_000_000
    restored = vars(driver_connection(embedded))["timeout"]
    assert restored == sqlite.STATEMENT_TIMEOUT_SECONDS == RESPONSE_TIMEOUT_SECONDS
