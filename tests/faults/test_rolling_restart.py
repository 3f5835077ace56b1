"""The processes of a service are replaced one after another under load.

They are behind a load balancer, or the workers of one parent. No request fails, and each write
takes effect once.
"""

import http.client
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import httpx
import pytest

from tests.docs.pages import ROOT, blocks
from tests.support.command import Served, served_as_new
from tests.support.processes import children_of, free_port
from tests.support.proof import note
from tests.support.proxies import caddy_with
from tests.support.settings import environment_on
from tests.support.users import ApiUser, every_task, register_user
from tests.support.waiting import until

CLIENTS = 8
REQUESTS = 20_000
RESTARTS = 3
"""How often each of the two processes is restarted at least."""

DRAIN_SECONDS = 6
"""Longer than the interval of the balancer's checks, and the time after which it closes idle
connections."""

LONGEST_SECONDS = 500
PAGE = ROOT / "docs" / "high-availability.md"
DOCUMENTED_SITE = "todo.example.com {"
DOCUMENTED_PROCESSES = "10.0.0.1:8000 10.0.0.2:8000"


@dataclass
class Client:
    """A user whose requests alternate between writes and reads, on one connection."""

    user: ApiUser
    answered: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def send_requests(self, done: Event) -> None:
        """Create tasks, change them and list them until the event is set."""
        address = urlsplit(str(self.user.http.base_url))
        assert address.hostname is not None
        with closing(
            http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        ) as connection:
            while not done.is_set():
                title = f"task {len(self.titles)}"
                self.titles.append(title)
                task = self._send(connection, "POST", self.user.tasks(), {"title": title})
                if task is not None:
                    changed = self.user.tasks(f"/{task['id']}")
                    self._send(connection, "PATCH", changed, {"description": title})
                self._send(connection, "GET", self.user.tasks(limit="20"))

    def _send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        url: httpx.URL,
        body: dict[str, str] | None = None,
    ) -> dict[str, object] | None:
        """Send a request once, and return the JSON of a successful response."""
        headers = {"Authorization": f"Bearer {self.user.token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        try:
            connection.request(method, url.raw_path.decode(), content, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failed.append(repr(error))
            connection.close()
            return None
        if answer.status not in {200, 201}:
            self.failed.append(f"{method} {answer.status} {text!r}")
            return None
        self.answered[method] += 1
        parsed = json.loads(text)
        return parsed if isinstance(parsed, dict) else None


@dataclass
class Place:
    """A port on which one process after another serves."""

    folder: Path
    port: int
    settings: dict[str, str]
    served: list[Served] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Served]:
        """Run a process until the end of the block. Each has its own log."""
        folder = self.folder / str(len(self.served))
        folder.mkdir(parents=True)
        with served_as_new(folder, port=str(self.port), **self.settings) as server:
            until(lambda: httpx.get(f"{server.url}/readyz").is_success, seconds=30)
            self.served.append(server)
            yield server

    def serves_writes(self) -> bool:
        """Return whether the newest process has created a task."""
        return '"status":201' in self.served[-1].log.read_text()

    def statuses(self) -> Counter[tuple[str, int]]:
        """Return how often its processes answered requests about tasks, by method and status."""
        return Counter(
            (line["method"], line["status"])
            for server in self.served
            for line in server.lines()
            if "/tasks" in str(line.get("route"))
        )


@contextmanager
def load_balancer(folder: Path, places: Sequence[Place]) -> Iterator[str]:
    """Run Caddy, as the page says, in front of the processes, and yield its URL."""
    port = free_port()
    [site] = blocks(PAGE.read_text(), "caddyfile")
    assert DOCUMENTED_SITE in site
    assert DOCUMENTED_PROCESSES in site
    site = site.replace(DOCUMENTED_SITE, f":{port} {{\n    bind 127.0.0.1")
    processes = " ".join(f"127.0.0.1:{place.port}" for place in places)
    with caddy_with(site.replace(DOCUMENTED_PROCESSES, processes), folder, port) as url:
        yield url


@contextmanager
def load(url: str) -> Iterator[Sequence[Client]]:
    """Send the requests of several users until the end of the block."""
    done = Event()
    with ExitStack() as stack, ThreadPoolExecutor(CLIENTS) as threads:
        clients = [Client(register_user(url)) for _ in range(CLIENTS)]
        for client in clients:
            stack.callback(client.user.http.close)
        futures = [threads.submit(client.send_requests, done) for client in clients]
        try:
            yield clients
        finally:
            done.set()
        for future in futures:
            future.result(timeout=60)


def stop(server: Served) -> None:
    """Stop a process as a deployment does: it is not ready, but goes on for the drain delay."""
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503, seconds=5)
    assert httpx.get(f"{server.url}/readyz").json()["status"] == "draining"
    assert server.process.wait(timeout=60) == 0
    assert time.monotonic() - began > DRAIN_SECONDS


