"""Clients that send each write with a key until it is answered, and count what they wrote."""

import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from threading import Event
from uuid import uuid4

import httpx

from tests.faults.load import PAUSE_AFTER_FAILURE_SECONDS
from tests.support.clients import client_of
from tests.support.users import ApiUser, every_task
from tests.support.waiting import until

LONGEST_OUTAGE_SECONDS = 90.0
"""How long a client tries before it gives up, so that a test that fails in an outage ends."""


def at(url: str, user: ApiUser) -> ApiUser:
    """Return the same user as a client of another process."""
    return replace(user, http=client_of(url, Authorization=f"Bearer {user.token}"))


@dataclass
class Where:
    """The URL of the process that serves now, and how many writes were answered, about."""

    url: str
    written: int = 0

    def wait_for_progress(self, writes: int) -> None:
        """Wait until the clients have written this often again."""
        before = self.written
        until(lambda: self.written > before + writes, seconds=60)


@dataclass
class Writer:
    """A client that sends each write with its key until it is answered, wherever the service is."""

    user: ApiUser
    toggled: int
    titles: list[str] = field(default_factory=list)
    toggles: int = 0
    replays: int = 0
    wrong: list[str] = field(default_factory=list)

    def write(self, where: Where, done: Event) -> None:
        while not done.is_set():
            title = uuid4().hex
            self._until_answered(where, "POST", "", {"title": title})
            self.titles.append(title)
            self._until_answered(where, "PATCH", f"/{self.toggled}/complete", {})
            self.toggles += 1
            where.written += 2

    def check(self, url: str) -> None:
        """Require that each write took effect once."""
        with closing(self.user.http), at(url, self.user).http as http:
            stored = every_task(http, self.user.tasks())
        assert self.wrong == []
        assert Counter(task["title"] for task in stored) == Counter([*self.titles, "toggled"])
        [toggled] = [task for task in stored if task["id"] == self.toggled]
        assert toggled["version"] == 1 + self.toggles

    def _until_answered(self, where: Where, method: str, path: str, body: object) -> None:
        headers = {"Idempotency-Key": str(uuid4())}
        deadline = time.monotonic() + LONGEST_OUTAGE_SECONDS
        while True:
            assert time.monotonic() < deadline, f"no answer in {LONGEST_OUTAGE_SECONDS:g} seconds"
            with suppress(httpx.TransportError), at(where.url, self.user).http as http:
                answer = http.request(method, self.user.tasks(path), json=body, headers=headers)
                if answer.is_success:
                    self.replays += "idempotent-replayed" in answer.headers
                    return
                if answer.status_code not in {409, 503}:
                    self.wrong.append(answer.text)
                    return
            time.sleep(PAUSE_AFTER_FAILURE_SECONDS)
