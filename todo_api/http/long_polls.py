"""Long polls: responses that wait until there is something to report, or for a given time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from fastapi import Request
from starlette.requests import ClientDisconnect

from todo_api.http.watchers import Watcher, Watchers, disconnected
from todo_api.runtime.request_context import WAITS
from todo_core.entities.caller import Caller
from todo_core.errors import InvalidAccessToken

LONGEST_WAIT_SECONDS: Final = 30
"""How long a client may let a response wait. Proxies often allow a minute."""


class LongPoll(Watcher):
    """One response that waits. `revision` is that of the answer so far."""

    __slots__ = ("_seen",)

    def __init__(self, caller: Caller, *, revision: int) -> None:
        super().__init__(caller, revision=revision)
        self._seen = revision

    async def is_changed(self) -> bool:
        """Wait for a revision after those that were seen, and return whether there is one.

        There is none if the time has passed, the service stops, or the session is not valid.

        Raises:
            ClientDisconnect: if the client has left.
        """
        while self.revision <= self._seen and not self.is_done:
            await self._wait()
        if self.has_left:
            raise ClientDisconnect
        is_changed = self.revision > self._seen
        self._seen = max(self._seen, self.revision)
        return is_changed


@contextmanager
def waiting(
    request: Request, watchers: Watchers, poll: LongPoll, *, seconds: float
) -> Iterator[None]:
    """Let a poll that was added wait for so long, or until the client leaves.

    Raises:
        InvalidAccessToken: at the end, if the session of the caller was revoked, or their token has
            expired.
    """
    request.scope[WAITS] = True
    timer = asyncio.get_running_loop().call_later(seconds, poll.end)
    leaving = asyncio.ensure_future(disconnected(request.receive))
    leaving.add_done_callback(poll.leave)
    try:
        yield
    except ClientDisconnect:
        leaving.result()  # raises what was wrong with the request, if that was the reason
        raise
    finally:
        timer.cancel()
        leaving.cancel()
        watchers.remove(poll)
    if not watchers.has_valid_session(poll):
        raise InvalidAccessToken
