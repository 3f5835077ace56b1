"""What happens to every request and answer, as plain ASGI middleware.

From the outside in: `RequestLog`, `SecurityHeaders`, (Starlette's CORS),
`UnexpectedErrors`, `BodyLimit`.
"""

import re
from collections.abc import Iterable
from http import HTTPStatus
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from todo_api import logs
from todo_api.errors import HTTP_PROBLEMS, UNEXPECTED, problem_response

USER_ID = "todo.user_id"
"""The key of the request's scope under which the caller's id is noted, for the log."""

_ACCEPTABLE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_log = structlog.get_logger()


class RequestLog:
    """Gives every request an id and logs one line about it.

    An id that the client or a proxy sent as `X-Request-ID` is kept; the answer
    bears it in any case. Neither query nor headers nor bodies are logged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        status = 0
        request_id = _request_id(scope["headers"])
        header = (b"x-request-id", request_id.encode())

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], header]
            await send(message)

        logs.client_address.set(scope["client"][0] if scope.get("client") else None)
        token = logs.request_id.set(request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _log.info(
                "request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=status,
                duration_ms=round((perf_counter() - started) * 1000, 2),
                user_id=scope.get(USER_ID),
            )
            logs.request_id.reset(token)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _ACCEPTABLE_REQUEST_ID.fullmatch(value):
            return value.decode()
    return uuid4().hex


class SecurityHeaders:
    """Adds the headers that keep browsers from doing what an API never wants (OWASP).

    An answer that sets one of them itself keeps its own. Strict-Transport-Security
    goes out where the request came in by TLS, here or at a trusted proxy.
    """

    _ALWAYS = (
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
        (b"referrer-policy", b"no-referrer"),
    )
    _OVER_TLS = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                added = [header for header in self._ALWAYS if header[0] not in present]
                if scope["scheme"] == "https":
                    added.append(self._OVER_TLS)
                message["headers"] = [*message["headers"], *added]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class UnexpectedErrors:
    """Answers an exception that nothing else handled, and logs it with its traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = False

        async def noting_send(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception:  # the last line of defence
            _log.exception("request.failed")
            if answering:
                raise
            await problem_response(UNEXPECTED)(scope, receive, send)


class BodyLimit:
    """Refuses a body of more than `max_size` bytes, before it is read where it says its size."""

    def __init__(self, app: ASGIApp, max_size: int) -> None:
        self._app = app
        self._max_size = max_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > self._max_size:
            refusal = problem_response(HTTP_PROBLEMS[HTTPStatus.CONTENT_TOO_LARGE])
            await refusal(scope, receive, send)
            return
        received = 0

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_size:
                raise HTTPException(413)
            return message

        await self._app(scope, limited_receive, send)
