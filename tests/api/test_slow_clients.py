"""Slow clients are cut off, and do not delay other clients."""

import contextlib
import json
import selectors
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.command import Served, served
from tests.support.proof import note
from tests.support.servers import RunningServer
from tests.support.sockets import connected
from tests.support.users import register_user
from todo_api.server.protocol import StrictHttpProtocol

HEAD = b"POST /api/auth/login HTTP/1.1\r\nHost: todo\r\nContent-Type: application/json\r\n"
SLOW_SOCKETS = 2000


@pytest.fixture
def _short_request_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a short timeout for requests."""
    monkeypatch.setattr(StrictHttpProtocol, "request_timeout", 0.5)


def trickle(connection: socket.socket, data: bytes, seconds: float) -> bytes:
    """Send a byte at a time until the server closes the connection, and return its response."""
    connection.setblocking(True)
    connection.settimeout(seconds)
    answer = b""
    for byte in data:
        with contextlib.suppress(OSError):
            connection.send(bytes([byte]))
        try:
            part = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return answer
        answer += part
        if not part:
            return answer
    raise AssertionError("the connection was never closed")


@pytest.mark.usefixtures("_short_request_timeout")
@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: todo\r\nX-Slow: " + b"a" * 100,
        HEAD + b"Content-Length: 60000\r\n\r\n" + b" " * 100,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100,
    ],
    ids=["head", "body", "chunks"],
)
def test_a_request_sent_a_byte_at_a_time_is_cut_off(server: RunningServer, data: bytes) -> None:
    whole, rest = data[:-100], data[-100:]
    with connected(server.url) as connection:
        connection.sendall(whole)
        began = time.perf_counter()
        answer = trickle(connection, rest, 0.02)
        assert 0.3 < time.perf_counter() - began < 2
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout")
    assert json.loads(body)["code"] == "request_timeout"


@pytest.mark.usefixtures("_short_request_timeout")
def test_a_connection_on_which_nothing_is_sent_is_closed(server: RunningServer) -> None:
    with connected(server.url) as connection:
        began = time.perf_counter()
        assert connection.recv(1) == b""
        assert 0.3 < time.perf_counter() - began < 2


@pytest.mark.alone
@pytest.mark.usefixtures("_short_request_timeout")
def test_each_request_of_a_kept_alive_connection_has_the_whole_timeout(
    server: RunningServer,
) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: todo\r\n\r\n"
    with connected(server.url) as connection:
        for _ in range(5):
            connection.sendall(request[:10])
            time.sleep(0.2)
            connection.sendall(request[10:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_request_head_that_is_too_large_is_refused(server: RunningServer) -> None:
    with connected(server.url) as connection:
        line = b"X-Large: " + b"a" * 10_000 + b"\r\n"
        with contextlib.suppress(OSError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: todo\r\n" + line * 20)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'"code":"headers_too_large"' in answer


def test_bytes_that_are_not_http_are_answered_with_a_problem(server: RunningServer) -> None:
    with connected(server.url) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
        answer = connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"application/problem+json" in head
    assert b"content-security-policy: default-src 'none'" in head
    told = json.loads(body)
    assert told["code"] == "malformed_request"
    assert f"x-request-id: {told['request_id']}".encode() in head


def test_invalid_bytes_after_a_request_do_not_replace_its_response(server: RunningServer) -> None:
    """A client must not take the refusal for the response to the request before."""
    ada = server.register()
    with ada.http:
        path = ada.tasks().raw_path.decode()
        good = f"GET {path} HTTP/1.1\r\nHost: todo\r\nAuthorization: Bearer {ada.token}\r\n\r\n"
        for _ in range(20):
            with connected(server.url) as connection:
                connection.sendall(good.encode() + b"\x16\x03\x01 nonsense\r\n\r\n")
                answer = connection.recv(65536)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 200")


@pytest.fixture
def real_server(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, TODO_RATE_LIMIT_ENABLED="false") as server:
        yield server


@pytest.mark.proof
def test_2000_slow_clients_delay_another_client_by_less_than_100_ms(
    real_server: Served,
) -> None:
    ada = register_user(real_server.url)
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    sockets = []
    for number in range(SLOW_SOCKETS):
        connection = connected(real_server.url)
        connection.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 60000\r\n\r\n")
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
        sockets.append(connection)
    cut_off: dict[int, float] = {}

    def dribble() -> None:
        while len(cut_off) < SLOW_SOCKETS and time.perf_counter() - began < 60:
            for connection in sockets:
                if connection.fileno() not in cut_off:
                    with contextlib.suppress(OSError):
                        connection.send(b" ")
            until = time.perf_counter() + 1
            while (left := until - time.perf_counter()) > 0:
                for key, _ in selector.select(left):
                    with contextlib.suppress(OSError):
                        if key.fileobj.recv(4096):  # type: ignore[union-attr]  # a socket
                            continue
                    cut_off[key.fd] = time.perf_counter() - began
                    selector.unregister(key.fileobj)

    waits = []
    with ada.http, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(dribble)
        while not slow.done():
            asked = time.perf_counter()
            ada.list()
            waits.append(time.perf_counter() - asked)
            time.sleep(0.005)
        slow.result()
    for connection in sockets:
        connection.close()
    waits.sort()
    ninety_ninth = waits[int(len(waits) * 0.99)]
    late = SLOW_SOCKETS - len(cut_off)
    note(
        "clients",
        f"slow; an honest one waits {ninety_ninth * 1000:.0f} ms",
        tried=SLOW_SOCKETS,
        failed=late,
    )
    assert late == 0
    assert max(cut_off.values()) < 15 + 5, "five seconds to connect them all"
    assert len(waits) > 500
    assert ninety_ninth < 0.1


def test_the_limit_of_open_files_is_raised_to_the_allowed_maximum(real_server: Served) -> None:
    """The usual limit of 1,024 open files is a default that a process may raise."""
    limits = Path(f"/proc/{real_server.process.pid}/limits").read_text()
    [line] = [line for line in limits.splitlines() if line.startswith("Max open files")]
    _, _, _, soft, hard, _ = line.split()
    assert soft == hard


def test_a_slow_reader_gets_its_whole_response(server: RunningServer) -> None:
    ada = server.register()
    with ada.http:
        for number in range(20):
            ada.create(f"{number}", description="x" * 1000)
        request = (
            f"GET {ada.tasks().raw_path.decode()} HTTP/1.1\r\nHost: todo\r\n"
            f"Authorization: Bearer {ada.token}\r\nConnection: close\r\n\r\n"
        )
        with connected(server.url) as connection:
            connection.sendall(request.encode())
            answer = b""
            while part := connection.recv(512):
                answer += part
                time.sleep(0.005)
    assert int(answer.split()[1]) == httpx.codes.OK
    assert len(json.loads(answer.partition(b"\r\n\r\n")[2])) == 20
