"""What happens to every request and response, as plain ASGI middleware.

From the outside in: `RequestLog`, `BrowserOnlyCors`, `UnhandledErrors`, `SizeLimits`. Each wraps
no more than it must: a layer costs every request some microseconds.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from random import Random
from time import perf_counter
from typing import TYPE_CHECKING, override

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.http.front_end import is_public
from todo_api.http.problems import CORS_REFUSED, HTTP_PROBLEMS, UNEXPECTED, problem_response
from todo_api.runtime.drain import Drain
from todo_api.runtime.logging import loggable
from todo_api.runtime.request_context import USER_ID, WAITS, client_address, current_request_id
from todo_api.server.headers import (
    SECURITY_HEADERS,
    STRICT_TRANSPORT_SECURITY,
    RawHeader,
    request_id_header,
)

if TYPE_CHECKING:
    from todo_api.runtime.metrics import Metrics

_SECURITY_NAMES = frozenset(name for name, _ in SECURITY_HEADERS)
_CLOSE = (b"connection", b"close")
_MAX_QUERY_SIZE = 8 * 1024
_MAX_PARAMETERS = 100
_MAX_LENGTH_DIGITS = 19
_ACCEPTABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_request_ids = Random()  # noqa: S311 - they identify requests, and protect nothing
"""Seeded by the operating system once. Drawing each id from it, as `secrets` does, would be a
system call that lets another thread run in the middle of a request."""
os.register_at_fork(after_in_child=_request_ids.seed)

_log = structlog.get_logger()


class RequestLog:
    """Gives every request an id, adds the headers of every response, and logs one line.

    It accepts an id that the client or a proxy sends as `X-Request-ID`, and always returns the id
    in the response. It logs neither the query nor headers nor bodies. The status is 0 if the client
    was gone before there was a response.

    A response that sets one of the security headers itself keeps its own.
    Strict-Transport-Security is sent where the request came over TLS, here or at a trusted proxy.

    While the process is leaving, a response closes its connection, so that the client opens the
    next one to another process.

    If there are metrics, it counts the request in them. The duration that they observe ends with
    the start of the response: how long the client takes to read it says nothing about this service.
    """

    def __init__(self, app: ASGIApp, drain: Drain, metrics: "Metrics | None" = None) -> None:
        self._app = app
        self._drain = drain
        self._metrics = metrics
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = 0
        seconds: float | None = None
        request_id = _request_id(scope["headers"])
        if (metrics := self._metrics) is not None:
            metrics.requests_in_flight += 1

        async def send_with_headers(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status = int(message["status"])
                if metrics is not None:
                    seconds = perf_counter() - started
                headers = message["headers"]
                present = {name for name, _ in headers}
                if present.isdisjoint(_SECURITY_NAMES):  # as almost always
                    headers.extend(SECURITY_HEADERS)
                else:
                    headers.extend(each for each in SECURITY_HEADERS if each[0] not in present)
                headers.append(request_id_header(request_id))
                if scope["scheme"] == "https":
                    headers.append(STRICT_TRANSPORT_SECURITY)
                if self._drain.is_leaving:
                    headers.append(_CLOSE)
            await send(message)

        client_address.set(scope["client"][0] if scope.get("client") else None)
        token = current_request_id.set(request_id)
        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._log.info(
                "request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=status,
                duration_ms=round((perf_counter() - started) * 1000, 2),
                user_id=scope.get(USER_ID),
            )
            current_request_id.reset(token)
            if metrics is not None:
                metrics.requests_in_flight -= 1
                metrics.count_request(
                    scope["method"],
                    getattr(scope.get("route"), "path", None),
                    status,
                    None if WAITS in scope else seconds,
                )


def _request_id(headers: Sequence[RawHeader]) -> str:
    sent = _header(headers, b"x-request-id")
    if sent is not None and _ACCEPTABLE_REQUEST_ID.fullmatch(sent):
        return sent.decode()
    return f"{_request_ids.getrandbits(128):032x}"


def _header(headers: Sequence[RawHeader], wanted: bytes) -> bytes | None:
    for name, value in headers:
        if name == wanted:
            return value
    return None


class BrowserOnlyCors(CORSMiddleware):
    """Starlette's CORS middleware for requests that have an `Origin`. Others bypass it.

    Their responses lack `Vary: Origin`, which is for caches, and no cache may store them. A
    refused preflight gets a problem document. Each request from an origin that is not allowed is
    logged with the setting that would allow it, because browsers do not tell the page or the
    service why they block a response.

    What every origin may read (`front_end.is_public`) says so itself.
    """

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or (origin := _header(scope["headers"], b"origin")) is None
            or is_public(scope)
        ):
            await self.app(scope, receive, send)
            return
        if not self.is_allowed_origin(origin.decode("latin-1")):
            # Browsers send an origin to its own host too, and need no permission for it. Behind
            # a proxy that changes `Host` they alone know (Fetch Metadata).
            is_same_origin = (
                origin.partition(b"://")[2] == _header(scope["headers"], b"host")
                or _header(scope["headers"], b"sec-fetch-site") == b"same-origin"
            )
            if not is_same_origin:
                _log.warning(
                    "cors.refused",
                    origin=loggable(origin.decode("latin-1")),
                    setting="TODO_CORS_ORIGINS",
                )
        await super().__call__(scope, receive, send)

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        headers = {
            name: value
            for name, value in response.headers.items()
            if not name.startswith("content-")  # of the text that the document replaces
        }
        return problem_response(replace(CORS_REFUSED, headers=headers))


class UnhandledErrors:
    """Logs an exception that nothing else handled, and responds with 500 without its message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_started = False

        async def watching_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, watching_send)
        except ClientDisconnect:
            return  # there is no client to respond to
        except Exception:  # the last line of defence
            _log.exception("request.failed")
            if has_started:
                raise
            await problem_response(UNEXPECTED)(scope, receive, send)


