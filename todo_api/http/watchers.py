"""Responses that wait for changes of their caller's tasks: event streams and long polls.

One that waits occupies no thread and has no timer for its session: one timer serves all. Only the
event loop's thread uses them.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus

import structlog
from starlette.types import Receive

from todo_api.http.problems import ProblemKind
from todo_core.entities.caller import Caller
from todo_core.entities.fired_reminder import FiredReminder
from todo_core.entities.user import UserId
from todo_core.ports.changes import Changes
from todo_core.ports.clock import Clock
from todo_core.ports.revoked_sessions import RevokedSessions

MAX_WATCHERS_PER_USER = 10
"""How many responses of one user may wait in one process."""

_LONGEST_TICK_SECONDS = 1.0

TOO_MANY_WATCHERS = ProblemKind(
    HTTPStatus.TOO_MANY_REQUESTS,
    "too_many_streams",
    "Too many event streams and waiting requests of yours are open. Close one and try again.",
    {"Retry-After": "15"},
)
"""The response to the opening of one too many."""

type _ListFired = Callable[[Mapping[UserId, int]], Iterable[FiredReminder]]
"""Returns the reminders of owners that were fired after a revision of each."""

_log = structlog.get_logger()


class Watcher:
    """A response that waits for changes of its caller's tasks."""

    __slots__ = ("_has_left", "_is_ended", "_waiter", "caller", "ends_at", "revision")

    def __init__(self, caller: Caller, *, revision: int) -> None:
        self.caller = caller
        self.ends_at = (caller.expires_at or datetime.max.replace(tzinfo=UTC)).timestamp()
        self.revision = revision
        """The newest known revision of the caller's tasks."""
        self._is_ended = False
        self._has_left = False
        self._waiter: asyncio.Future[None] | None = None

    def tell(self, revision: int) -> None:
        """Tell this revision."""
        self.revision = revision
        self._wake()

    def remind(self, fired: Iterable[FiredReminder]) -> None:
        """Tell these reminders of the caller's tasks, before the revision at which they were fired.

        They are in the order of their revisions. Those up to a revision are told together.
        """

    def tick(self, now: float) -> None:
        """Do what is due at this time of the event loop."""

    def end(self) -> None:
        """End the response."""
        self._is_ended = True
        self._wake()

    def leave(self, _: object = None) -> None:
        """Send nothing more, because the client has left."""
        self._has_left = True
        self._wake()

    @property
    def is_done(self) -> bool:
        """Whether nothing more is waited for: the response was ended, or the client has left."""
        return self._is_ended or self._has_left

    @property
    def has_left(self) -> bool:
        """Whether the client has left."""
        return self._has_left

    async def _wait(self) -> None:
        """Wait until something is told or due, or the response is done."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Watchers:
    """All watchers of this process.

    Several times in `session_check_seconds` it ends those whose session was revoked or whose token
    has expired, and lets the others do what is due.
    """

    def __init__(
        self,
        changes: Changes,
        list_fired_reminders: _ListFired,
        revoked_sessions: RevokedSessions,
        clock: Clock,
        *,
        session_check_seconds: float,
    ) -> None:
        self._changes = changes
        self._list_fired_reminders = list_fired_reminders
        self._revoked_sessions = revoked_sessions
        self._clock = clock
        # A revocation is known within half of the interval, and must take effect within all of it.
        self._tick_seconds = min(_LONGEST_TICK_SECONDS, session_check_seconds / 4)
        self._watchers: dict[UserId, list[Watcher]] = {}
        self._reminded: dict[UserId, int] = {}
        """Up to which revision of each watched owner reminders have been looked for."""
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        changes.observe(self._observe)

    def add(self, watcher: Watcher) -> bool:
        """Add a watcher and return True, or return False if its caller has too many.

        It is told each change that was committed after its revision was read. If it is the first
        one of its owner, the current revision is reported soon. Otherwise the others may have been
        told a change already, so it begins with what they know.
        """
        watchers = self._watchers.setdefault(watcher.caller.user_id, [])
        if len(watchers) >= MAX_WATCHERS_PER_USER:
            _log.warning("request.throttled", kind="security", rule="event_streams")
            return False
        watcher.revision = max(each.revision for each in (watcher, *watchers))
        watchers.append(watcher)
        if len(watchers) == 1:
            self._reminded[watcher.caller.user_id] = watcher.revision
            self._changes.watch(watcher.caller.user_id)
        if self._is_closed:
            watcher.end()
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        return True

    def remove(self, watcher: Watcher) -> None:
        """Remove a watcher."""
        owner_id = watcher.caller.user_id
        watchers = self._watchers[owner_id]
        watchers.remove(watcher)
        if not watchers:
            del self._watchers[owner_id]
            del self._reminded[owner_id]
            self._changes.unwatch(owner_id)

    def count(self, kind: type[Watcher]) -> int:
        """Return how many watchers of this kind there are."""
        return sum(isinstance(each, kind) for group in self._watchers.values() for each in group)

    def end_all(self) -> None:
        """End all watchers, and those that are added later at once: the service is stopping."""
        self._is_closed = True
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.end()

    def has_valid_session(self, watcher: Watcher) -> bool:
        """Return whether the session of the caller is neither revoked nor expired."""
        return (
            self._clock.now().timestamp() < watcher.ends_at
            and watcher.caller.session_id not in self._revoked_sessions
        )

    def _observe(self, revisions: Mapping[UserId, int]) -> None:
        """Look for reminders among these changes, on the thread that observed them, and tell all.

        Raises:
            Unavailable: if the database does not respond. Nothing was told then.
        """
        known = {
            owner_id: reminded
            for owner_id, revision in revisions.items()
            if (reminded := self._reminded.get(owner_id, revision)) < revision
        }
        fired = defaultdict[UserId, list[FiredReminder]](list)
        for each in self._list_fired_reminders(known):
            fired[each.owner_id].append(each)
        for owner_id in known:
            if owner_id in self._reminded:
                self._reminded[owner_id] = revisions[owner_id]
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._tell, revisions, fired)

    def _tell(
        self,
        revisions: Mapping[UserId, int],
        fired: Mapping[UserId, Sequence[FiredReminder]],
    ) -> None:
        for owner_id, revision in revisions.items():
            for watcher in self._watchers.get(owner_id, ()):
                watcher.remind(fired.get(owner_id, ()))
                watcher.tell(revision)

    def _tick(self) -> None:
        now = self._loop.time()
        for watchers in self._watchers.values():
            for watcher in watchers:
                if self.has_valid_session(watcher):
                    watcher.tick(now)
                else:
                    watcher.end()
        self._timer = (
            self._loop.call_later(self._tick_seconds, self._tick) if self._watchers else None
        )


async def disconnected(receive: Receive) -> None:
    """Wait until the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
