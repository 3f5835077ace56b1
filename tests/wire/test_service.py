"""The service over sockets: split requests, and clients that read nothing or send too much."""

import json
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.support.command import served
from tests.support.processes import resident
from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_sqlite
from tests.support.sockets import connected
from tests.support.tasks import store_tasks
from tests.support.users import ApiUser, register_user
from todo_api.http.large_responses import MAX_BYTES_PER_USER, STREAM_SIZE
from todo_api.server.protocol import StrictHttpProtocol

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with (
        on_sqlite(tmp_path_factory.mktemp("wire")) as settings,
        running_server(settings) as server,
    ):
        yield server


def responses(connection: socket.socket, count: int) -> list[tuple[int, bytes]]:
    """Read this many responses, and require that no other bytes follow."""
    received, found = b"", list[tuple[int, bytes]]()
    while len(found) < count:
        head, separator, rest = received.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        length = int(fields.get(b"content-length", 0))
        if separator and len(rest) >= length:
            found.append((int(head.split()[1]), rest[:length]))
            received = rest[length:]
        elif part := connection.recv(65536):
            received += part
        else:
            break
    assert received == b"", "more bytes than the responses"
    return found


def request(user: ApiUser, method: str, path: str, fields: bytes = b"", body: bytes = b"") -> bytes:
    target = user.tasks(path).raw_path
    head = b"%b %b HTTP/1.1\r\nHost: todo\r\nAuthorization: Bearer %b\r\n%b" % (
        method.encode(),
        target,
        user.token.encode(),
        fields,
    )
    if body:
        head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
    return head + b"\r\n" + body


def export_request(user: ApiUser) -> bytes:
    """Return a request for the largest response that there is."""
    return (
        b"GET /api/auth/me/export HTTP/1.1\r\nHost: todo\r\nAuthorization: Bearer %b\r\n\r\n"
        % user.token.encode()
    )


def test_every_request_split_at_any_place_gets_its_own_response(server: RunningServer) -> None:
    """A request is executed once wherever it is split, and the next one is read correctly."""
    ada = server.register()
    with ada.http:
        task = ada.create("first")["id"]
        chunked = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
        title = b'{"title": "Buy milk"}'
        chunks = b"5\r\n" + title[:5] + b"\r\n10;a=b\r\n" + title[5:] + b"\r\n0\r\nX-A: b\r\n\r\n"
        messages = [
            (request(ada, "GET", f"/{task}"), 200),
            (request(ada, "PATCH", f"/{task}", b"", b'{"title": "Buy tea"}'), 200),
            (request(ada, "PATCH", f"/{task}", UPGRADE, b'{"title": "Buy milk"}'), 200),
            (request(ada, "PUT", f"/{task}", chunked) + chunks, 200),
            (request(ada, "PUT", f"/{task}", UPGRADE + chunked) + chunks, 200),
            (request(ada, "GET", "/0", UPGRADE), 404),
        ]
        probe = request(ada, "GET", "/-1")
        cuts = [(data, at, status) for data, status in messages for at in range(1, len(data))]

        def wrong(cuts: Sequence[tuple[bytes, int, int]]) -> list[tuple[bytes, int]]:
            found = []
            with connected(server.url) as connection:
                for data, at, status in cuts:
                    connection.sendall(data[:at])
                    time.sleep(0.0005)
                    connection.sendall(data[at:] + probe)
                    if [code for code, _ in responses(connection, 2)] != [status, 404]:
                        found.append((data, at))
            return found

        with ThreadPoolExecutor(16) as pool:
            parts = [cuts[start::16] for start in range(16)]
            assert [each for part in pool.map(wrong, parts) for each in part] == []
        assert len(ada.list()) == 1


@pytest.mark.parametrize(
    "offer", [UPGRADE, b"Connection: upgrade\r\nUpgrade: websocket\r\n"], ids=["h2c", "websocket"]
)
def test_a_post_with_an_upgrade_offer_gets_an_ordinary_response(
    server: RunningServer, offer: bytes
) -> None:
    ada = server.register()
    with ada.http, connected(server.url) as connection:
        connection.sendall(request(ada, "POST", "", offer, b'{"title": "Buy milk"}'))
        [(status, body)] = responses(connection, 1)
        assert (status, json.loads(body)["title"]) == (201, "Buy milk")
        connection.sendall(request(ada, "GET", ""))
        [(status, body)] = responses(connection, 1)
        assert len(json.loads(body)) == 1


def test_a_connect_request_is_refused(server: RunningServer) -> None:
    with connected(server.url) as connection:
        connection.sendall(b"CONNECT todo:443 HTTP/1.1\r\nHost: todo:443\r\n\r\n")
        [(status, _)] = responses(connection, 2)
    assert status == 400


