"""People who work all the time, and keep a ledger of what the service acknowledged.

The ledger is what a fault is judged by: whatever got an answer in the two hundreds must
be there afterwards, whatever did not may be there once, and nothing may be there twice.
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
from tests.support.users import ApiUser, register_user

PAUSE_AFTER_FAILURE_SECONDS = 0.02
MINUTE = 60


@dataclass
class Attempts:
    """How often one thing was tried, and how often that was acknowledged."""

    tried: int = 0
    acknowledged: int = 0

    def allow(self, applied: int) -> bool:
        """Whether this may be how often it was applied."""
        return self.acknowledged <= applied <= self.tried


@dataclass
class Worker:
    """One person who creates tasks, edits one of them, and flips another, in turn."""

    person: ApiUser
    created: list[str] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    edits: Attempts = field(default_factory=Attempts)
    flips: Attempts = field(default_factory=Attempts)
    last_edit: int = 0
    acknowledged_at: list[float] = field(default_factory=list)
    refusals: int = 0
    lost: int = 0
    wrong: list[str] = field(default_factory=list)

    def prepare(self) -> None:
        """Make the two tasks that are changed again and again."""
        self.edited = self.person.create("edit 0")
        self.flipped = self.person.create("flip")

    def work(self, done: Event) -> None:
        """Go on until told to stop."""
        for number in count(1):
            if done.is_set():
                return
            self._create(f"task {number}")
            self._edit(number)
            self._flip()

    def create(self, title: str, **fields: str) -> httpx.Response:
        """Try once to create a task of a title that no other has; the answer."""
        self.tried.append(title)
        body = {"title": title, **fields}
        answer = self.person.http.post(self.person.tasks(), json=body)
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

    def _flip(self) -> None:
        self.flips.tried += 1
        if self._send("PATCH", f"/{self.flipped['id']}/complete", {}):
            self.flips.acknowledged += 1

    def _send(self, method: str, path: str, body: dict[str, str]) -> bool:
        try:
            answer = self.person.http.request(method, self.person.tasks(path), json=body)
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
        """See that what is stored agrees with the ledger."""
        titles = Counter(str(task["title"]) for task in stored)
        by_id = {task["id"]: task for task in stored}
        assert [title for title in self.created if titles[title] != 1] == []
        assert [title for title in self.tried if titles[title] > 1] == []
        edited, flipped = by_id[self.edited["id"]], by_id[self.flipped["id"]]
        assert int(str(edited["title"]).removeprefix("edit ")) >= self.last_edit
        assert self.edits.allow(int(str(edited["version"])) - 1)
        turns = int(str(flipped["version"])) - 1
        assert self.flips.allow(turns)
        assert flipped["completed"] is (turns % 2 == 1)

    @property
    def acknowledged(self) -> int:
        """How many writes were."""
        return len(self.created) + self.edits.acknowledged + self.flips.acknowledged


def is_clear_refusal(answer: httpx.Response) -> bool:
    """Whether it is a 503 that says when to come back, as a problem document."""
    return (
        answer.status_code == 503
        and problem(answer)["code"] == "unavailable"
        and int(answer.headers["retry-after"]) > 0
    )


@contextmanager
def worker_at(url: str) -> Iterator[Worker]:
    """Somebody new who is about to work there."""
    worker = Worker(register_user(url))
    with closing(worker.person.http):
        worker.prepare()
        yield worker


@contextmanager
def load(url: str, people: int) -> Iterator[list[Worker]]:
    """So many people at work for the time of the block."""
    done = Event()
    with ExitStack() as stack, ThreadPoolExecutor(people) as threads:
        workers = [stack.enter_context(worker_at(url)) for _ in range(people)]
        futures = [threads.submit(worker.work, done) for worker in workers]
        try:
            yield workers
        finally:
            done.set()
        for future in futures:
            future.result(timeout=MINUTE)


def stored_tasks(url: str, worker: Worker) -> list[dict[str, object]]:
    """All tasks of this worker, as the service has them now."""
    token = {"Authorization": f"Bearer {worker.person.token}"}
    answer = httpx.get(f"{url}{worker.person.tasks()}", headers=token, timeout=30)
    return list(answer.raise_for_status().json())


def wait_until_it_works(url: str, worker: Worker, *, seconds: float) -> float:
    """How many seconds it took until the tasks could be read again; it fails after so many."""
    began = time.monotonic()
    while True:
        try:
            stored_tasks(url, worker)
        except httpx.HTTPError:
            assert time.monotonic() - began < seconds, "the service does not come back"
            time.sleep(PAUSE_AFTER_FAILURE_SECONDS)
        else:
            return time.monotonic() - began


def acknowledged(workers: Sequence[Worker]) -> int:
    """How many writes of all of them were."""
    return sum(worker.acknowledged for worker in workers)


def wait_for_progress(workers: Sequence[Worker], writes: int) -> None:
    """Wait until so many more were acknowledged."""
    goal = acknowledged(workers) + writes
    deadline = time.monotonic() + MINUTE
    while acknowledged(workers) < goal:
        assert time.monotonic() < deadline, "the work does not go on"
        time.sleep(0.01)
