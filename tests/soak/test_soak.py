"""Under ten minutes of hostile traffic, resources do not grow and other users are served."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.command import Served, served
from tests.support.processes import resident
from tests.support.proof import note
from tests.support.tasks import store_tasks
from tests.support.users import PASSWORD, ApiUser

SECONDS = 600
HONEST = 3
TASKS = 4_000
SAMPLE_SECONDS = 2.0

MAX_MEMORY = 400 * 2**20
MAX_GROWTH = 1.25
MAX_DESCRIPTORS = 600
MAX_THREADS = 80
MAX_HONEST_P99 = 0.25


@dataclass(frozen=True)
class Sample:
    """The resources of the process at one moment."""

    memory: int
    descriptors: int
    threads: int

    @classmethod
    def of(cls, process: int) -> "Sample":
        folder = Path(f"/proc/{process}")
        return cls(
            resident(process),
            len(list((folder / "fd").iterdir())),
            len(list((folder / "task").iterdir())),
        )


@pytest.mark.proof
def test_the_service_is_stable_and_responsive_under_ten_minutes_of_attack(tmp_path: Path) -> None:
    with served(tmp_path, TODO_LOG_FORMAT="json") as server:
        honest = [register_from(server.url, f"127.0.0.{number + 10}") for number in range(HONEST)]
        mallory = register_from(server.url, "127.0.9.9")
        store_tasks(tmp_path, mallory.id, TASKS)
        for user in honest:
            user.create()
        before = Sample.of(server.process.pid)
        stop = Event()
        with ThreadPoolExecutor(HONEST) as pool, attackers(server, mallory) as attacking:
            work = [pool.submit(use, user, stop) for user in honest]
            samples = sample_until_ended(server, attacking)
            stop.set()
            waits = sorted(wait for future in work for wait in future.result())
        tried: Counter[str] = Counter(json.loads(attacking.communicate()[0]))
        time.sleep(25)  # for every deadline to pass
        after = Sample.of(server.process.pid)
        assert honest[0].http.get("/readyz").status_code == 200
        began = time.perf_counter()
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
        stopping = time.perf_counter() - began
        for user in (*honest, mallory):
            user.http.close()
        failed = [line for line in server.lines() if line.get("event") == "request.failed"]

    p99 = waits[int(len(waits) * 0.99)]
    peak = max(sample.memory for sample in samples)
    quarter = len(samples) // 4
    growth = median(s.memory for s in samples[-quarter:]) / median(
        s.memory for s in samples[quarter : 2 * quarter]
    )
    note("attacks", f"soak, {SECONDS} s", tried=tried.total(), failed=len(failed))
    note("requests", f"honest, p99 {p99 * 1000:.0f} ms, peak {peak >> 20} MiB", tried=len(waits))
    assert failed == []
    assert tried.keys() >= {"send_rubbish", "read_nothing", "guess_passwords", "ask_for_much"}
    assert peak < MAX_MEMORY
    assert growth < MAX_GROWTH
    assert max(sample.descriptors for sample in samples) < MAX_DESCRIPTORS
    assert after.descriptors < before.descriptors + 30
    assert max(sample.threads for sample in samples) < MAX_THREADS
    assert len(waits) > SECONDS
    assert p99 < MAX_HONEST_P99
    assert stopping < 10


@contextmanager
def attackers(server: Served, mallory: ApiUser) -> Iterator[subprocess.Popen[str]]:
    """Attack the server from a separate process for the duration of the soak test."""
    port = urlsplit(server.url).port
    command = [sys.executable, "-m", "tests.soak.attackers", str(port), str(SECONDS)]
    process = subprocess.Popen(
        [*command, mallory.token, mallory.id],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={"PATH": os.environ["PATH"]},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()


def sample_until_ended(server: Served, attacking: subprocess.Popen[str]) -> list[Sample]:
    """Sample the resources of the server until the attack ends."""
    samples = []
    deadline = time.monotonic() + SECONDS + 60
    while attacking.poll() is None and time.monotonic() < deadline:
        samples.append(Sample.of(server.process.pid))
        time.sleep(SAMPLE_SECONDS)
    assert attacking.poll() == 0
    return samples


def register_from(url: str, address: str) -> ApiUser:
    """Register a user whose client has a separate address, so that limits count it separately."""
    http = httpx.Client(
        base_url=url, transport=httpx.HTTPTransport(local_address=address), timeout=30
    )
    email = f"user-{address.replace('.', '-')}@example.com"
    registration = {"name": "User", "email": email, "password": PASSWORD}
    http.post("/api/auth/register", json=registration).raise_for_status()
    login = {"email": email, "password": PASSWORD}
    answer = http.post("/api/auth/login", json=login).raise_for_status().json()
    http.headers["Authorization"] = f"Bearer {answer['access_token']}"
    return ApiUser(answer["user"]["id"], email, answer["access_token"], http)


def use(user: ApiUser, stop: Event) -> list[float]:
    """Work with the user's tasks until the stop, and return the seconds of each response."""
    waits = []
    while not stop.is_set():
        began = time.perf_counter()
        [task] = user.list()
        waits.append(time.perf_counter() - began)
        began = time.perf_counter()
        answer = user.http.patch(user.tasks(f"/{task['id']}"), json={"title": "Buy tea"})
        waits.append(time.perf_counter() - began)
        assert answer.status_code == 200, answer.text
        assert answer.json()["user_id"] == user.id
        time.sleep(0.05)
    return waits
