"""Responses that are too large to keep in memory until a slow client has read them.

The server buffers what the client has not read yet. A list of many tasks has megabytes, so a
client that requests it many times and reads slowly could exhaust the memory. A document without
an upper limit, such as an export, is streamed: it is made in parts, each when the client has read
most of the one before.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http import HTTPMethod, HTTPStatus

import structlog
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from todo_api.http.problems import CORE_PROBLEMS, problem_response
from todo_api.runtime.request_context import STREAMED_BYTES, caller_key
from todo_api.runtime.threads import WorkerThreads
from todo_core.errors import RateLimited

SLICE_SIZE = 64 * 1024
"""A response of more bytes than this is sent in slices."""

MAX_BYTES_PER_USER = 32 * 1024 * 1024
"""The bytes of large responses that may be in flight for one user."""

MAX_BYTES_FOR_ALL_USERS = 256 * 1024 * 1024
"""With more bytes than this in flight for all users, each user may have only one large response."""

STREAM_SIZE = 4 * 1024 * 1024
"""The bytes that a streamed response counts as, however long it is: those of a large part."""

_TOO_MUCH_IN_FLIGHT = replace(
    CORE_PROBLEMS[RateLimited],
    detail="Too many large responses are still being sent to you. Try again in a few seconds.",
    headers={"Retry-After": "5"},
)

_log = structlog.get_logger()


class ResponsesInFlight:
    """Counts the bytes of large responses in flight for each user.

    Only the event loop's thread uses it.
    """

    def __init__(self) -> None:
        self._bytes: Counter[str] = Counter()
        self._total = 0

    @property
    def total(self) -> int:
        """The bytes of all responses in flight."""
        return self._total

    @property
    def is_empty(self) -> bool:
        """Whether no response is in flight."""
        return not self._total

    def add(self, user: str, size: int) -> bool:
        """Count a response and return True, or return False if it would exceed a limit.

        A user's only response is always allowed, whatever its size.
        """
        if self._bytes[user] and (
            self._bytes[user] + size > MAX_BYTES_PER_USER
            or self._total + size > MAX_BYTES_FOR_ALL_USERS
        ):
            return False
        self._bytes[user] += size
        self._total += size
        return True

    def remove(self, user: str, size: int) -> None:
        """Stop counting a response."""
        self._bytes[user] -= size
        self._total -= size
        if not self._bytes[user]:
            del self._bytes[user]


class LargeResponse(Response):
    """Sends a response in slices, each after the client has read most of those before.

    If the user already has too many bytes in flight, it sends 429 instead.
    """

    def __init__(self, response: Response, in_flight: ResponsesInFlight) -> None:
        super().__init__(status_code=response.status_code)
        self.body = response.body
        self.raw_headers = response.raw_headers
        self._in_flight = in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        user = caller_key(scope)
        if not self._in_flight.add(user, len(self.body)):
            await _refuse(scope, receive, send)
            return
        try:
            await _send_start(self, send)
            await _send_slices(bytes(self.body), send, more_follow=False)
        finally:
            self._in_flight.remove(user, len(self.body))


class StreamedResponse(Response):
    """Sends the parts of a document, each after the client has read most of the one before.

    The next part is made on a worker thread, in the caller's turn. While the client reads, no
    thread is occupied, and parts are no longer made when it has disconnected.

    If a part raises, so does this, and the server cuts the connection: the client notices that
    the document is not complete. Too many responses in flight are refused as by `LargeResponse`.
    """

    def __init__(self, first: bytes, rest: Iterator[bytes], *, media_type: str) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]  # it is not known
        self._first = first
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        in_flight: ResponsesInFlight = request.app.state.responses_in_flight
        user = caller_key(scope)
        if not in_flight.add(user, STREAM_SIZE):
            await _refuse(scope, receive, send)
            return
        try:
            await _send_start(self, send)
            if request.method != HTTPMethod.HEAD:
                await self._send_parts(request, send)
            await _send_slices(b"", send, more_follow=False)
        finally:
            in_flight.remove(user, STREAM_SIZE)

    async def _send_parts(self, request: Request, send: Send) -> None:
        threads: WorkerThreads = request.app.state.worker_threads
        next_part = partial(next, self._rest, None)
        part: bytes | None = self._first
        sent = 0
        while part is not None and not await request.is_disconnected():
            sent += len(part)
            request.scope[STREAMED_BYTES] = sent
            await _send_slices(part, send, more_follow=True)
            part = await threads.run(next_part, key=caller_key(request.scope))


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    _log.warning("request.throttled", kind="security", rule="responses_in_flight")
    await problem_response(_TOO_MUCH_IN_FLIGHT)(scope, receive, send)


async def _send_start(response: Response, send: Send) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )


async def _send_slices(content: bytes, send: Send, *, more_follow: bool) -> None:
    """Send content, of which more may follow, in slices."""
    for start in range(0, max(1, len(content)), SLICE_SIZE):
        end = start + SLICE_SIZE
        await send(
            {
                "type": "http.response.body",
                "body": content[start:end],
                "more_body": more_follow or end < len(content),
            }
        )


def streamed(parts: Iterator[bytes], *, media_type: str) -> Response:
    """Return the response with a document in parts, which is streamed if it is large.

    The first parts are made at once, so that an error in them becomes an ordinary response.
    """
    first = b""
    for part in parts:
        first += part
        if len(first) > SLICE_SIZE:
            return StreamedResponse(first, parts, media_type=media_type)
    return Response(first, media_type=media_type)


def in_slices(request: Request, response: Response) -> Response:
    """Return the response as it is or, if it is large, as one that is sent in slices."""
    if response.status_code != HTTPStatus.OK or len(response.body) <= SLICE_SIZE:
        return response
    in_flight: ResponsesInFlight = request.app.state.responses_in_flight
    return LargeResponse(response, in_flight)
