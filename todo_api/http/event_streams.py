"""Streams of events (server-sent events): hints that a user's tasks have changed, and reminders.

An idle stream costs two small tasks and no timer.
"""

import asyncio
import json
from collections.abc import Iterable
from random import Random
from typing import override

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from todo_api.http.watchers import Watcher, Watchers, disconnected
from todo_api.runtime.request_context import BEGIN_STREAM
from todo_core.entities.caller import Caller
from todo_core.entities.fired_reminder import FiredReminder

HEARTBEAT_SECONDS = 15.0
"""After so long without an event, a comment is sent, so that nobody takes the stream for dead."""

_RETRY_MILLISECONDS = (1000, 5000)
"""When clients connect again, at random between these: after a restart, not all at once."""

_random = Random()  # noqa: S311 - it spreads load, and protects nothing


class EventStream(Watcher):
    """One open stream: what its client was told, and what it is to be told next.

    `revision` is the current one of the owner, and `told` the one that the client knows. Reminders
    are sent from `begin` on. They have no id of an event: those up to a revision are followed by
    the hint with that revision, whose id means that the client has got all of them.
    """

    __slots__ = ("_early", "_fired", "_is_beat_due", "_quiet_since", "_reminded", "_told")

    def __init__(self, caller: Caller, *, revision: int, told: int | None) -> None:
        super().__init__(caller, revision=revision)
        self._told = told
        is_known = told is not None and told <= revision
        self._reminded = told if told is not None and is_known else revision
        self._early: list[FiredReminder] | None = []
        self._fired: list[FiredReminder] = []
        self._quiet_since = asyncio.get_running_loop().time()
        self._is_beat_due = False

    @override
    def tell(self, revision: int) -> None:
        self._quiet_since = asyncio.get_running_loop().time()
        # A reminder may have been fired after the revisions were read, and before reminders were.
        super().tell(max(revision, self._reminded))

    @property
    def reminded(self) -> int:
        """The revision up to which the client has got all reminders."""
        return self._reminded

    def begin(self, missed: Iterable[FiredReminder]) -> None:
        """Send what was fired after `reminded` until now, and from now on what is told.

        It was read after the stream was added to the watchers, so that nothing is left out.
        """
        early, self._early = self._early or [], None
        self.remind(missed)
        self.remind(early)

    @override
    def remind(self, fired: Iterable[FiredReminder]) -> None:
        if self._early is not None:
            self._early += fired
            return
        new = [each for each in fired if each.revision > self._reminded]
        if new:
            self._fired += new
            self._reminded = new[-1].revision
            self.revision = max(self.revision, self._reminded)
            self._wake()

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
        if self.revision == self._told and not self._fired:
            return None
        self._told = self.revision
        fired, self._fired = self._fired, []
        return b"".join(map(_reminder_event, fired)) + format_sse_event(
            event="changed",
            id=str(self.revision),
            data_str=json.dumps({"revision": self.revision}),
        )


def _reminder_event(fired: FiredReminder) -> bytes:
    remind_at = fired.remind_at.isoformat().replace("+00:00", "Z")
    data = {"id": str(fired.id), "task_id": fired.task_id, "remind_at": remind_at}
    return format_sse_event(event="reminder", data_str=json.dumps(data))


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
