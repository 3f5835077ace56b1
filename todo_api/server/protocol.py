"""HTTP/1.1 on one connection, with strict framing and limits of time and size.

uvicorn's protocol trusts its parser and its client in ways that a service on the open
Internet must not. `StrictHttpProtocol` closes those gaps:

- **One request, one response.** The parser stops at a request that offers to upgrade, and
  would read the body as the next request; here the body stays a body. Trailer fields never
  become headers. A message whose length two parsers could read differently is refused.
- **Bounded time.** A request must arrive, an idle connection must be used, and a response
  must be read, each within a deadline.
- **Bounded memory.** The bytes of one request, the requests that wait on one connection,
  and the response bytes that a client has not read are limited.
"""

import asyncio
import socket
import struct
from secrets import token_hex
from typing import Any, override

import httptools
import structlog
from uvicorn._types import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from todo_api.http.problems import ProblemKind
from todo_api.runtime.request_context import (
    BEGIN_STREAM,
    COUNT_REFUSED,
    END_STREAMS,
    STREAMED_BYTES,
)
from todo_api.server.refusals import (
    BODY_TOO_LARGE,
    HEADERS_TOO_LARGE,
    MALFORMED_REQUEST,
    REQUEST_TIMEOUT,
    refusal,
)

_FEED_SIZE = 4 * 1024
"""How many bytes the parser gets at a time: no more requests than fit in them are queued."""

_WRITE_BUFFER = 32 * 1024
"""How many response bytes may wait for the client before the application has to wait too."""

_STREAM_SEND_BUFFER = 4 * 1024
"""How many bytes of a stream the kernel may keep for a client, so that one that does not read is
noticed soon. A stream sends a few bytes at a time."""
_WITHOUT_BODY = (204, 304)
"""The statuses of responses that have no body, and therefore no length."""

_DISCARD = struct.pack("ii", 1, 0)
"""`struct linger` (socket(7)): discard what was not sent, and reset the connection."""

_log = structlog.get_logger()


class StrictHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol on httptools, strict about framing, and bounded in time and memory.

    Times are in seconds, sizes in bytes. A request that breaks a limit is refused with a
    problem document, after the responses to the requests before it, and the connection is
    closed: what follows cannot be distinguished from the rest of the refused message.
    """

    request_timeout = 10.0
    """From a request's first byte (or from connecting) to its last."""

    response_timeout = 20.0
    """For the client to read what is in the write buffer, 96 KiB at most."""

    shutdown_timeout = 3.0
    """The same while the service is shutting down."""

    min_response_rate = 64 * 1024
    """Bytes per second. A large response gets, in addition, the time that it takes at this rate.

    Only the time in which the client has something to read counts."""

    max_head_size = 64 * 1024
    max_body_overhead = 16
    """How many bytes a body may take on the wire, chunks and trailers included, for each byte
    that it may have. Chunks of one byte take six."""

    def __init__(self, *args: Any, max_body_size: int, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*args, **kwargs)
        self._max_body_size_on_wire = max_body_size * self.max_body_overhead
        # The message that is being read
        self._is_arriving = False
        self._is_in_head = True
        self._size = 0
        self._size_beside_body = 0
        self._hosts = 0
        self._codings: list[bytes] = []
        self._deadline: asyncio.TimerHandle | None = None
        # The requests before it, and the data after it
        self._running: RequestResponseCycle | None = None
        self._unread = b""
        # Response bytes that the client has not read
        self._write_deadline: asyncio.TimerHandle | None = None
        self._waiting_since = 0.0
        self._time_for_response: float | None = None
        self._is_stream = False
        # The refusal of a request
        self._is_refused = False
        self._refusal: bytes | None = None

    # The connection

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=_WRITE_BUFFER, low=0)
        self.flow = self._reading = _HoldableFlow(transport)
        self._set_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_deadline()
        self._drop_write_deadline()
        self._unset_keepalive_if_required()
        self._unread = b""
        for cycle, _ in self.pipeline:
            cycle.disconnected = True
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            _disconnect(self._running)
        super().connection_lost(exc)

    @override
    def eof_received(self) -> None:
        # The transport closes as soon as the client has read the rest.
        self._limit_writing()

    @override
    def shutdown(self) -> None:
        self.response_timeout = self.shutdown_timeout
        self._drop_write_deadline()
        super().shutdown()
        if (end_streams := self.app_state.get(END_STREAMS)) is not None:
            end_streams()
        self._limit_writing()

    @override
    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._limit_writing()

    # Reading

    @override
    def data_received(self, data: bytes) -> None:
        # Unlike uvicorn's method, this leaves the idle timer alone: only a request stops it.
        if self._is_refused:
            return
        if self._unread:
            self._unread += data
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        """Parse the data up to the first request that has to wait for the one before it."""
        for start in range(0, len(data), _FEED_SIZE):
            if self.pipeline:
                self._unread = data[start:]
                self._reading.hold()
                self._drop_deadline()
                return
            self._feed(data[start : start + _FEED_SIZE])
            if self._is_refused or self.transport.is_closing():
                return
        self._limit_arrival()

    def _feed(self, data: bytes) -> None:
        self._size += len(data)
        self._size_beside_body += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(MALFORMED_REQUEST)
        else:
            self._limit_size()

    def _read_without_upgrade(self, rest: bytes) -> None:
        """Read the request again as if it did not offer another protocol (RFC 9110 §7.8).

        The parser assumes that the offer is accepted, and that the other protocol follows the
        head. A new parser gets the same head without the field `Upgrade`, and then the
        body. There is no way to do this for CONNECT, which this service does not serve.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(MALFORMED_REQUEST)
            return
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (method, self.url, version)]
        lines += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._feed(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    def _limit_size(self) -> None:
        if not self._is_arriving:
            return
        if self._is_in_head:
            if self._size > self.max_head_size:
                self._refuse(HEADERS_TOO_LARGE)
        elif (
            self._size > self.max_head_size + self._max_body_size_on_wire
            or self._size_beside_body > self.max_head_size
        ):
            self._refuse(BODY_TOO_LARGE)

    # The parser's callbacks

    @override
    def on_message_begin(self) -> None:
        self._unset_keepalive_if_required()
        self._drop_deadline()
        self._is_arriving = True
        self._is_in_head = True
        self._size = 0
        self._hosts = 0
        self._codings = []
        super().on_message_begin()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # a trailer field: it must not be taken for a header (RFC 9110 §6.5.1)
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"transfer-encoding":
            self._codings.append(value.lower())
        elif name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    @override
    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # see `_read_without_upgrade`
        self._check_framing()
        super().on_headers_complete()
        self._is_in_head = False
        self._size_beside_body = 0

    def _check_framing(self) -> None:
        """Refuse a request that a proxy's parser could read differently.

        Raises:
            httptools.HttpParserError: if the request names no host or several (RFC 9112 §3.2),
                or has any transfer coding but a single `chunked` (§6.1), or one in HTTP/1.0,
                or is of another version of HTTP.
        """
        version = self.parser.get_http_version()
        is_1_0 = version == "1.0"
        if not is_1_0 and version != "1.1":
            raise httptools.HttpParserError("another version of HTTP")
        if self._hosts > 1 or (self._hosts == 0 and not is_1_0):
            raise httptools.HttpParserError("one Host field is needed")
        if self._codings and (is_1_0 or self._codings != [b"chunked"]):
            raise httptools.HttpParserError("unknown transfer coding")

    @override
    def on_body(self, body: bytes) -> None:
        self._size_beside_body = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._is_arriving = False
        self._is_in_head = True
        self._drop_deadline()
        super().on_message_complete()
        cycle = self.cycle
        if not self.parser.should_keep_alive():
            # A trailer field ended the connection, and the parser discards all that follows.
            cycle.keep_alive = False
        if cycle.response_complete and not self.transport.is_closing():
            self._continue_after(cycle)

    def _continue_after(self, cycle: RequestResponseCycle) -> None:
        """Wait for the next request after one that was answered before it had arrived."""
        if cycle.keep_alive:
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        else:
            self.transport.close()
            self._limit_writing()

    # Responding

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        self._time_for_response = None
        cycle.scope[BEGIN_STREAM] = self._begin_stream  # type: ignore[literal-required]  # ours
        if cycle.scope["http_version"] == "1.0":
            app = self._without_chunks(cycle, app)
        super()._start_asgi_task(cycle, app)

    def _begin_stream(self) -> None:
        """Prepare for a response that sends a few bytes now and then, until the client leaves.

        Each of its parts has its own deadline, which begins as soon as the client does not read.
        The connection closes after it.
        """
        self._is_stream = True
        self.cycle.keep_alive = False
        self.transport.set_write_buffer_limits(high=0)
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_SEND_BUFFER
        )

    def _without_chunks(
        self, cycle: RequestResponseCycle, app: ASGI3Application
    ) -> ASGI3Application:
        """Return the application for a client of HTTP/1.0, which does not know chunks.

        A response of unknown length ends with the connection (RFC 9112 §6.3). One that breaks off
        must not look complete, so its connection is reset.
        """

        async def respond(
            scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
        ) -> None:
            ends_with_connection = False

            async def send_unchunked(message: ASGISendEvent) -> None:
                nonlocal ends_with_connection
                if message["type"] == "http.response.start":
                    has_length = any(name == b"content-length" for name, _ in message["headers"])
                    if not has_length and message["status"] not in _WITHOUT_BODY:
                        ends_with_connection = True
                        cycle.chunked_encoding = False
                elif message["type"] == "http.response.body" and ends_with_connection:
                    cycle.expected_content_length = len(message["body"])
                await send(message)

            try:
                await app(scope, receive, send_unchunked)
            except BaseException:
                if cycle.response_started:
                    self._reset()
                raise

        return respond

    @override
    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        if self.expect_100_continue and self._running is self.cycle and self.cycle.more_body:
            # The client may still send the body or not, so what follows would be ambiguous.
            self.transport.close()
        super().on_response_complete()
        if self._is_arriving:
            self._unset_keepalive_if_required()
            self._limit_arrival()
        if self.transport.is_closing():
            self._limit_writing()
        elif self._refusal is not None:
            if is_last:
                self._close_with(self._refusal)
        elif self._unread and not self.pipeline:
            unread, self._unread = self._unread, b""
            self._reading.release()
            self._read(unread)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._limit_writing()

    @override
    def resume_writing(self) -> None:
        self._drop_write_deadline()
        super().resume_writing()

    # Deadlines

    def _limit_arrival(self) -> None:
        """Set the deadline for the rest of a request, while it is read."""
        if self._is_arriving and self._deadline is None and not self.pipeline:
            self._set_deadline()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.request_timeout, self._on_deadline)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self._is_arriving:
            self._refuse(REQUEST_TIMEOUT)
        else:
            self.transport.close()
            self._limit_writing()

    def _limit_writing(self) -> None:
        """Set the deadline for the client to read the write buffer, unless it is empty."""
        size = self.transport.get_write_buffer_size()
        if self._write_deadline is not None or not size:
            return
        now = self.loop.time()
        running = self._running
        if self._time_for_response is None or self._is_stream:
            size += running.expected_content_length if running is not None else 0
            self._time_for_response = self.response_timeout + size / self.min_response_rate
        remaining = self._time_for_response
        if running is not None:
            streamed: Any = running.scope.get(STREAMED_BYTES, 0)
            remaining += streamed / self.min_response_rate
        self._waiting_since = now
        self._write_deadline = self.loop.call_at(
            now + min(self.response_timeout, remaining), self._on_write_deadline
        )

    def _drop_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
            if self._time_for_response is not None:
                self._time_for_response -= self.loop.time() - self._waiting_since

    def _on_write_deadline(self) -> None:
        self._write_deadline = None
        if self.transport.get_write_buffer_size():
            _log.warning("response.not_read", address=self._address())
            self._reset()

    def _reset(self) -> None:
        """Cut the connection, and discard what the client has not read.

        Otherwise the kernel would keep its megabytes until the client reads them.
        """
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD
        )
        self.transport.abort()

    # Refusing

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(MALFORMED_REQUEST)

    def _refuse(self, kind: ProblemKind) -> None:
        """Send a problem document after the pending responses, and close the connection.

        If the application has not begun to answer the refused request, this replaces its
        response. Otherwise, or if no further response is expected, the connection only closes.
        """
        self._is_refused = True
        self._is_arriving = False
        self._drop_deadline()
        self._unread = b""
        if self.transport.is_closing():
            self._limit_writing()
            return
        self._reading.hold()
        cycle = self.cycle
        if cycle is not None and not self._is_in_head:  # type: ignore[redundant-expr]  # None at first
            if cycle.response_complete:
                self.transport.close()
                self._limit_writing()
                return
            if cycle.response_started:
                cycle.keep_alive = False
                return
            if self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()
            else:
                self._running = None
            _disconnect(cycle)
        elif cycle is not None and not cycle.keep_alive and not cycle.response_complete:  # type: ignore[redundant-expr]  # as above
            return
        request_id = token_hex(16)
        _log.warning(
            "request.refused",
            status=kind.status.value,
            request_id=request_id,
            address=self._address(),
        )
        if (count_refused := self.app_state.get(COUNT_REFUSED)) is not None:
            count_refused(kind.code)
        response = refusal(kind, request_id)
        if self._running is None or self._running.response_complete:
            self._close_with(response)
        else:
            self._refusal = response

    def _close_with(self, response: bytes) -> None:
        self.transport.write(response)
        self.transport.close()
        self._limit_writing()

    def _address(self) -> str | None:
        return self.client[0] if self.client else None


class _HoldableFlow(FlowControl):
    """Flow control that can keep reading paused, whatever a request on the connection asks for."""

    _is_held = False

    def hold(self) -> None:
        """Pause reading until `release`."""
        self._is_held = True
        self.pause_reading()

    def release(self) -> None:
        """Read again."""
        self._is_held = False
        self.resume_reading()

    @override
    def resume_reading(self) -> None:
        if not self._is_held:
            super().resume_reading()


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Signal to the application that its client has disconnected."""
    cycle.disconnected = True
    cycle.message_event.set()
