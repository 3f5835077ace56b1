"""A client of long polls of changes."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from tests.support.clients import client_of
from tests.support.servers import RunningServer
from tests.support.users import ApiUser
from tests.support.waiting import until

ANSWER_SECONDS = 40.0
"""After so long, the service has not kept to any limit of a long poll."""


@dataclass(frozen=True)
class LongPoll:
    """A request that waits, sent on a thread."""

    sent_at: float
    _answer: Future[tuple[httpx.Response, float]]

    @property
    def is_waiting(self) -> bool:
        """Whether there is no response yet."""
        return not self._answer.done()

    def answer(self) -> httpx.Response:
        """Wait for the response, and return it."""
        return self._answer.result(ANSWER_SECONDS)[0]

    def answered_at(self) -> float:
        """Wait for the response, and return when it arrived."""
        return self._answer.result(ANSWER_SECONDS)[1]


@contextmanager
def long_poll(
    server: RunningServer, user: ApiUser, since: str | None = None, *, wait: int = 30
) -> Iterator[LongPoll]:
    """Send a request for the user's changes, and begin the block when it waits at the server."""
    query = {"wait": str(wait)} | ({} if since is None else {"since": since})
    before = len(watchers_of(server, user))

    def send() -> tuple[httpx.Response, float]:
        answer = http.get(user.tasks("/changes", **query), headers={"X-Request-ID": "same"})
        return answer, time.monotonic()

    with (
        client_of(server.url, Authorization=f"Bearer {user.token}") as http,
        ThreadPoolExecutor(1) as thread,
    ):
        poll = LongPoll(time.monotonic(), thread.submit(send))
        until(lambda: len(watchers_of(server, user)) > before or not poll.is_waiting)
        assert poll.is_waiting, poll.answer().text
        yield poll


def watchers_of(server: RunningServer, user: ApiUser) -> list[object]:
    """Return what waits at the server for changes of this user."""
    watchers = list(server.app.state.watchers._watchers.items())
    return [each for owner, found in watchers if str(owner) == user.id for each in found]
