"""Users who send writes without a pause, and record which of them the service acknowledged.

The record decides whether a fault lost data: a write with a successful response must be stored
afterwards, any other write may be stored once, and no write may be stored twice.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event

import httpx

from tests.support.problems import problem
from tests.support.users import ApiUser, every_task, register_user

PAUSE_AFTER_FAILURE_SECONDS = 0.02
MINUTE = 60


@dataclass
class Attempts:
    """How often a write was tried, and how often it was acknowledged."""

    tried: int = 0
    acknowledged: int = 0

    def allow(self, applied: int) -> bool:
        """Return whether the write may have been applied this often."""
        return self.acknowledged <= applied <= self.tried


@dataclass
class Worker:
    """A user who creates tasks, edits one task, and toggles another, in turn."""

    user: ApiUser
    created: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    edits: Attempts = field(default_factory=Attempts)
    toggles: Attempts = field(default_factory=Attempts)
    last_edit: int = 0
    acknowledged_at: list[float] = field(default_factory=list)
    refusals: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Create the two tasks that are edited and toggled."""
        self.edited = self.user.create("edit 0")
        self.toggled = self.user.create("flip")

    def work(self, done: Event) -> None:
        """Send writes until the event is set."""
        for number in count(1):
            if done.is_set():
                return
            self._create(f"task {number}")
            self._edit(number)
            self._toggle()

    def create(self, title: str, **fields: str) -> httpx.Response:
        """Try once to create a task with a unique title, and return the response."""
        self.tried.append(title)
        body = {"title": title, **fields}
        answer = self.user.http.post(self.user.tasks(), json=body)
        if answer.is_success:
            self.created.append(title)
        return answer

    def _create(self, title: str) -> None:
        self.tried.append(title)
        if self._send("POST", "", {"title": title}):
            self.created.append(title)

    def _edit(self, number: int) -> None:
        self.edits.tried += 1
        if self._send("PATCH", f"/{self.edited['id']}", {"title": f"edit {number}"}):
            self.edits.acknowledged += 1
            self.last_edit = number

    def _toggle(self) -> None:
        self.toggles.tried += 1
        if self._send("PATCH", f"/{self.toggled['id']}/complete", {}):
            self.toggles.acknowledged += 1

    def _send(self, method: str, path: str, body: dict[str, str]) -> bool:
        try:
            answer = self.user.http.request(method, self.user.tasks(path), json=body)
        except httpx.TransportError:
            self.lost += 1
            time.sleep(PAUSE_AFTER_FAILURE_SECONDS)
            return False
        if answer.is_success:
            self.acknowledged_at.append(time.monotonic())
            return True
        if is_clear_refusal(answer):
            self.refusals += 1
        else:
            self.wrong.append(f"{answer.status_code} {answer.text}")
        time.sleep(PAUSE_AFTER_FAILURE_SECONDS)
        return False

    def check(self, stored: Sequence[dict[str, object]]) -> None:
        """Require that the stored tasks agree with the record."""
        titles = Counter(str(task["title"]) for task in stored)
        by_id = {task["id"]: task for task in stored}
        assert [title for title in self.created if titles[title] != 1] == []
        assert [title for title in self.tried if titles[title] > 1] == []
        edited, toggled = by_id[self.edited["id"]], by_id[self.toggled["id"]]
        assert int(str(edited["title"]).removeprefix("edit ")) >= self.last_edit
        assert self.edits.allow(int(str(edited["version"])) - 1)
        turns = int(str(toggled["version"])) - 1
        assert self.toggles.allow(turns)
        assert toggled["completed"] is (turns % 2 == 1)

    @property
    def acknowledged(self) -> int:
        """The number of acknowledged writes."""
        return len(self.created) + self.edits.acknowledged + self.toggles.acknowledged


def is_clear_refusal(answer: httpx.Response) -> bool:
    """Return whether this is a 503 problem with the time to retry."""
    return (
        answer.status_code == 503
        and problem(answer)["code"] == "unavailable"
        and int(answer.headers["retry-after"]) > 0
    )


@contextmanager
def worker_at(url: str) -> Iterator[Worker]:
    """Register a user who is ready to send writes to this service."""
    worker = Worker(register_user(url))
    with closing(worker.user.http):
        worker.prepare()
        yield worker


@contextmanager
def load(url: str, users: int) -> Iterator[list[Worker]]:
    """Run this many users until the block ends."""
    done = Event()
    with ExitStack() as stack, ThreadPoolExecutor(users) as threads:
        workers = [stack.enter_context(worker_at(url)) for _ in range(users)]
        futures = [threads.submit(worker.work, done) for worker in workers]
        try:
            yield workers
        finally:
            done.set()
        for future in futures:
            future.result(timeout=MINUTE)


def stored_tasks(url: str, worker: Worker) -> list[dict[str, object]]:
    """Return all tasks of this worker that the service has now."""
    token = {"Authorization": f"Bearer {worker.user.token}"}
    with httpx.Client(base_url=url, headers=token, timeout=30) as http:
        return every_task(http, worker.user.tasks())


def wait_until_available(url: str, worker: Worker, *, seconds: float) -> float:
    """Return the seconds until the tasks can be read again, and fail after this many."""
    began = time.monotonic()
    while True:
        try:
            stored_tasks(url, worker)
        except httpx.HTTPError:
            assert time.monotonic() - began < seconds, "the service does not recover"
            time.sleep(PAUSE_AFTER_FAILURE_SECONDS)
        else:
            return time.monotonic() - began


def acknowledged(workers: Sequence[Worker]) -> int:
    """Return the number of acknowledged writes of all workers."""
    return sum(worker.acknowledged for worker in workers)


def wait_for_progress(workers: Sequence[Worker], writes: int) -> None:
    """Wait until this many more writes were acknowledged."""
    goal = acknowledged(workers) + writes
    deadline = time.monotonic() + MINUTE
    while acknowledged(workers) < goal:
        assert time.monotonic() < deadline, "no writes are acknowledged"
        time.sleep(0.01)
