"""The service against bytes that no client library would send.

A corpus of requests, good ones, hostile ones and ones that are none, is sent over a plain
socket, and then again with mutations that a seed determines. Whatever arrives, no answer is
a server error, every error is a problem document, no connection is left hanging, and what
somebody else has stays as it was.
"""

import json
import logging
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.problems import problem
from tests.support.proof import note
from tests.support.raw_requests import corpus, fill, mutated, names_of
from tests.support.servers import RunningServer

PATIENCE_SECONDS = 5
"""Until then every connection has been answered, or closed once the client is done."""

FIRST_BYTE_SECONDS = 0.3
"""How long to wait before a request counts as one that the server still waits for more of."""

NEXT_BYTE_SECONDS = 0.03
THREADS = 16

BEFORE_THE_APPLICATION = {"malformed_request", "headers_too_large"}
"""What is said of bytes that are no request, so that there is none to be named."""

MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


@dataclass(frozen=True)
class Answer:
    """One answer, as it came over the wire."""

    status: int
    headers: httpx.Headers
    body: bytes


def test_no_bytes_bring_the_service_out_of_step(
    sqlite_server: RunningServer,
    postgresql_server: RunningServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_unshaken(sqlite_server, "SQLite", mutations=150, number=1)
    assert_unshaken(postgresql_server, "PostgreSQL", mutations=150, number=1)
    assert unexpected_errors(caplog) == []


@pytest.mark.proof
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_many_bytes_do_not_bring_the_service_out_of_step(
    database: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server: RunningServer = request.getfixturevalue(f"{database.lower()}_server")
    assert_unshaken(server, database, mutations=20_000, number=2)
    assert unexpected_errors(caplog) == []


def unexpected_errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the server logged as an error of its own.

    Only that it writes to a connection which is closed already is not: of pipelined requests,
    uvicorn tells none but the last that the connection is gone.
    """
    return [
        caplog.handler.format(record)
        for record in caplog.records
        if record.levelno >= logging.ERROR
        and not (record.exc_info and "the handler is closed" in str(record.exc_info[1]))
    ]


def assert_unshaken(server: RunningServer, database: str, *, mutations: int, number: int) -> None:
    """Send the corpus, and so many mutations of it that follow from the number."""
    witness, sender = server.register("Witness"), server.register("Sender")
    with witness.http, sender.http:
        tasks = [witness.create(title) for title in ("one", "two")][::-1]
        names = names_of(sender, witness)
        seeds = [fill(request, names) for request in corpus()]
        payloads = [*seeds, *(mutated(seeds, names, number, n) for n in range(mutations))]
        judge = Judge(server)
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = [found for found in pool.map(judge.found_wrong, payloads) if found]
        note("cases", f"raw bytes, {database}", tried=len(payloads), failed=len(wrong))
        assert wrong == []
        # Most were answered, and many of those by the application.
        assert judge.statuses.total() > len(payloads) / 2
        assert judge.statuses[200] > len(payloads) / 50
        assert witness.list() == tasks
        assert witness.http.get("/readyz").status_code == 200


class Judge:
    """Sends bytes to a server, and says what is wrong with what comes back."""

    def __init__(self, server: RunningServer) -> None:
        parts = urlsplit(server.url)
        self._address = (parts.hostname or "", parts.port or 0)
        with server.client() as http:
            document = http.get("/openapi.json").json()
        self._documented = {
            int(status)
            for path in document["paths"].values()
            for operation in path.values()
            for status in operation["responses"]
        }
        # Of files that did not change; of what is no operation; of a head that is too large.
        self._documented |= {100, 304, 405, 431}
        self.statuses = Counter[int]()

    def found_wrong(self, payload: bytes) -> str | None:
        """What is wrong with the answers to these bytes; None if nothing is."""
        try:
            for answer in exchanged(self._address, payload):
                self.statuses[answer.status] += 1
                self._judge(answer, bodiless=b"HEAD" in payload)
        except (AssertionError, ValueError, TimeoutError, LookupError) as wrong:
            return f"{wrong!r} after {payload[:3_000]!r}"
        return None

    def _judge(self, answer: Answer, *, bodiless: bool) -> None:
        assert answer.status in self._documented, answer
        if answer.status < 400 or (bodiless and not answer.body):
            return
        if json.loads(answer.body)["code"] in BEFORE_THE_APPLICATION:
            answer.headers.setdefault("x-request-id", "")
        response = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
        members = set(problem(response))
        assert members == MEMBERS | ({"errors"} if answer.status == 422 else set()), answer


def exchanged(address: tuple[str, int], payload: bytes) -> list[Answer]:
    """Send these bytes, and return what was answered to them.

    Raises:
        TimeoutError: if the connection stays open although the client is done.
    """
    with socket.create_connection(address, timeout=PATIENCE_SECONDS) as connection:
        received = bytearray()
        try:
            connection.sendall(payload)
            received += _received(connection)
            connection.shutdown(socket.SHUT_WR)
            received += _rest(connection)
        except (ConnectionResetError, BrokenPipeError):
            pass  # it was closed with something still on its way, which is an answer too
    return list(parsed(bytes(received)))


def _received(connection: socket.socket) -> bytes:
    """What comes by itself: to bytes that are no whole request, nothing does."""
    received = bytearray()
    connection.settimeout(FIRST_BYTE_SECONDS)
    try:
        while part := connection.recv(65_536):
            received += part
            connection.settimeout(NEXT_BYTE_SECONDS)
    except TimeoutError:
        pass
    return bytes(received)


def _rest(connection: socket.socket) -> bytes:
    """What still comes until the other side closes the connection."""
    rest = bytearray()
    deadline = monotonic() + PATIENCE_SECONDS
    while (remaining := deadline - monotonic()) > 0:
        connection.settimeout(remaining)
        if not (part := connection.recv(65_536)):
            return bytes(rest)
        rest += part
    raise TimeoutError("the connection was left open")


def parsed(received: bytes) -> Iterator[Answer]:
    """The answers of which this consists."""
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator, f"half an answer: {head!r}"
        status_line, *lines = head.split(b"\r\n")
        version, status, *_ = status_line.split(b" ")
        assert version == b"HTTP/1.1", status_line
        fields = [line.split(b": ", 1) for line in lines]
        headers = httpx.Headers([(name, value) for name, value in fields])
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            body, _, received = received.partition(b"\r\n0\r\n\r\n")
        elif not received.startswith(b"HTTP/1.1 "):  # to HEAD the length is told, and no body sent
            length = int(headers.get("content-length", 0))
            assert len(received) >= length or not received, "half an answer"
            body, received = received[:length], received[length:]
        yield Answer(int(status), headers, body)
