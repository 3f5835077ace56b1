"""Connections to the protocol in memory, with control over the pieces in which bytes arrive.

The application records the requests that it receives, and its responses name them,
so that a test sees which request each response belongs to.
"""

import asyncio
import re
import socket
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from todo_api.server.protocol import StrictHttpProtocol

MAX_BODY_SIZE = 1024
EARLY = b"/early"
"""Requests to targets that begin like this are answered before their body is read."""

HALF = b"/half"
"""Requests to these targets are answered when the first part of their body was read."""

SLOW = b"/slow"
"""Requests to these targets are answered a while after their body was read."""

_STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) ")
_ROUNDS = 40
"""How many iterations the event loop needs to run everything that is ready."""


@dataclass(frozen=True)
class Seen:
    """A request as the application or a parser read it. The body is None if it was not read."""

    method: bytes
    target: bytes
    body: bytes | None
    headers: tuple[tuple[bytes, bytes], ...] = field(default=(), compare=False)

    def name(self) -> bytes:
        """Return a short text that identifies the request."""
        body = b"-" if self.body is None else b"%d.%x" % (len(self.body), zlib.crc32(self.body))
        return b"%b %b %b" % (self.method, self.target.hex().encode(), body)


@dataclass(frozen=True)
class Exchange:
    """The result of one connection."""

    requests: Sequence[Seen]
    """The requests of the application, in the order in which it finished reading them."""

    names: Sequence[bytes]
    """The names of the requests with a response, in the order of the responses."""

    refusals: Sequence[int]
    """The statuses of responses that the protocol sent without the application."""

    is_closed: bool

    has_deadline: bool
    """Whether an open connection will be closed if nothing more is sent."""


class MemoryTransport(asyncio.Transport):
    """A transport that keeps what is written. The client reads it at once, or never."""

    def __init__(self, *, is_read: bool = True) -> None:
        super().__init__()
        self.is_aborted = False
        self._is_read = is_read
        self._socket = socket.socket()
        self.written = bytearray()
        self.is_reading_paused = False
        self._is_closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # the signature of asyncio
        if name == "socket":
            return self._socket
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self.written += data

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True
        self._socket.close()

    def abort(self) -> None:
        self.is_aborted = True
        self.close()

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0 if self._is_read or self.is_aborted else len(self.written)


class Connections:
    """Opens connections to the same application, one after the other."""

    pause = 0.0
    """How many seconds a slow response takes, in addition to a few iterations of the event loop."""

    def __init__(self, *, keep_alive: float = 5) -> None:
        self._requests: list[Seen] = []
        self._config = uvicorn.Config(
            self._application,
            interface="asgi3",
            proxy_headers=False,
            log_config=None,
            ws="none",
            timeout_keep_alive=keep_alive,  # type: ignore[arg-type]  # any number of seconds
        )
        self._config.load()

    def connect(self, *, is_read: bool = True) -> tuple[MemoryTransport, StrictHttpProtocol]:
        """Open a connection whose client reads all responses or nothing."""
        transport = MemoryTransport(is_read=is_read)
        protocol = StrictHttpProtocol(self._config, ServerState(), {}, max_body_size=MAX_BODY_SIZE)
        protocol.connection_made(transport)
        return transport, protocol

    async def exchange(self, pieces: Iterable[bytes], *, rounds: int = _ROUNDS) -> Exchange:
        """Send the pieces, each as one read, and return the result."""
        self._requests = []
        transport, protocol = self.connect()
        for piece in pieces:
            await _until(lambda: not transport.is_reading_paused or transport.is_closing())
            if transport.is_closing() or transport.is_reading_paused:
                break
            protocol.data_received(piece)
            await asyncio.sleep(0)
        await asyncio.sleep(2 * self.pause)
        await _until(lambda: not protocol.tasks)
        for _ in range(rounds):
            await asyncio.sleep(0)
        await _until(lambda: not protocol.tasks)
        is_closed = transport.is_closing()
        deadlines = (protocol._deadline, protocol.timeout_keep_alive_task, protocol._write_deadline)
        has_deadline = any(each is not None for each in deadlines)
        protocol.connection_lost(None)
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        transport.close()
        names, refusals = _responses(bytes(transport.written))
        return Exchange(self._requests, names, refusals, is_closed, has_deadline)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        body: bytes | None = None
        if not target.startswith(EARLY):
            body = b""
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
                if target.startswith(HALF):
                    body = None
                    break
        if target.startswith(SLOW):
            if self.pause:
                await asyncio.sleep(self.pause)
            for _ in range(_ROUNDS // 2):
                await asyncio.sleep(0)
        seen = Seen(scope["method"].encode(), target, body, tuple(scope["headers"]))
        self._requests.append(seen)
        headers = [(b"content-length", b"0"), (b"x-name", seen.name())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until(condition: Callable[[], bool]) -> None:
    for _ in range(20_000):
        if condition():
            return
        await asyncio.sleep(0)


def _responses(written: bytes) -> tuple[list[bytes], list[int]]:
    names: list[bytes] = []
    refusals: list[int] = []
    while written:
        head, separator, written = written.partition(b"\r\n\r\n")
        assert separator, f"half a response: {head!r}"
        status_line, *lines = head.split(b"\r\n")
        match = _STATUS_LINE.match(status_line)
        assert match, status_line
        fields = dict(line.split(b": ", 1) for line in lines)
        length = int(fields.get(b"content-length", b"0"))
        assert len(written) >= length
        written = written[length:]
        status = int(match[1])
        if b"x-name" in fields:
            assert not refusals, "a response after a refusal"
            names.append(fields[b"x-name"])
        elif status != 100:
            refusals.append(status)
    return names, refusals
