"""Streams of events (server-sent events): hints that a user's tasks have changed.

An idle stream costs two small tasks and no timer.
"""

import asyncio
import json
from random import Random
from typing import override

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from todo_api.http.watchers import Watcher, Watchers, disconnected
from todo_api.runtime.request_context import BEGIN_STREAM
from todo_core.entities.caller import Caller

HEARTBEAT_SECONDS = 15.0
"""After so long without an event, a comment is sent, so that nobody takes the stream for dead."""

_RETRY_MILLISECONDS = (1000, 5000)
"""When clients connect again, at random between these: after a restart, not all at once."""

_random = Random()  # noqa: S311 - it spreads load, and protects nothing


class EventStream(Watcher):
    """One open stream: what its client was told, and what it is to be told next.

    `revision` is the current one of the owner, and `told` the one that the client knows.
    """

    __slots__ = ("_is_beat_due", "_quiet_since", "_told")

    def __init__(self, caller: Caller, *, revision: int, told: int | None) -> None:
        super().__init__(caller, revision=revision)
        self._told = told
        self._quiet_since = asyncio.get_running_loop().time()
        self._is_beat_due = False

    @override
    def tell(self, revision: int) -> None:
        self._quiet_since = asyncio.get_running_loop().time()
        super().tell(revision)

    @override
    def tick(self, now: float) -> None:
        if now - self._quiet_since >= HEARTBEAT_SECONDS:
            self._quiet_since = now
            self._is_beat_due = True
            self._wake()

    def beginning(self) -> bytes:
        """Return what is sent at once: when to connect again, and what the client must know."""
        retry = format_sse_event(retry=_random.randint(*_RETRY_MILLISECONDS))
        return retry + (self._hint() or b"")

    async def next(self) -> bytes | None:
        """Wait for what is to be sent next, and return it, or None if nothing is."""
        while not self.is_done:
            if (hint := self._hint()) is not None:
                return hint
            if self._is_beat_due:
                self._is_beat_due = False
                return KEEPALIVE_COMMENT
            await self._wait()
        return None

    def _hint(self) -> bytes | None:
        if self.revision == self._told:
            return None
        self._told = self.revision
        return format_sse_event(
            event="changed",
            id=str(self.revision),
            data_str=json.dumps({"revision": self.revision}),
        )


class EventStreamResponse(EventSourceResponse):
    """Sends what a stream has to tell, until it ends or the client leaves.

    FastAPI's own way for such responses would cost each stream several tasks and a timer.
    """

    def __init__(self, watchers: Watchers, stream: EventStream) -> None:
        super().__init__((), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self.body = b""  # the rest has no end
        self._watchers = watchers
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._stream
        if (begin_stream := scope.get(BEGIN_STREAM)) is not None:
            begin_stream()
        leaving = asyncio.ensure_future(disconnected(receive))
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
            self._watchers.remove(stream)
