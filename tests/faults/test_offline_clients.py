"""The service is killed and connections are cut, while two devices of a user work offline.

Nothing that they queued is lost, nothing is applied twice, and in the end both equal the server.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import Event
from urllib.parse import urlsplit

import pytest

from tests.support.clients import client_of
from tests.support.command import Served, served
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy
from tests.support.proof import note
from tests.support.settings import environment_on
from tests.support.users import ApiUser, every_task, register_user
from tests.sync.offline_client import OfflineClient

DEVICES = 2
KILLS = 5
LONGEST_LIFE_SECONDS = 2.5
LONGEST_QUEUE = 12
PAUSE_SECONDS = 0.01
RECENT = 8
"""The devices work on the newest tasks, so that they often change the same one."""


@dataclass(frozen=True)
class Place:
    """A database on which a service is started again and again."""

    name: str
    folder: Path
    environment: Mapping[str, str]

    def served(self) -> AbstractContextManager[Served]:
        return served(self.folder, **self.environment)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place("SQLite", tmp_path, {"TODO_RATE_LIMIT_ENABLED": "false"})
    return Place("PostgreSQL", tmp_path, environment_on(request.getfixturevalue("database_url")))


@dataclass
class Device:
    """A client that is started again now and then, and what its user has asked of it."""

    file: Path
    url: str
    token: str
    keys: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.file.stem)  # noqa: S311 - what its user does

    def use(self, done: Event) -> None:
        """Work until the event is set, and then until all writes are answered."""
        while True:
            with client_of(self.url, Authorization=f"Bearer {self.token}") as http:
                client = OfflineClient(self.file, http)
                for _ in range(self.random.randint(1, 10)):
                    if done.is_set() and not client.queue:
                        return
                    if not done.is_set() and len(client.queue) < LONGEST_QUEUE:
                        self._queue_some(client)
                    client.sync()
                    time.sleep(PAUSE_SECONDS)

    def read(self) -> OfflineClient:
        """Read what has changed since, and return the client."""
        with client_of(self.url, Authorization=f"Bearer {self.token}") as http:
            client = OfflineClient(self.file, http)
            client.sync()
            return client

    def _queue_some(self, client: OfflineClient) -> None:
        for _ in range(self.random.randint(1, 4)):
            title = f"{self.file.stem} {len(self.keys)}"
            chosen = sorted(client.tasks.values(), key=lambda task: str(task["created_at"]))
            kind = self.random.choice(("create", "edit", "edit", "toggle", "toggle", "delete"))
            if kind == "create" or not chosen:
                key = client.write("create", "", title=title)
                self.titles.append(title)
                # It is changed at once, before the service has given it an id.
                self.keys += [key, client.write("toggle", key)]
                continue
            task_id = self.random.choice(chosen[-RECENT:])["id"]
            body = {"description": title} if kind == "edit" else {}
            self.keys.append(client.write(kind, task_id, **body))


@pytest.fixture
def proxy() -> Iterator[CuttingProxy]:
    with cutting_proxy(0) as proxy:
        yield proxy


def port_of(server: Served) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def serve_and_kill(server: Served, proxy: CuttingProxy, random: Random) -> None:
    """Let the devices reach the service for a random time, and kill it."""
    proxy.target = port_of(server)
    time.sleep(random.uniform(0.2, LONGEST_LIFE_SECONDS))
    server.process.kill()
    server.process.wait(timeout=30)


def stored_with_trash(url: str, user: ApiUser) -> tuple[list[dict[str, object]], ...]:
    """Return the tasks, and those in the trash."""
    with client_of(url, Authorization=f"Bearer {user.token}") as http:
        return (
            every_task(http, user.tasks()),
            every_task(http, user.tasks(deleted="true")),
        )


@pytest.mark.proof
def test_offline_clients_lose_nothing_and_apply_nothing_twice(
    place: Place, proxy: CuttingProxy
) -> None:
    random, done = Random(2), Event()  # noqa: S311 - when the service is killed
    with ThreadPoolExecutor(DEVICES) as threads:
        try:
            with place.served() as server:
                user = register_user(server.url)
                user.http.close()
                devices = [
                    Device(place.folder / f"device-{number}.json", proxy.url, user.token)
                    for number in range(DEVICES)
                ]
                using = [threads.submit(device.use, done) for device in devices]
                serve_and_kill(server, proxy, random)
            for _ in range(KILLS - 1):
                with place.served() as server:
                    serve_and_kill(server, proxy, random)
        finally:
            done.set()
        with place.served() as server:
            proxy.target, proxy.is_cutting = port_of(server), False
            for each in using:
                each.result(timeout=60)
            clients = [device.read() for device in devices]
            stored, deleted = stored_with_trash(server.url, user)

    for device, client in zip(devices, clients, strict=True):
        assert client.queue == []
        assert [write["key"] for write in client.done] == device.keys
        assert client.tasks == {task["id"]: task for task in stored}
    every = [*stored, *deleted]
    titles = [title for device in devices for title in device.titles]
    assert Counter(task["title"] for task in every) == Counter(titles)
    # Each write but a deletion takes a version: a lost or a repeated one would make a difference.
    writes = [write for client in clients for write in client.done]
    replayed = [write for write in writes if write["outcome"] == "replayed"]
    assert replayed, "no response was lost, so nothing was shown"
    applied = [write for write in writes if write["outcome"] != "dropped"]
    versions = Counter(write["id"] for write in applied if write["kind"] != "delete")
    assert {task["id"]: task["version"] for task in every} == versions
    assert {task["id"] for task in deleted} == {
        write["id"] for write in applied if write["kind"] == "delete"
    }
    note("faults", f"offline writes, {place.name}", tried=len(writes))
    note("faults", f"of them answered by a replay, {place.name}", tried=len(replayed))
    note("faults", f"connections cut, {place.name}", tried=proxy.cuts)
    note("faults", f"kills of the service, {place.name}", tried=KILLS)