def test_a_content_length_of_very_many_digits_is_too_large(server: RunningServer) -> None:
    with connected(server.url) as connection:
        head = b"POST /api/auth/login HTTP/1.1\r\nHost: todo\r\nContent-Length: %b2\r\n\r\n"
        connection.sendall(head % (b"0" * 5000))
        [(status, body)] = responses(connection, 1)
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_endless_trailers_are_cut_off(server: RunningServer) -> None:
    """The size of a request on the wire is limited, and so is the memory that it takes."""
    head = b"POST /api/auth/login HTTP/1.1\r\nHost: todo\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    sent = 0
    with connected(server.url) as connection, suppress(ConnectionError):
        connection.sendall(head)
        while sent < 64 * 2**20:
            connection.sendall(b"X-Trailer: " + b"a" * 65_000 + b"\r\n")
            sent += 65_000
    bound = StrictHttpProtocol.max_body_overhead * 64 * 1024 + StrictHttpProtocol.max_head_size
    assert sent < bound + 8 * 2**20, "what the buffers of the sockets hold comes on top"


@pytest.mark.parametrize("repeated", ["own", "another's"])
def test_a_repeated_url_user_id_is_refused(repeated: str, server: RunningServer) -> None:
    ada, bob = server.register("Ada"), server.register("Bob")
    with ada.http, bob.http:
        second = ada.id if repeated == "own" else bob.id
        query = f"url_user_id={ada.id}&url_user_id={second}"
        answer = ada.http.get(f"/api/{ada.id}/tasks?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/url_user_id"


@pytest.mark.parametrize(
    ("requested", "size", "most"),
    # The buffers of the kernel hold whole lists, which are then no longer in flight.
    [("list", 500 * 1500, 100), ("export", STREAM_SIZE, MAX_BYTES_PER_USER // STREAM_SIZE + 2)],
    ids=["list", "export"],
)
def test_clients_that_do_not_read_hold_neither_memory_nor_the_shutdown(
    requested: str, size: int, most: int, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(served(tmp_path, TODO_RATE_LIMIT_ENABLED="false"))
        ada = register_user(server.url)
        stack.enter_context(ada.http)
        store_tasks(tmp_path, ada.id, 4_000)
        assert len(ada.list()) == 4_000
        before = resident(server.process.pid)
        data = request(ada, "GET", "") if requested == "list" else export_request(ada)
        sockets = _request_without_reading(server.url, data, 100)
        for connection in sockets:
            stack.callback(connection.close)
        grown = resident(server.process.pid) - before
        assert grown < MAX_BYTES_PER_USER + 8 * size + 64 * 2**20, "100 exports would have 600 MB"
        statuses = [connection.recv(12) for connection in sockets]
        assert MAX_BYTES_PER_USER // size <= statuses.count(b"HTTP/1.1 200") <= most
        # Others were refused because too much was in flight, or because they waited too long.
        assert set(statuses) <= {b"HTTP/1.1 200", b"HTTP/1.1 429", b"HTTP/1.1 503"}
        began = time.perf_counter()
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        assert time.perf_counter() - began < 8


def _request_without_reading(url: str, data: bytes, count: int) -> list[socket.socket]:
    sockets = []
    for _ in range(count):
        connection = connected(url, receive_buffer=4096)
        connection.sendall(data)
        sockets.append(connection)
    time.sleep(3)
    return sockets


def test_a_response_that_is_not_read_is_aborted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StrictHttpProtocol, "response_timeout", 0.5)
    monkeypatch.setattr(StrictHttpProtocol, "min_response_rate", 100 * 2**20)
    with on_sqlite(tmp_path) as settings, running_server(settings) as server:
        ada = server.register()
        with ada.http:
            size = store_tasks(tmp_path, ada.id, 6_000)
            for pause in (None, 0.1):  # a client that reads nothing, and one that reads slowly
                with connected(server.url, receive_buffer=4096) as connection:
                    connection.sendall(export_request(ada))
                    began = time.perf_counter()
                    taken = _read_slowly(connection, pause)
                    assert taken < size
                    assert time.perf_counter() - began < 5
            assert len(ada.list()) == 6_000, "a client that reads gets the whole list"


def _read_slowly(connection: socket.socket, pause: float | None) -> int:
    """Read a response slowly until it ends, and return how many bytes were read."""
    taken = 0
    time.sleep(1.5 if pause is None else 0)
    while True:
        time.sleep(pause or 0)
        try:
            part = connection.recv(8192 if pause else 1_000_000)
        except ConnectionResetError:
            break
        if not part:
            break
        taken += len(part)
    return taken
