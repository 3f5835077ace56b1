"""The service is killed while clients write, and they send their writes again with the same key.

Each write takes effect exactly once, whether the process was killed before the commit or after it.
"""

import socket
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.faults.retries import Where, Writer, at
from tests.support.command import Served, served
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.users import ApiUser, register_user
from tests.support.waiting import until

CLIENTS = 4
KILLS, MOST_KILLS = 6, 40
WRITES_BETWEEN_KILLS = 60


class Place(ABC):
    """A database on which a service is started again and again."""

    folder: Path
    environment: Mapping[str, str]

    def served(self) -> AbstractContextManager[Served]:
        """Start a process of the service."""
        return served(self.folder, **self.environment)

    @abstractmethod
    def blocked_writes(self) -> AbstractContextManager[None]:
        """Let no write of a task take effect until the block ends."""

    @abstractmethod
    def count_tasks(self) -> int:
        """Return how many tasks are stored."""


class OnSqlite(Place):
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"TODO_RATE_LIMIT_ENABLED": "false"}

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "todo-data" / "todo.db", isolation_level=None)

    @contextmanager
    def blocked_writes(self) -> Iterator[None]:
        with closing(self._connect()) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")

    def count_tasks(self) -> int:
        with closing(self._connect()) as connection:
            return int(connection.execute("SELECT count(*) FROM tasks").fetchone()[0])


class OnPostgresql(Place):
    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self.environment = environment_on(database_url)
        self._url = database_url

    @contextmanager
    def blocked_writes(self) -> Iterator[None]:
        """Block after the key was claimed, when the write begins."""
        with psycopg.connect(self._url) as connection:
            connection.execute("LOCK TABLE task_owners IN EXCLUSIVE MODE")
            yield
            connection.rollback()

    def count_tasks(self) -> int:
        with psycopg.connect(self._url) as connection:
            row = connection.execute("SELECT count(*) FROM tasks").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return OnSqlite(tmp_path)
    return OnPostgresql(tmp_path, request.getfixturevalue("database_url"))


def create(user: ApiUser, key: str, title: str = "Buy milk") -> httpx.Response:
    return user.http.post(user.tasks(), json={"title": title}, headers={"Idempotency-Key": key})


def send_without_reading(server: Served, user: ApiUser, key: str) -> socket.socket:
    """Send a request as `create` does, and return the connection on which its response arrives."""
    body = b'{"title":"Buy milk"}'
    url = user.tasks()
    head = (
        f"POST {url.raw_path.decode()} HTTP/1.1",
        f"Host: {urlsplit(server.url).netloc}",
        f"Authorization: Bearer {user.token}",
        f"Idempotency-Key: {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    parts = urlsplit(server.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=10)
    connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    return connection


def kill(server: Served) -> None:
    server.process.kill()
    server.process.wait(timeout=30)


def test_a_write_whose_process_is_killed_before_the_commit_takes_effect_when_sent_again(
    place: Place,
) -> None:
    with place.served() as server:
        user = register_user(server.url)
        with user.http, place.blocked_writes():
            with send_without_reading(server, user, "a-key") as connection:
                connection.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
            kill(server)
    assert place.count_tasks() == 0
    with place.served() as server, at(server.url, user).http as http:
        ada = replace(user, http=http)
        first = create(ada, "a-key")
        assert (first.status_code, first.headers.get("idempotent-replayed")) == (201, None)
        assert create(ada, "a-key").headers["idempotent-replayed"] == "true"
    assert place.count_tasks() == 1


def test_a_write_whose_process_is_killed_before_its_response_is_read_is_replayed(
    place: Place,
) -> None:
    with place.served() as server:
        user = register_user(server.url)
        with user.http, send_without_reading(server, user, "a-key"):
            until(lambda: place.count_tasks() == 1)
            kill(server)
    with place.served() as server, at(server.url, user).http as http:
        ada = replace(user, http=http)
        replay = create(ada, "a-key")
        assert (replay.status_code, replay.headers["idempotent-replayed"]) == (201, "true")
        assert ada.list() == [replay.json()]
        assert replay.headers["location"].endswith(f"/{replay.json()['id']}")
    assert place.count_tasks() == 1


def replays_of(writers: Sequence[Writer]) -> int:
    return sum(writer.replays for writer in writers)


@pytest.mark.proof
def test_writes_with_a_key_take_effect_once_while_the_service_is_killed(place: Place) -> None:
    done = Event()
    with place.served() as server:
        users = [register_user(server.url) for _ in range(CLIENTS)]
        writers = [Writer(user, user.create("toggled")["id"]) for user in users]
        where = Where(server.url)
    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(writer.write, where, done) for writer in writers]
        kills = 0
        try:
            # Few kills hit a write between its commit and its response, which is then a replay.
            while kills < KILLS or (kills < MOST_KILLS and not replays_of(writers)):
                kills += 1
                with place.served() as server:
                    where.url = server.url
                    where.wait_for_progress(WRITES_BETWEEN_KILLS)
                    kill(server)
        finally:
            done.set()
        with place.served() as server:
            where.url = server.url
            for each in running:
                each.result(timeout=60)
            for writer in writers:
                writer.check(server.url)
    replays = replays_of(writers)
    assert replays > 0
    note("faults", "writes with a key, service killed", tried=where.written)
    note("faults", "of them answered by a replay", tried=replays)
