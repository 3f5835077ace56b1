"""HTTP on a connection, for clients that take their time."""

import asyncio
import json
from http import HTTPStatus
from secrets import token_hex
from typing import override

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from todo_api.errors import MEDIA_TYPE
from todo_api.middleware import ALWAYS_SENT

_log = structlog.get_logger()


class PunctualHttpProtocol(HttpToolsProtocol):
    """uvicorn's own, with an end to how long a request may take to arrive, and how large its head.

    A request has `seconds_to_arrive`, from the first byte of its head (or from when the
    connection was made) to the last of its body. Otherwise anybody could hold
    connections for ever by sending a byte now and then (OWASP ASVS 5.0, 15.2.2).
    """

    seconds_to_arrive = 10.0
    max_head_size = 64 * 1024  # bytes

    _is_arriving = False
    _is_in_head = True
    _head_size = 0
    _deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._set_deadline()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._drop_deadline()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self._is_arriving:
            if self._is_in_head and self._head_size > self.max_head_size:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large")
            elif self._deadline is None:
                self._set_deadline()

    @override
    def on_message_begin(self) -> None:
        self._is_arriving = True
        super().on_message_begin()

    @override
    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_size = 0
        super().on_headers_complete()

    @override
    def on_message_complete(self) -> None:
        self._is_arriving = False
        self._is_in_head = True
        self._drop_deadline()
        super().on_message_complete()

    @override
    def send_400_response(self, msg: str) -> None:
        self._refuse(HTTPStatus.BAD_REQUEST, "malformed_request")

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.seconds_to_arrive, self._too_late)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        if self._is_arriving:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "request_timeout")
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: HTTPStatus, code: str) -> None:
        """Answer before there is a request that the application could answer, and hang up."""
        self._is_arriving = False
        self._drop_deadline()
        if self.transport.is_closing():
            return
        if self._is_to_be_answered():
            request_id = token_hex(16)
            address = self.client[0] if self.client else None
            _log.warning(
                "request.refused", status=status.value, request_id=request_id, address=address
            )
            self.transport.write(_answer(status, code, request_id))
        self.transport.close()

    def _is_to_be_answered(self) -> bool:
        """Whether the client waits for an answer to this, and to nothing before it."""
        cycle = self.cycle
        return (
            cycle is None  # type: ignore[redundant-expr]  # as it is at first
            or cycle.response_complete
            or (cycle.more_body and not cycle.response_started and not self.pipeline)
        )


_DETAILS = {
    HTTPStatus.BAD_REQUEST: "This is not HTTP as it should be.",
    HTTPStatus.REQUEST_TIMEOUT: "The request took too long to arrive.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers are too large.",
}


def _answer(status: HTTPStatus, code: str, request_id: str) -> bytes:
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": _DETAILS[status],
        "code": code,
        "request_id": request_id,
    }
    body = json.dumps(problem, separators=(",", ":"))
    headers = (
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
        *ALWAYS_SENT,
    )
    lines = [b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body.encode()
