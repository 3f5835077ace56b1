"""PostgreSQL crashes, stops responding, or is locked under load.

Acknowledged writes are stored exactly once, no request waits for longer than is
documented, and the service recovers without intervention.
"""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.faults.load import (
    acknowledged,
    is_clear_refusal,
    load,
    stored_tasks,
    wait_for_progress,
    wait_until_available,
    worker_at,
)
from tests.support.command import served
from tests.support.postgres import DURABLE, running_postgres
from tests.support.proof import note
from tests.support.settings import environment_on, migrate, postgres_settings
from tests.support.stalling_proxy import stalling_proxy
from tests.support.users import ApiUser
from todo_adapters.sql.postgresql import RESPONSE_TIMEOUT_SECONDS

CRASHES = 3
BACK_WITHIN_SECONDS = 2.0
TURN_SECONDS = 5.0
"""The longest time that a request waits for a thread and its connection."""

CANCEL_SECONDS = 1.0
LONGEST_SECONDS = TURN_SECONDS + RESPONSE_TIMEOUT_SECONDS + CANCEL_SECONDS
SLACK_SECONDS = 4.0
"""Tolerance for a busy machine."""


@pytest.mark.proof
def test_acknowledged_writes_survive_crashes_of_postgresql(tmp_path: Path) -> None:
    with running_postgres(DURABLE) as postgres:
        migrate(postgres_settings(postgres.url()))
        with psycopg.connect(postgres.url()) as connection:
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                assert connection.execute(f"SHOW {setting}").fetchone() == ("on",)
        with served(tmp_path, **environment_on(postgres.url())) as server:
            with load(server.url, users=6) as workers:
                for _ in range(CRASHES):
                    wait_for_progress(workers, 100)
                    postgres.crash()
                    crashed_at = time.monotonic()
                    time.sleep(0.5)
                    postgres.start()
                    accepts_at = time.monotonic()
                    wait_for_progress(workers, 100)
                    back_at = min(
                        moment
                        for worker in workers
                        for moment in worker.acknowledged_at
                        if moment > crashed_at
                    )
                    assert back_at - accepts_at < BACK_WITHIN_SECONDS
            for worker in workers:
                assert worker.wrong == []
                assert worker.lost == 0
                worker.check(stored_tasks(server.url, worker))
            assert sum(worker.refusals for worker in workers) > 0
            assert not [line for line in server.lines() if line["event"] == "request.failed"]
    note("faults", "writes over crashes of PostgreSQL", tried=acknowledged(workers), failed=0)


@pytest.mark.proof
def test_requests_to_a_silent_database_fail_within_the_documented_time(
    tmp_path: Path, database_url: str, postgres_url: str
) -> None:
    parts = urlsplit(database_url)
    assert parts.port is not None
    with stalling_proxy(parts.port) as proxy:
        through = parts._replace(netloc=f"todo@127.0.0.1:{proxy.port}").geturl()
        with (
            served(tmp_path, **environment_on(through)) as server,
            worker_at(server.url) as worker,
        ):
            assert httpx.get(f"{server.url}/readyz").status_code == 200
            proxy.stall()
            with ThreadPoolExecutor(16) as clients:
                ready = clients.submit(timed_get, f"{server.url}/readyz")
                answers = list(clients.map(lambda n: timed_create(worker.user, n), range(15)))
                state, seconds = ready.result()
            assert all(is_clear_refusal(answer) for answer, _ in answers)
            assert state.status_code == 503
            assert max(seconds, *(each for _, each in answers)) < LONGEST_SECONDS + SLACK_SECONDS
            assert httpx.get(f"{server.url}/healthz").status_code == 200
            # The connections are known to be lost, so that from now on only connecting can fail.
            again, seconds = timed_create(worker.user, 99)
            assert is_clear_refusal(again)
            assert seconds < TURN_SECONDS + SLACK_SECONDS
            proxy.resume()
            wait_until_available(server.url, worker, seconds=BACK_WITHIN_SECONDS + SLACK_SECONDS)
            worker.check(stored_tasks(server.url, worker))
            assert timed_get(f"{server.url}/readyz")[0].status_code == 200
            proxy.stall()
            with ThreadPoolExecutor(1) as clients:
                last = clients.submit(timed_create, worker.user, 100)
                time.sleep(0.5)
                began = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                assert is_clear_refusal(last.result()[0])
                assert server.process.wait(timeout=60) == 0
                assert time.monotonic() - began < 30 + SLACK_SECONDS
    note("faults", "requests to a database fallen silent", tried=len(answers) + 3, failed=0)


@pytest.mark.proof
def test_requests_are_refused_in_time_while_all_connections_are_blocked(
    tmp_path: Path, database_url: str
) -> None:
    settings = environment_on(database_url) | {"TODO_DATABASE_POOL_SIZE": "2"}
    with served(tmp_path, **settings) as server, worker_at(server.url) as worker:
        with locked_tasks(database_url) as connection, ThreadPoolExecutor(12) as clients:
            answers = list(clients.map(lambda n: timed_create(worker.user, n), range(12)))
            waiting = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'"
            ).fetchone()
        assert all(is_clear_refusal(answer) for answer, _ in answers)
        seconds = sorted(seconds for _, seconds in answers)
        # Two requests had a connection and waited for the database. The others had to wait for one.
        assert seconds[-3] < TURN_SECONDS + SLACK_SECONDS
        assert seconds[-1] < LONGEST_SECONDS + SLACK_SECONDS
        # No statement of a refused request still waits in the database.
        assert waiting == (0,)
        wait_until_available(server.url, worker, seconds=BACK_WITHIN_SECONDS)
        assert len(stored_tasks(server.url, worker)) == 2
        assert timed_create(worker.user, 99)[0].status_code == 201
    note("faults", "requests while all connections are held", tried=len(answers), failed=0)


@contextmanager
def locked_tasks(url: str) -> Iterator[psycopg.Connection]:
    """Lock the table of tasks until the block ends."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        yield connection


def timed_create(user: ApiUser, number: int) -> tuple[httpx.Response, float]:
    """Create a task, and return the response and the seconds that it took."""
    with httpx.Client(headers=user.http.headers, timeout=60) as http:
        began = time.monotonic()
        url = f"{str(user.http.base_url).rstrip('/')}{user.tasks()}"
        answer = http.post(url, json={"title": f"slow {number}"})
        return answer, time.monotonic() - began


def timed_get(url: str) -> tuple[httpx.Response, float]:
    """Return the response and the seconds that it took."""
    began = time.monotonic()
    answer = httpx.get(url, timeout=60)
    return answer, time.monotonic() - began
