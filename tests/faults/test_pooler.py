"""The service works with PgBouncer in transaction mode between it and PostgreSQL.

Statements cannot rely on the session of an earlier statement, there are fewer
connections behind the pooler than in front of it, and the pooler can fail.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.faults.load import acknowledged, load, stored_tasks, wait_for_progress
from tests.support.command import served
from tests.support.pooler import PGBOUNCER, SERVER_CONNECTIONS, Pooler, running_pooler
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.users import PASSWORD, register_user

BACK_WITHIN_SECONDS = 5.0
"""PgBouncer itself may take one of these seconds to connect again."""

LOGINS = 60

pytestmark = [
    pytest.mark.proof,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"),
]


def test_the_service_works_behind_a_pooler_on_a_few_connections(
    tmp_path: Path, database_url: str
) -> None:
    parts = urlsplit(database_url)
    assert parts.port is not None
    with running_pooler(parts.port) as pooler:
        pooled_url = url_through(pooler, database_url)
        with served(tmp_path, **environment_on(pooled_url)) as server:
            user = register_user(server.url)
            user.http.close()
            with load(server.url, users=6) as workers, ThreadPoolExecutor(4) as clients:
                logins = clients.map(
                    lambda _: log_in_and_refresh(server.url, user.email), range(LOGINS)
                )
                assert list(logins) == [200] * LOGINS
                wait_for_progress(workers, 300)
                with psycopg.connect(database_url) as connection:
                    connected = connection.execute(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
                    ).fetchone()
                assert connected is not None
                assert 0 < connected[0] <= SERVER_CONNECTIONS
            for worker in workers:
                assert (worker.wrong, worker.lost, worker.refusals) == ([], 0, 0)
                worker.check(stored_tasks(server.url, worker))
            assert prepared_statements(pooled_url) == [0] * SERVER_CONNECTIONS
    note("faults", "writes behind PgBouncer", tried=acknowledged(workers), failed=0)
    note("faults", "logins and refreshes behind PgBouncer", tried=LOGINS, failed=0)


def test_the_service_recovers_from_the_restart_of_a_pooler_under_load(
    tmp_path: Path, database_url: str
) -> None:
    parts = urlsplit(database_url)
    assert parts.port is not None
    with running_pooler(parts.port) as pooler:
        pooled_url = url_through(pooler, database_url)
        with served(tmp_path, **environment_on(pooled_url)) as server:
            with load(server.url, users=6) as workers:
                wait_for_progress(workers, 100)
                pooler.stop()
                lost_at = time.monotonic()
                time.sleep(0.5)
                pooler.start()
                started_at = time.monotonic()
                wait_for_progress(workers, 100)
                back_at = min(
                    moment
                    for worker in workers
                    for moment in worker.acknowledged_at
                    if moment > lost_at
                )
                assert back_at - started_at < BACK_WITHIN_SECONDS
            assert sum(worker.refusals for worker in workers) > 0
            for worker in workers:
                assert (worker.wrong, worker.lost) == ([], 0)
                worker.check(stored_tasks(server.url, worker))
    note("faults", "writes over a restart of PgBouncer", tried=acknowledged(workers), failed=0)


def url_through(pooler: Pooler, url: str) -> str:
    return urlsplit(url)._replace(netloc=f"todo@127.0.0.1:{pooler.port}").geturl()


def log_in_and_refresh(url: str, email: str) -> int:
    """Log in and refresh, and return the status of the refresh."""
    login = {"email": email, "password": PASSWORD}
    tokens = httpx.post(f"{url}/api/auth/login", json=login, timeout=60).raise_for_status().json()
    refresh = {"refresh_token": tokens["refresh_token"]}
    return httpx.post(f"{url}/api/auth/refresh", json=refresh, timeout=60).status_code


def prepared_statements(pooled_url: str) -> list[int]:
    """Return the number of prepared statements in each session of the server."""
    counts: dict[int, int] = {}
    with ExitStack() as stack:
        for _ in range(SERVER_CONNECTIONS):
            connection = stack.enter_context(psycopg.connect(pooled_url, prepare_threshold=None))
            row = connection.execute(
                "SELECT pg_backend_pid(), count(*) FROM pg_prepared_statements"
            ).fetchone()
            assert row is not None
            counts[row[0]] = row[1]
    return list(counts.values())
