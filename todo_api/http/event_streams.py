"""Streams of events (server-sent events): hints that a user's tasks have changed.

An idle stream costs two small tasks and no timer: one timer serves all streams. Only the event
loop's thread uses them.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from random import Random

import structlog
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from todo_api.http.problems import ProblemKind
from todo_api.runtime.request_context import BEGIN_STREAM
from todo_core.entities.caller import Caller
from todo_core.entities.user import UserId
from todo_core.ports.changes import Changes
from todo_core.ports.clock import Clock
from todo_core.ports.revoked_sessions import RevokedSessions

MAX_STREAMS_PER_USER = 10
"""How many streams of one user may be open in one process."""

HEARTBEAT_SECONDS = 15.0
"""After so long without an event, a comment is sent, so that nobody takes the stream for dead."""

_LONGEST_TICK_SECONDS = 1.0
_RETRY_MILLISECONDS = (1000, 5000)
"""When clients connect again, at random between these: after a restart, not all at once."""

TOO_MANY_STREAMS = ProblemKind(
    HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_streams",
    "Too many event streams of yours are open. Close one and try again.",
    {"Retry-After": str(int(HEARTBEAT_SECONDS))},
)
"""The response to the opening of one stream too many."""

_log = structlog.get_logger()
_random = Random()  # noqa: S311 - it spreads load, and protects nothing


class EventStream:
    """One open stream: what its client was told, and what it is to be told next."""

    __slots__ = (
        "_has_left",
        "_is_ended",
        "_known",
        "_told",
        "_waiter",
        "caller",
        "ends_at",
        "is_beat_due",
        "quiet_since",
    )

    def __init__(self, caller: Caller, *, revision: int, told: int | None) -> None:
        self.caller = caller
        self.ends_at = (caller.expires_at or datetime.max.replace(tzinfo=UTC)).timestamp()
        self.quiet_since = 0.0
        self.is_beat_due = False
        self._known = revision
        self._told = told
        self._is_ended = False
        self._has_left = False
        self._waiter: asyncio.Future[None] | None = None

    def tell(self, revision: int) -> None:
        """Tell the client this revision, unless it was told already."""
        self._known = revision
        self._wake()

    def beat(self) -> None:
        """Send a heartbeat."""
        self.is_beat_due = True
        self._wake()

    def end(self) -> None:
        """End the response."""
        self._is_ended = True
        self._wake()

    def leave(self, _: object = None) -> None:
        """Send nothing more, because the client has left."""
        self._has_left = True
        self._wake()

    def beginning(self) -> bytes:
        """Return what is sent at once: when to connect again, and what the client must know."""
        retry = format_sse_event(retry=_random.randint(*_RETRY_MILLISECONDS))
        return retry + (self._hint() or b"")

    async def next(self) -> bytes | None:
        """Wait for what is to be sent next, and return it, or None if nothing is."""
        while not (self._is_ended or self._has_left):
            if (hint := self._hint()) is not None:
                return hint
            if self.is_beat_due:
                self.is_beat_due = False
                return KEEPALIVE_COMMENT
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return None

    @property
    def has_left(self) -> bool:
        """Whether the client has left."""
        return self._has_left

    def _hint(self) -> bytes | None:
        if self._known == self._told:
            return None
        self._told = self._known
        return format_sse_event(
            event="changed",
            id=str(self._known),
            data_str=json.dumps({"revision": self._known}),
        )

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class EventStreams:
    """All streams of this process.

    Every `tick_seconds` it ends the streams whose session was revoked or whose time is over, and
    sends the heartbeats that are due.
    """

    def __init__(
        self,
        changes: Changes,
        revoked_sessions: RevokedSessions,
        clock: Clock,
        *,
        session_check_seconds: float,
    ) -> None:
        self._changes = changes
        self._revoked_sessions = revoked_sessions
        self._clock = clock
        # A revocation is known within half of the interval, and must take effect within all of it.
        self._tick_seconds = min(_LONGEST_TICK_SECONDS, session_check_seconds / 4)
        self._streams: dict[UserId, list[EventStream]] = {}
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        changes.observe(self._observe)

    def open(self, caller: Caller, *, revision: int, told: int | None) -> EventStream | None:
        """Open a stream for the caller, or return None if they have too many.

        `revision` is the present one of the owner, `told` the one that the client knows.
        """
        streams = self._streams.setdefault(caller.user_id, [])
        if len(streams) >= MAX_STREAMS_PER_USER:
            _log.warning("request.throttled", kind="security", rule="event_streams")
            return None
        stream = EventStream(caller, revision=revision, told=told)
        stream.quiet_since = self._loop.time()
        streams.append(stream)
        if len(streams) == 1:
            self._changes.watch(caller.user_id)
        if self._is_closed:
            stream.end()
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        return stream

    def close(self, stream: EventStream) -> None:
        """Remove a stream."""
        owner_id = stream.caller.user_id
        streams = self._streams[owner_id]
        streams.remove(stream)
        if not streams:
            del self._streams[owner_id]
            self._changes.unwatch(owner_id)

    def end_all(self) -> None:
        """End all streams, and those that are opened later at once: the service is stopping."""
        self._is_closed = True
        for streams in self._streams.values():
            for stream in streams:
                stream.end()

    def _observe(self, revisions: Mapping[UserId, int]) -> None:
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._tell, revisions)

    def _tell(self, revisions: Mapping[UserId, int]) -> None:
        now = self._loop.time()
        for owner_id, revision in revisions.items():
            for stream in self._streams.get(owner_id, ()):
                stream.quiet_since = now
                stream.tell(revision)

    def _tick(self) -> None:
        now, time = self._loop.time(), self._clock.now().timestamp()
        for streams in self._streams.values():
            for stream in streams:
                if time >= stream.ends_at or stream.caller.session_id in self._revoked_sessions:
                    stream.end()
                elif now - stream.quiet_since >= HEARTBEAT_SECONDS:
                    stream.quiet_since = now
                    stream.beat()
        self._timer = (
            self._loop.call_later(self._tick_seconds, self._tick) if self._streams else None
        )


class EventStreamResponse(EventSourceResponse):
    """Sends what a stream has to tell, until it ends or the client leaves.

    FastAPI's own way for such responses would cost each stream several tasks and a timer.
    """

    def __init__(self, streams: EventStreams, stream: EventStream) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.body = b""  # the rest has no end
        self._streams = streams
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._stream
        if (begin_stream := scope.get(BEGIN_STREAM)) is not None:
            begin_stream()
        leaving = asyncio.ensure_future(_disconnected(receive))
        leaving.add_done_callback(stream.leave)
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            part: bytes | None = stream.beginning()
            while part is not None:
                await send({"type": "http.response.body", "body": part, "more_body": True})
                part = await stream.next()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()
            self._streams.close(stream)


async def _disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
