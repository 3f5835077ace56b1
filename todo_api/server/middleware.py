"""What happens to every request and answer, as plain ASGI middleware.

From the outside in: `RequestLog`, `CorsWhereAsked`, `Guard`. There are few of them,
and each wraps no more than it must: a layer costs every request some microseconds.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from time import perf_counter
from typing import override

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api.http.problems import CORS_REFUSED, HTTP_PROBLEMS, UNEXPECTED, problem_response
from todo_api.runtime.request_context import USER_ID, client_address, request_id

_MAX_LENGTH_DIGITS = 19
_ACCEPTABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

type RawHeader = tuple[bytes, bytes]

ALWAYS_SENT: tuple[RawHeader, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""What keeps browsers from doing what an API never wants (OWASP), on every answer."""

_log = structlog.get_logger()


class RequestLog:
    """Gives every request an id, adds what every answer bears, and logs one line about it.

    An id that the client or a proxy sent as `X-Request-ID` is kept; the answer
    bears it in any case. Neither query nor headers nor bodies are logged.

    The other headers keep browsers from doing what an API never wants (OWASP); an
    answer that sets one of them itself keeps its own. Strict-Transport-Security goes
    out where the request came in by TLS, here or at a trusted proxy.
    """

    _OVER_TLS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = structlog.get_logger().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = 0
        id_ = _request_id(scope["headers"])

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                present = {name for name, _ in headers}
                headers.extend(header for header in ALWAYS_SENT if header[0] not in present)
                headers.append((b"x-request-id", id_.encode()))
                if scope["scheme"] == "https":
                    headers.append(self._OVER_TLS)
            await send(message)

        client_address.set(scope["client"][0] if scope.get("client") else None)
        token = request_id.set(id_)
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
            request_id.reset(token)


def _request_id(headers: Sequence[RawHeader]) -> str:
    sent = _header(headers, b"x-request-id")
    if sent is not None and _ACCEPTABLE_REQUEST_ID.fullmatch(sent):
        return sent.decode()
    return token_hex(16)


def _header(headers: Sequence[RawHeader], wanted: bytes) -> bytes | None:
    for name, value in headers:
        if name == wanted:
            return value
    return None


class CorsWhereAsked(CORSMiddleware):
    """Starlette's CORS, which only browsers ask for: other requests go past it.

    So their answers lack `Vary: Origin`, which is for caches, and none may store them.
    What it refuses is told as every other problem is.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _header(scope["headers"], b"origin") is None:
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    @override
    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        told = {
            name: value
            for name, value in answer.headers.items()
            if not name.startswith("content-")  # those were about its text
        }
        return problem_response(replace(CORS_REFUSED, headers=told))


class Guard:
    """Keeps out bodies that are too large, and keeps in what went wrong.

    A body of more than `max_body_size` bytes is refused before it is read where it
    says its size, and when it exceeds it where it does not. An exception that
    nothing else handled is logged with its traceback, and answered without it.
    """

    def __init__(self, app: ASGIApp, max_body_size: int) -> None:
        self._app = app
        self._max_body_size = max_body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = _header(scope["headers"], b"content-length")
        if announced is not None and not self._fits(announced):
            refusal = problem_response(HTTP_PROBLEMS[HTTPStatus.CONTENT_TOO_LARGE])
            await refusal(scope, receive, send)
            return
        answering = False
        received = 0

        async def noting_send(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # Once there is an answer, nobody reads the body, but only waits for its end.
            if received > self._max_body_size and not answering:
                raise HTTPException(HTTPStatus.CONTENT_TOO_LARGE)
            return message

        try:
            await self._app(scope, limited_receive if announced is None else receive, noting_send)
        except ClientDisconnect:
            return  # there is nobody left to answer
        except Exception:  # the last line of defence
            _log.exception("request.failed")
            if answering:
                raise
            await problem_response(UNEXPECTED)(scope, receive, send)

    def _fits(self, announced: bytes) -> bool:
        # A number of very many digits is too large, and int() refuses to read it.
        return (
            len(announced) <= _MAX_LENGTH_DIGITS
            and announced.isdigit()
            and int(announced) <= self._max_body_size
        )
