"""Responses that are too large to keep in memory until a slow client has read them.

The server buffers what the client has not read yet. A list of many tasks has megabytes, so a
client that requests it many times and reads slowly could exhaust the memory.
"""

from collections import Counter
from dataclasses import replace
from http import HTTPStatus

import structlog
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from todo_api.http.problems import CORE_PROBLEMS, problem_response
from todo_api.runtime.request_context import caller_key
from todo_core.errors import RateLimited

SLICE_SIZE = 64 * 1024
"""A response of more bytes than this is sent in slices."""

MAX_BYTES_PER_USER = 32 * 1024 * 1024
"""The bytes of large responses that may be in flight for one user."""

MAX_BYTES_FOR_ALL_USERS = 256 * 1024 * 1024
"""With more bytes than this in flight for all users, each user may have only one large response."""

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
        body = self.body
        user = caller_key(scope)
        if not self._in_flight.add(user, len(body)):
            _log.warning("request.throttled", kind="security", rule="responses_in_flight")
            await problem_response(_TOO_MUCH_IN_FLIGHT)(scope, receive, send)
            return
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            for start in range(0, len(body), SLICE_SIZE):
                end = start + SLICE_SIZE
                await send(
                    {
                        "type": "http.response.body",
                        "body": body[start:end],
                        "more_body": end < len(body),
                    }
                )
        finally:
            self._in_flight.remove(user, len(body))


def in_slices(request: Request, response: Response) -> Response:
    """Return the response as it is or, if it is large, as one that is sent in slices."""
    if response.status_code != HTTPStatus.OK or len(response.body) <= SLICE_SIZE:
        return response
    in_flight: ResponsesInFlight = request.app.state.responses_in_flight
    return LargeResponse(response, in_flight)
