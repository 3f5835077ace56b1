"""The service against bytes that no client library would send.

A corpus of valid, hostile and malformed requests is sent over a plain socket, and then again with
mutations that a seed determines. No response is a server error, every error is a problem document,
no connection is left open, and the data of another user does not change.
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
from tests.support.raw_requests import corpus, fill, mutation, placeholders_of
from tests.support.servers import RunningServer

TIMEOUT_SECONDS = 5
"""The time within which every connection is answered, or closed after the client has finished."""

FIRST_BYTE_SECONDS = 0.3
"""How long to wait for a response before the server is assumed to wait for more bytes."""

NEXT_BYTE_SECONDS = 0.03
THREADS = 16

BEFORE_THE_APPLICATION = {"malformed_request", "headers_too_large"}
"""Codes of refusals below the application, which have no request id."""

MEMBERS = {"type", "title", "status", "detail", "message", "code", "request_id"}


@dataclass(frozen=True)
class RawResponse:
    """A response, as parsed from the received bytes."""

    status: int
    headers: httpx.Headers
    body: bytes


def test_malformed_bytes_do_not_disturb_the_service(
    sqlite_server: RunningServer,
    postgresql_server: RunningServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert_not_disturbed(sqlite_server, "SQLite", mutations=150, number=1)
    assert_not_disturbed(postgresql_server, "PostgreSQL", mutations=150, number=1)
    assert unexpected_errors(caplog) == []


@pytest.mark.proof
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_very_many_malformed_bytes_do_not_disturb_the_service(
    database: str, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    server: RunningServer = request.getfixturevalue(f"{database.lower()}_server")
    assert_not_disturbed(server, database, mutations=20_000, number=2)
    assert unexpected_errors(caplog) == []


def unexpected_errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the errors that the server logged.

    Writing to a closed connection is not counted: of pipelined requests, uvicorn informs only the
    last that the connection is closed.
    """
    return [
        caplog.handler.format(record)
        for record in caplog.records
        if record.levelno >= logging.ERROR
        and not (record.exc_info and "the handler is closed" in str(record.exc_info[1]))
    ]


def assert_not_disturbed(
    server: RunningServer, database: str, *, mutations: int, number: int
) -> None:
    """Send the corpus and this many mutations of it, which the number determines."""
    witness, sender = server.register("Witness"), server.register("Sender")
    with witness.http, sender.http:
        tasks = [witness.create(title) for title in ("one", "two")][::-1]
        names = placeholders_of(sender, witness)
        seeds = [fill(request, names) for request in corpus()]
        payloads = [*seeds, *(mutation(seeds, names, number, n) for n in range(mutations))]
        judge = Judge(server)
        with ThreadPoolExecutor(THREADS) as pool:
            wrong = [found for found in pool.map(judge.fault_of, payloads) if found]
        note("cases", f"raw bytes, {database}", tried=len(payloads), failed=len(wrong))
        assert wrong == []
        # Most got a response, and many of those from the application.
        assert judge.statuses.total() > len(payloads) / 2
        assert judge.statuses[200] > len(payloads) / 50
        assert witness.list() == tasks
        assert witness.http.get("/readyz").status_code == 200


class Judge:
    """Sends bytes to a server, and checks its responses."""

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
        # Also 304 for unchanged files, 405 for unknown methods, and 431 for too large heads.
        self._documented |= {100, 304, 405, 431}
        self.statuses = Counter[int]()

    def fault_of(self, payload: bytes) -> str | None:
        """Return the fault in the responses to these bytes, or None."""
        try:
            for answer in responses_to(self._address, payload):
                self.statuses[answer.status] += 1
                self._check(answer, bodiless=b"HEAD" in payload)
        except (AssertionError, ValueError, TimeoutError, LookupError) as wrong:
            return f"{wrong!r} after {payload[:3_000]!r}"
        return None

    def _check(self, answer: RawResponse, *, bodiless: bool) -> None:
        assert answer.status in self._documented, answer
        if answer.status < 400 or (bodiless and not answer.body):
            return
        if json.loads(answer.body)["code"] in BEFORE_THE_APPLICATION:
            answer.headers.setdefault("x-request-id", "")
        response = httpx.Response(answer.status, headers=answer.headers, content=answer.body)
        members = set(problem(response))
        assert members == MEMBERS | ({"errors"} if answer.status == 422 else set()), answer


def responses_to(address: tuple[str, int], payload: bytes) -> list[RawResponse]:
    """Send these bytes, and return the responses.

    Raises:
        TimeoutError: if the connection stays open although the client has finished.
    """
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection:
        received = bytearray()
        try:
            connection.sendall(payload)
            received += _receive_available(connection)
            connection.shutdown(socket.SHUT_WR)
            received += _receive_until_closed(connection)
        except (ConnectionResetError, BrokenPipeError):
            pass  # the server closed the connection while bytes were on their way, which is allowed
    return list(parsed(bytes(received)))


def _receive_available(connection: socket.socket) -> bytes:
    """Return what the server sends before the client closes its side."""
    received = bytearray()
    connection.settimeout(FIRST_BYTE_SECONDS)
    try:
        while part := connection.recv(65_536):
            received += part
            connection.settimeout(NEXT_BYTE_SECONDS)
    except TimeoutError:
        pass
    return bytes(received)


def _receive_until_closed(connection: socket.socket) -> bytes:
    """Return what the server sends until it closes the connection."""
    rest = bytearray()
    deadline = monotonic() + TIMEOUT_SECONDS
    while (remaining := deadline - monotonic()) > 0:
        connection.settimeout(remaining)
        if not (part := connection.recv(65_536)):
            return bytes(rest)
        rest += part
    raise TimeoutError("the connection was left open")


def parsed(received: bytes) -> Iterator[RawResponse]:
    """Parse the received bytes into responses."""
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator, f"half a response: {head!r}"
        status_line, *lines = head.split(b"\r\n")
        version, status, *_ = status_line.split(b" ")
        assert version == b"HTTP/1.1", status_line
        fields = [line.split(b": ", 1) for line in lines]
        headers = httpx.Headers([(name, value) for name, value in fields])
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            body, _, received = received.partition(b"\r\n0\r\n\r\n")
        elif not received.startswith(b"HTTP/1.1 "):  # a response to HEAD has a length and no body
            length = int(headers.get("content-length", 0))
            assert len(received) >= length or not received, "half a response"
            body, received = received[:length], received[length:]
        yield RawResponse(int(status), headers, body)
