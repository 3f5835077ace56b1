"""The PostgreSQL primary fails under load, and its synchronous standby is promoted.

No acknowledged write is lost, none is applied twice, and the service uses the new primary without a
restart. Clients send each write with a key until it is answered.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx
import psycopg
import pytest

from tests.faults.load import is_clear_refusal
from tests.faults.retries import Where, Writer
from tests.support.command import Served, served
from tests.support.postgres_pair import PostgresPair, running_pair
from tests.support.proof import note
from tests.support.settings import environment_on, migrate, postgres_settings
from tests.support.users import PASSWORD, register_user
from tests.support.waiting import until
from todo_adapters.sql.postgresql import RESPONSE_TIMEOUT_SECONDS

CLIENTS = 6
FAILOVERS = 3
WRITES_BETWEEN_FAILOVERS = 100
BACK_WITHIN_SECONDS = 5.0
"""From the promotion to the first acknowledged write."""

CONNECT_SECONDS = 2.0
CANCEL_SECONDS = 1.0
HANG_SECONDS = RESPONSE_TIMEOUT_SECONDS + CANCEL_SECONDS + CONNECT_SECONDS
"""How long after the primary began to hang the service has left it, wherever it waited for it."""

SLACK_SECONDS = 3.0
CLIENT_CONNECTIONS = (
    "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
WATCHED_JOB = "session check"
JOB_SECONDS = 15
"""How long the service may take until its log says that this job fails or has recovered.

It is called each 2.5 seconds. Every outage lasts until the log says so.
"""


@pytest.fixture
def pair() -> Iterator[PostgresPair]:
    with running_pair() as pair:
        migrate(postgres_settings(pair.url()))
        yield pair


@contextmanager
def written_to(server: Served) -> Iterator[tuple[Where, list[Writer]]]:
    """Let clients write until the end of the block. Each write must have taken effect once."""
    done, where = Event(), Where(server.url)
    users = [register_user(server.url) for _ in range(CLIENTS)]
    writers = [Writer(user, user.create("toggled")["id"]) for user in users]
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(writer.write, where, done) for writer in writers]
        try:
            yield where, writers
        finally:
            done.set()
            wait(running, timeout=60)
            for user in users:
                user.http.close()
        for each in running:
            each.result()
    for writer in writers:
        writer.check(server.url)


def seconds_until_written(where: Where) -> float:
    """Return how long it takes until another write is acknowledged."""
    began, before = time.monotonic(), where.written
    until(lambda: where.written > before, seconds=60)
    return time.monotonic() - began


def is_ready(server: Served) -> bool:
    return httpx.get(f"{server.url}/readyz", timeout=60).is_success


def last_event(server: Served, job: str) -> str | None:
    """Return the last event in the log about a background job, none if it has never failed."""
    events = [line["event"] for line in server.lines() if line.get("job") == job]
    return events[-1] if events else None


def has_failed(server: Served, job: str) -> bool:
    return last_event(server, job) == "periodic.failed"


def has_recovered(server: Served, job: str) -> bool:
    return last_event(server, job) == "periodic.recovered"


@pytest.mark.proof
def test_failovers_lose_no_acknowledged_write_and_apply_none_twice(
    tmp_path: Path, pair: PostgresPair
) -> None:
    pauses = []
    with served(tmp_path, **environment_on(pair.url())) as server:
        with written_to(server) as (where, writers):
            for _ in range(FAILOVERS):
                where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
                pair.primary.crash()
                until(lambda: has_failed(server, WATCHED_JOB), seconds=JOB_SECONDS)
                pair.promote()
                pauses.append(seconds_until_written(where))
                until(lambda: is_ready(server), seconds=BACK_WITHIN_SECONDS)
                where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
                pair.join()
                until(lambda: has_recovered(server, WATCHED_JOB), seconds=JOB_SECONDS)
        assert server.process.poll() is None
        assert not [line for line in server.lines() if line["event"] == "request.failed"]
        assert all(writer.wrong == [] for writer in writers)
    assert max(pauses) < BACK_WITHIN_SECONDS, pauses
    note("faults", "writes with a key, over failovers", tried=where.written)
    note("faults", "of them answered by a replay", tried=sum(each.replays for each in writers))
    slowest = round(max(pauses) * 1000)
    note("faults", "milliseconds from promotion to a write", tried=slowest)


@pytest.mark.proof
def test_a_hanging_primary_is_left_and_not_used_again_when_it_continues(
    tmp_path: Path, pair: PostgresPair
) -> None:
    with served(tmp_path, **environment_on(pair.url())) as server:
        with written_to(server) as (where, _):
            where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
            pair.primary.suspend()
            hung_at = time.monotonic()
            former = pair.promote()
            seconds_until_written(where)
            pause = time.monotonic() - hung_at
            assert pause < HANG_SECONDS + SLACK_SECONDS
            where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
            # It still accepts writes, and it is the first server in the URL.
            former.resume()
            with psycopg.connect(former.url(), autocommit=True) as connection:
                now = connection.execute("SELECT pg_is_in_recovery(), now()").fetchone()
                assert now is not None
                assert now[0] is False
                pair.execute(f"SELECT pg_terminate_backend(pid) {CLIENT_CONNECTIONS}")
                assert seconds_until_written(where) < BACK_WITHIN_SECONDS
                where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
                newer = f"SELECT count(*) {CLIENT_CONNECTIONS} AND backend_start > %s"
                assert connection.execute(newer.encode(), (now[1],)).fetchone() == (0,)
        # Even if it is the only one that responds, it is not used.
        pair.primary.crash()
        until(lambda: not is_ready(server))
        registration = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
        answer = httpx.post(f"{server.url}/api/auth/register", json=registration, timeout=60)
        assert is_clear_refusal(answer)
        pair.primary.start()
        until(lambda: is_ready(server))
        former.stop()
    note("faults", "writes with a key, primary hanging", tried=where.written)
    note("faults", "milliseconds from hanging to a write", tried=round(pause * 1000))


@pytest.mark.proof
def test_a_former_primary_that_is_a_standby_now_is_not_used(
    tmp_path: Path, pair: PostgresPair
) -> None:
    with served(tmp_path, **environment_on(pair.url())) as server, written_to(server) as (where, _):
        where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
        pair.primary.crash()
        pair.promote()
        pair.join()
    # A process that knows of no failover begins with the first server, which is the standby.
    with served(tmp_path, **environment_on(pair.url())) as server, written_to(server) as (where, _):
        where.wait_for_progress(WRITES_BETWEEN_FAILOVERS)
    note("faults", "writes with a key, standby first", tried=where.written)


@pytest.mark.proof
def test_a_write_is_not_acknowledged_before_the_standby_has_it(
    tmp_path: Path, pair: PostgresPair
) -> None:
    with served(tmp_path, **environment_on(pair.url())) as server:
        user = register_user(server.url)
        headers = {"Idempotency-Key": "a-key"}
        with user.http as http:
            assert pair.standby is not None
            pair.standby.suspend()
            for _ in range(2):  # the second time, the primary has the write and its response
                answer = http.post(user.tasks(), json={"title": "Buy milk"}, headers=headers)
                assert is_clear_refusal(answer)
            pair.standby.resume()
            until(lambda: is_ready(server))
            answer = http.post(user.tasks(), json={"title": "Buy milk"}, headers=headers)
            assert answer.status_code == 201
            assert answer.headers["idempotent-replayed"] == "true"
            pair.primary.crash()
            pair.promote()
            until(lambda: is_ready(server))
            assert [task["title"] for task in user.list()] == ["Buy milk"]
    note("faults", "writes while the standby hangs", tried=2)