class SizeLimits:
    """Refuses a query that is too long with 414, and a body that is too large with 413.

    To parse a query that fills the head of a request occupies the event loop for 80 ms, before it
    is known who asks. So the limits are 8 KiB and a hundred parameters.

    A body with a `Content-Length` is refused before it is read (the parser holds the client to
    that length), and any other as soon as it exceeds the limit. FastAPI's own `max_body_size`
    would answer the former in plain text, and outside of `RequestLog`.
    """

    def __init__(self, app: ASGIApp, max_body_size: int) -> None:
        self._app = app
        self._max_body_size = max_body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = scope["query_string"]
        if len(query) > _MAX_QUERY_SIZE or query.count(b"&") >= _MAX_PARAMETERS:
            refusal = problem_response(HTTP_PROBLEMS[HTTPStatus.URI_TOO_LONG])
            await refusal(scope, receive, send)
            return
        length = _header(scope["headers"], b"content-length")
        if length is None:
            await self._app(scope, *self._limited(receive, send))
        elif self._fits(length):
            await self._app(scope, receive, send)
        else:
            refusal = problem_response(HTTP_PROBLEMS[HTTPStatus.CONTENT_TOO_LARGE])
            await refusal(scope, receive, send)

    def _limited(self, receive: Receive, send: Send) -> tuple[Receive, Send]:
        """Return a `receive` that raises when the body exceeds the limit, and its `send`.

        After the response has started the application no longer reads the body, but only waits
        for its end, so nothing is raised then.
        """
        has_started = False
        received = 0

        async def watching_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_size and not has_started:
                raise HTTPException(HTTPStatus.CONTENT_TOO_LARGE)
            return message

        return limited_receive, watching_send

    def _fits(self, length: bytes) -> bool:
        # A number with very many digits is too large, and int() refuses to parse it.
        return (
            len(length) <= _MAX_LENGTH_DIGITS
            and length.isdigit()
            and int(length) <= self._max_body_size
        )
