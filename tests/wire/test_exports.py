"""Exports of large accounts over sockets: complete, or visibly cut off, at constant memory."""

import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.command import served
from tests.support.processes import resident
from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_sqlite
from tests.support.sockets import connected
from tests.support.tasks import store_tasks
from tests.support.users import PASSWORD, ApiUser, register_user
from tests.support.waiting import until

TASKS = 6_000
EXPORT = "/api/auth/me/export"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with on_sqlite(tmp_path) as settings, running_server(settings) as server:
        yield server


@pytest.fixture
def ada(server: RunningServer, tmp_path: Path) -> Iterator[ApiUser]:
    """Return a user with many tasks."""
    ada = server.register()
    store_tasks(tmp_path, ada.id, TASKS)
    with ada.http:
        yield ada


def requested(
    url: str,
    user: ApiUser,
    method: str = "GET",
    version: str = "1.1",
    receive_buffer: int = 4096,
) -> socket.socket:
    """Request an export on a connection of its own, whose buffers are small by default."""
    connection = connected(url, receive_buffer=receive_buffer)
    connection.sendall(
        f"{method} {EXPORT} HTTP/{version}\r\nHost: todo\r\n"
        f"Authorization: Bearer {user.token}\r\n\r\n".encode()
    )
    return connection


def received(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return the head and the rest of all that the connection receives until it ends."""
    answer = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            answer += part
    head, _, rest = answer.partition(b"\r\n\r\n")
    return head.lower(), rest


def test_a_large_export_is_streamed_and_complete(ada: ApiUser) -> None:
    answer = ada.http.get(EXPORT).raise_for_status()
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    export = answer.json()
    assert list(export) == ["user", "identities", "sessions", "tasks", "deleted_tasks"]
    assert export["tasks"] == ada.list()


def test_a_small_export_has_a_content_length(server: RunningServer) -> None:
    bob = server.register("Bob")
    with bob.http:
        tasks = [bob.create(), bob.create()]
        answer = bob.http.get(EXPORT).raise_for_status()
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.json()["tasks"] == tasks[::-1]


def test_a_connection_is_kept_after_a_streamed_export(ada: ApiUser, server: RunningServer) -> None:
    with requested(server.url, ada, receive_buffer=2**20) as connection:
        answer = b""
        while not answer.endswith(b"]}\r\n0\r\n\r\n"):
            answer += connection.recv(65536)
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: todo\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_of_http_1_0_gets_an_export_without_chunks(
    ada: ApiUser, server: RunningServer
) -> None:
    with requested(server.url, ada, version="1.0") as connection:
        head, body = received(connection)
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert json.loads(body)["tasks"] == ada.list()


def test_a_client_of_http_1_0_gets_other_responses_with_their_length(
    server: RunningServer,
) -> None:
    with connected(server.url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        head, body = received(connection)
    assert b"content-length: %d\r\n" % len(body) in head


def lose_tasks(ada: ApiUser, folder: Path) -> None:
    """Make the table of tasks disappear."""
    with closing(sqlite3.connect(folder / "todo-data" / "todo.db")) as database:
        database.execute("ALTER TABLE tasks RENAME TO lost")


def log_out(ada: ApiUser, folder: Path) -> None:
    """Revoke the session."""
    ada.http.post("/api/auth/logout").raise_for_status()


def delete_account(ada: ApiUser, folder: Path) -> None:
    """Delete the account with its tasks."""
    answer = ada.http.request("DELETE", "/api/auth/me", json={"current_password": PASSWORD})
    answer.raise_for_status()


@pytest.mark.parametrize("interrupt", [lose_tasks, log_out, delete_account])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_export_that_breaks_off_does_not_look_complete(
    interrupt: Callable[[ApiUser, Path], None],
    version: str,
    ada: ApiUser,
    server: RunningServer,
    tmp_path: Path,
) -> None:
    with requested(server.url, ada, version=version) as connection:
        start = connection.recv(1024)
        assert start.startswith(b"HTTP/1.1 200 ")
        interrupt(ada, tmp_path)
        _, rest = received(connection)
    assert b"]}" not in rest[-20:]
    assert not rest.endswith(b"0\r\n\r\n")


def test_a_client_that_disconnects_ends_its_export(ada: ApiUser, server: RunningServer) -> None:
    for _ in range(20):
        with requested(server.url, ada) as connection:
            assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")
    in_flight = server.app.state.responses_in_flight
    until(lambda: in_flight.is_empty)


def test_exports_that_are_read_slowly_hold_no_connection_to_the_database(
    ada: ApiUser, server: RunningServer
) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            connection = stack.enter_context(requested(server.url, ada))
            assert connection.recv(1024).startswith(b"HTTP/1.1 200 ")
        pool = server.container.database().engine.pool
        until(lambda: pool.checkedout() == 0)  # type: ignore[attr-defined]  # of a QueuePool
        assert len(ada.http.get(ada.tasks()).json()) == 500


def test_exports_take_constant_memory(tmp_path: Path) -> None:
    """Whether one client reads, or several read slowly."""
    with ExitStack() as stack:
        server = stack.enter_context(served(tmp_path, TODO_RATE_LIMIT_ENABLED="false"))
        ada = register_user(server.url)
        stack.enter_context(ada.http)
        assert list(export_sizes(server.url, ada, 1))[-1] < 10_000
        store_tasks(tmp_path, ada.id, 40_000)
        idle = resident(server.process.pid)
        largest = idle
        for count, pause in ((1, 0.0), (3, 0.0), (3, 0.002)):
            total = 0
            for size in export_sizes(server.url, ada, count, pause):
                largest = max(largest, resident(server.process.pid))
                total = size
            assert total > count * 40_000 * 1_300
        assert largest - idle < 20 * 2**20


def export_sizes(url: str, user: ApiUser, count: int, pause: float = 0.0) -> Iterator[int]:
    """Read this many exports at the same time, and yield how much was read so far."""
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(base_url=url, timeout=30))
        bearer = {"Authorization": f"Bearer {user.token}"}
        parts = [
            stack.enter_context(http.stream("GET", EXPORT, headers=bearer)).iter_bytes(65536)
            for _ in range(count)
        ]
        total = 0
        while parts:
            for each in [*parts]:
                part = next(each, b"")
                total += len(part)
                if not part:
                    parts.remove(each)
                time.sleep(pause)
            yield total