@pytest.mark.proof
def test_a_rolling_restart_behind_a_load_balancer_fails_no_request(
    tmp_path: Path, database_url: str
) -> None:
    settings = environment_on(database_url) | {"TODO_DRAIN_DELAY": f"{DRAIN_SECONDS}s"}
    places = [Place(tmp_path / name, free_port(), settings) for name in ("first", "second")]
    deadline = time.monotonic() + LONGEST_SECONDS
    with ExitStack() as last:
        running = [last.enter_context(ExitStack()) for _ in places]
        for stack, place in zip(running, places, strict=True):
            stack.enter_context(place.running())
        # Now it finds both. While only one had been seen, the other one must not be stopped.
        url = last.enter_context(load_balancer(tmp_path, places))
        with load(url) as clients:
            restarts = 0
            while restarts < RESTARTS or sum(map(answered, clients)) < REQUESTS:
                for stack, place in zip(running, places, strict=True):
                    stop(place.served[-1])
                    stack.pop_all().close()
                    stack.enter_context(place.running())
                    until(place.serves_writes, seconds=30)
                restarts += 1
                assert time.monotonic() < deadline
        assert [failure for client in clients for failure in client.failed] == []
        for client in clients:
            with httpx.Client(base_url=url, headers=client.user.http.headers, timeout=60) as reader:
                stored = every_task(reader, client.user.tasks())
            assert sorted(str(task["title"]) for task in stored) == sorted(client.titles)
            assert {task["version"] for task in stored} == {2}
    seen = places[0].statuses() + places[1].statuses()
    assert {status for _, status in seen} == {200, 201}
    for method, status in (("POST", 201), ("PATCH", 200)):
        assert seen[method, status] == sum(client.answered[method] for client in clients)
    note("faults", "requests during rolling restarts", tried=sum(map(answered, clients)), failed=0)
    note("faults", "processes restarted meanwhile", tried=restarts * len(places), failed=0)


@pytest.mark.proof
def test_workers_that_are_replaced_at_sighup_fail_no_request(
    tmp_path: Path, database_url: str
) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    replaced = 0
    with served_as_new(tmp_path, "--workers", "2", **environment_on(database_url)) as server:
        until(lambda: server.log.read_text().count("startup complete") == 2)
        with load(server.url) as clients:
            while replaced < 2 * RESTARTS or sum(map(answered, clients)) < REQUESTS:
                before = children_of(server.process.pid)
                server.process.send_signal(signal.SIGHUP)
                until(partial(have_changed, before, server.process.pid), seconds=120)
                replaced += 2
                assert time.monotonic() < deadline
        assert [failure for client in clients for failure in client.failed] == []
        for client in clients:
            with httpx.Client(base_url=server.url, headers=client.user.http.headers) as reader:
                stored = every_task(reader, client.user.tasks())
            assert sorted(str(task["title"]) for task in stored) == sorted(client.titles)
            assert {task["version"] for task in stored} == {2}
    assert server.log.read_text().count("worker.replaced") == replaced
    note("faults", "requests while workers are replaced", tried=sum(map(answered, clients)))
    note("faults", "workers replaced meanwhile", tried=replaced)


def have_changed(before: Sequence[int], parent: int) -> bool:
    """Return whether none of these workers is left, and as many others are there."""
    time.sleep(0.1)
    now = children_of(parent)
    # Its first child is not a worker: it keeps track of what multiprocessing shares.
    return len(now) == len(before) and not {*now[1:]} & {*before[1:]}


def answered(client: Client) -> int:
    return client.answered.total()
