"""Requests wait for a thread and for the database no longer than is documented.

These tests check the parts of what `test_database_lost` checks as a whole.
"""

import asyncio
import time
from collections.abc import Iterator
from threading import Event

import pytest
from sqlalchemy import text

from tests.support.settings import postgres_settings
from tests.support.waiting import until
from todo_adapters.sql.database import Database
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
