"""One port answers for all processes, whatever happens to them."""

import errno
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.mmap_dict import MmapedDict
from structlog.testing import capture_logs

from tests.support.clients import client_of
from tests.support.command import served, served_as_new, todo
from tests.support.metrics import Measured, Scrape, measured
from tests.support.processes import free_port, is_running
from tests.support.users import register_user
from tests.support.waiting import until
from todo_api.exporter.files import MetricFiles
from todo_api.settings import Settings
from todo_api.wiring.telemetry import make_metrics

HEALTH = {"method": "GET", "route": "/healthz", "status": "200"}
CLIENTS, REQUESTS = 6, 80
RESTART_SECONDS = 60.0
"""How long a worker may take to be replaced while the machine is busy."""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """A service in two processes. Its workers are killed, so each test begins with a scrape."""
    folder = tmp_path_factory.mktemp("workers")
    options = {"TODO_RATE_LIMIT_ENABLED": "false"}
    with measured(folder, "--workers", "2", **options) as running:
        until(lambda: len(pids(running.scrape())) == 2, seconds=RESTART_SECONDS)
        yield running


def pids(scrape: Scrape) -> set[int]:
    """Return the processes that have gauges of their own."""
    return {int(each.labels["pid"]) for each in scrape.matching("todo_process_start_time_seconds")}


def answered(scrape: Scrape) -> float:
    return scrape.total("todo_http_requests_total", **HEALTH)


def send(service: Measured, count: int) -> int:
    """Send this many requests, each on a connection of its own, and return how many succeeded."""
    address = urlsplit(service.url)
    succeeded = 0
    for _ in range(count):
        connection = HTTPConnection(address.netloc, timeout=30)
        try:
            connection.request("GET", "/healthz")
            succeeded += connection.getresponse().status == 200
        except (OSError, HTTPException):  # its worker was killed
            continue
        finally:
            connection.close()
    return succeeded


def test_the_counts_of_several_workers_add_up_exactly(workers: Measured) -> None:
    before = workers.scrape()
    with ThreadPoolExecutor(CLIENTS) as pool:
        succeeded = sum(pool.map(lambda _: send(workers, REQUESTS), range(CLIENTS)))
    assert succeeded == CLIENTS * REQUESTS
    until(lambda: answered(workers.scrape()) >= answered(before) + succeeded)
    after = workers.scrape()
    assert answered(after) - answered(before) == succeeded
    timed = "todo_http_request_duration_seconds_count"
    assert after.total(timed, route="/healthz") == answered(after)
    assert after.value("todo_processes") == 2
    assert after.value("todo_database_connections_max") == 20
    until(lambda: workers.scrape().total("todo_threads", kind="requests") == 20)
    [build] = after.matching("todo_build_info")
    assert build.value == 1


def test_a_worker_that_is_killed_takes_no_count_with_it(workers: Measured) -> None:
    before = workers.scrape()
    send(workers, 40)
    until(lambda: answered(workers.scrape()) >= answered(before) + 40)
    alive = workers.scrape()
    [victim, *others] = sorted(pids(alive))
    os.kill(victim, signal.SIGKILL)
    until(lambda: not is_running(victim))
    # At once, and after another one has taken its place
    assert answered(workers.scrape()) == answered(alive)
    until(lambda: victim not in pids(workers.scrape()))  # when its last thread has ended
    until(lambda: len(pids(workers.scrape())) == 2, seconds=RESTART_SECONDS)
    until(lambda: workers.scrape().value("todo_processes") == 2)
    replaced = workers.scrape()
    assert answered(replaced) == answered(alive)
    assert pids(replaced) > set(others)
    starts = "todo_process_starts_total"
    assert replaced.value(starts) == alive.value(starts) + 1
    cpu = "todo_process_cpu_seconds_total"
    assert replaced.value(cpu) >= alive.value(cpu)
    assert replaced.value("todo_database_connections_max") == 20
    send(workers, 10)
    until(lambda: answered(workers.scrape()) == answered(alive) + 10)


def test_counters_never_decrease_while_workers_are_killed_under_load(workers: Measured) -> None:
    before = answered(workers.scrape())
    with ThreadPoolExecutor(CLIENTS) as pool:
        sent = [pool.submit(send, workers, REQUESTS) for _ in range(CLIENTS)]
        counts = []
        for _ in range(2):
            alive = pids(workers.scrape())
            os.kill(max(alive), signal.SIGKILL)
            for _ in range(5):
                counts.append(answered(workers.scrape()))
                time.sleep(0.05)
            until(lambda: len(pids(workers.scrape())) == 2, seconds=RESTART_SECONDS)
        succeeded = sum(each.result() for each in sent)
    counts.append(answered(workers.scrape()))
    assert counts == sorted(counts)
    # At each of two kills and on each connection, one request may have been counted without its
    # response having arrived, or answered without having been counted yet.
    assert abs(counts[-1] - before - succeeded) <= 2 * CLIENTS


def test_the_files_of_dead_workers_do_not_pile_up(workers: Measured) -> None:
    folder = folder_of(workers)
    workers.scrape()
    before = len(list(folder.iterdir()))
    for _ in range(2):
        victim = max(pids(workers.scrape()))
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(pids(workers.scrape()) - {victim}) == 2, seconds=RESTART_SECONDS)  # noqa: B023 - called at once
    names = {file.name for file in folder.iterdir()}
    kinds = len({re.sub("[0-9]", "", name) for name in names})
    assert len(names) <= before + kinds, names  # those of all the dead, but not of each


def folder_of(service: Measured) -> Path:
    """Return the folder in which the processes of a service count."""
    [worker, *_] = pids(service.scrape())
    environment = Path(f"/proc/{worker}/environ").read_bytes().split(b"\0")
    [folder] = [each for each in environment if each.startswith(b"PROMETHEUS_MULTIPROC_DIR=")]
    return Path(folder.partition(b"=")[2].decode())


def test_only_the_user_who_runs_the_service_can_read_its_files(workers: Measured) -> None:
    assert folder_of(workers).stat().st_mode & 0o077 == 0


def test_the_folder_is_deleted_when_the_service_stops(tmp_path: Path) -> None:
    with measured(tmp_path, "--workers", "2") as service:
        until(lambda: len(pids(service.scrape())) == 2, seconds=RESTART_SECONDS)
        folder = folder_of(service)
        assert folder.is_dir()
    assert not folder.exists()
    assert service.service.process.returncode == 0


def test_the_folder_of_a_service_that_was_killed_is_deleted_by_the_next(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    with measured(first) as killed, measured(second) as other:
        left = [folder_in_memory_of(each) for each in (killed, other)]
        killed.service.process.kill()
        killed.service.process.wait()
        assert [folder.is_dir() for folder in left] == [True, True]
        with measured(second) as _:
            assert [folder.is_dir() for folder in left] == [False, True]
        assert other.scrape().value("todo_processes") == 1


def folder_in_memory_of(service: Measured) -> Path:
    """Return the folder of a service in one process, which has one of its files open."""
    for descriptor in Path(f"/proc/{service.service.process.pid}/fd").iterdir():
        target = descriptor.readlink()
        if target.name == "reader.lock":
            return target.parent
    raise AssertionError("the service counts nowhere")


WITHOUT_METRICS = r"""
import sys
from pathlib import Path
from tests.support.settings import embedded_settings, migrate
from tests.support.servers import running_server

settings = embedded_settings(Path(sys.argv[1]))
migrate(settings)
with running_server(settings) as server:
    server.register().http.close()
    limiter = type(server.container.rate_limiter()).__module__
imported = [name for name in sys.modules if "prometheus" in name or ".observed" in name]
print(f"\nof {limiter}\nimported {imported}")
"""


def test_without_the_setting_nothing_is_imported_or_observed(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    output = subprocess.run(
        [sys.executable, "-c", WITHOUT_METRICS, tmp_path],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ).stdout
    limiter, imported = output.splitlines()[-2:]
    assert limiter == "of todo_adapters.limits.rate_limiter"
    assert imported == "imported []"


def test_without_the_setting_no_port_is_opened(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        assert "Metrics" not in server.log.read_text()
        for descriptor in Path(f"/proc/{server.process.pid}/fd").iterdir():
            assert "todo-metrics" not in str(descriptor.readlink())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_of_the_metrics_that_is_in_use_is_reported(tmp_path: Path, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        options = ("--port", str(free_port()), "--workers", workers)
        outcome = todo(tmp_path, "serve", *options, TODO_METRICS_PORT=port)
    assert outcome.returncode == 1
    assert "Cannot listen on TODO_METRICS_HOST and TODO_METRICS_PORT: " in outcome.stderr
    assert "in use" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_the_port_of_the_metrics_must_not_be_that_of_the_api(tmp_path: Path) -> None:
    port = str(free_port())
    outcome = todo(tmp_path, "serve", "--port", port, TODO_METRICS_PORT=port)
    assert outcome.returncode == 1
    assert "TODO_METRICS_PORT must not be the port of the API" in outcome.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TODO_METRICS_PORT", "0"),
        ("TODO_METRICS_PORT", "65536"),
        ("TODO_METRICS_PORT", "http"),
        ("TODO_METRICS_HOST", "metrics.example.com"),
        ("TODO_METRICS_HOST", "127.0.0.1:9464"),
    ],
)
def test_an_invalid_address_of_the_metrics_is_refused(
    tmp_path: Path, variable: str, value: str
) -> None:
    outcome = todo(tmp_path, "serve", **{"TODO_METRICS_PORT": "9464", variable: value})
    assert outcome.returncode == 1
    assert f"{variable}: " in outcome.stderr


def test_an_address_that_this_machine_does_not_have_is_reported(tmp_path: Path) -> None:
    settings = {"TODO_METRICS_PORT": str(free_port()), "TODO_METRICS_HOST": "203.0.113.7"}
    outcome = todo(tmp_path, "serve", **settings)
    assert outcome.returncode == 1
    assert "TODO_METRICS_HOST" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_metrics_are_served_on_ipv6_too(tmp_path: Path) -> None:
    port = free_port()
    settings = {"TODO_METRICS_PORT": str(port), "TODO_METRICS_HOST": "::1"}
    with served_as_new(tmp_path, **settings) as server:
        with client_of(f"http://[::1]:{port}") as client:
            assert client.get("/metrics").status_code == 200
        assert f"Metrics  http://[::1]:{port}/metrics\n" in server.log.read_text()


def test_an_update_of_the_code_keeps_the_metrics(tmp_path: Path) -> None:
    """With `--reload`, the parent serves them, and the process that it restarts counts."""
    with measured(tmp_path, "--reload") as service:
        register_user(service.url).http.close()
        event = {"event": "account.registered"}
        assert service.scrape().value("todo_security_events_total", **event) == 1


def test_a_worker_that_took_the_number_of_a_dead_one_continues_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel gives numbers of processes again. Until a scrape, the dead one has its files."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    files = MetricFiles(tmp_path)
    program = """
import os
os.getpid = lambda: 4242
from todo_api.exporter.files import count_in_files
count_in_files()
from pathlib import Path
from todo_api.runtime.metrics import Metrics
metrics = Metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), version="1", database="sqlite",
                  connections=1)
metrics.count_request("GET", "/x", 200, 0.1)
metrics.count_limit_hit("tasks")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    files.retire_dead_processes()
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    files.retire_dead_processes()
    files.retire_dead_processes()
    assert {file.name for file in tmp_path.iterdir()} == {
        *("counter_0.db", "counter_requests_0.db", "counter_tasks_0.db"),
        "histogram_requests_0.db",
    }
    collect = """
import sys
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
registry = CollectorRegistry()
MultiProcessCollector(registry, path=sys.argv[1])
print(generate_latest(registry).decode())
"""
    text = subprocess.run(
        [sys.executable, "-c", collect, tmp_path], check=True, capture_output=True, text=True
    ).stdout
    scrape = Scrape.of(text)
    assert scrape.value("todo_http_requests_total", route="/x") == 3
    assert scrape.value("todo_http_request_duration_seconds_count", route="/x") == 3
    assert scrape.value("todo_rate_limited_total", limit="tasks") == 3


COUNTING = """
import os
from todo_api.exporter.files import count_in_files
count_in_files()
from pathlib import Path
from todo_api.runtime.metrics import Metrics
metrics = Metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]), version="1", database="sqlite",
                  connections=1)
for name in ("session check", "reminders", "purge", "emails"):
    metrics.expect_job(name, seconds=1)
metrics.count_request("GET", "/x", 200, 0.1)
"""


@pytest.fixture
def left_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MetricFiles:
    """The folder of a service, with the files of a process that has ended."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", COUNTING], check=True, env=environment)
    return MetricFiles(tmp_path)


def sparse(folder: Path) -> set[str]:
    """Return the files with pages for which no memory was allocated."""
    states = {file.name: file.stat() for file in folder.glob("*.db")}
    assert states
    return {name for name, state in states.items() if state.st_blocks * 512 < state.st_size}


def test_no_file_can_grow_into_memory_that_is_not_left(left_files: MetricFiles) -> None:
    """A process that writes to a page for which no memory is left is killed (SIGBUS)."""
    assert sparse(left_files.folder) == set()
    left_files.retire_dead_processes()
    assert sparse(left_files.folder) == set()


def test_without_memory_the_files_of_a_dead_process_stay_and_lose_nothing(
    left_files: MetricFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(os, "posix_fallocate", no_space)
        left_files.retire_dead_processes()
    names = {re.sub("[0-9]+", "N", file.name) for file in left_files.folder.iterdir()}
    counters = {f"{kind}_N.db" for kind in ("counter", "counter_requests", "counter_tasks")}
    assert names == {*counters, "histogram_requests_N.db", "N.lock"}
    assert not list(left_files.folder.glob("*_0.db"))
    left_files.retire_dead_processes()
    assert {file.name for file in left_files.folder.iterdir()} == {
        each.replace("N", "0") for each in {*counters, "histogram_requests_N.db"}
    }
    [counted] = [
        value
        for key, value, *_ in MmapedDict.read_all_values_from_file(
            str(left_files.folder / "counter_requests_0.db")
        )
        if '"/x"' in key
    ]
    assert counted == 1


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_service_without_memory_for_metrics_runs_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", no_space)
    with capture_logs() as log:
        made = [make_metrics(Settings(metrics_port=9464)) for _ in range(3)]
    assert made == [None, None, None]
    [line] = log
    assert line["event"] == "metrics.not_counted"
    assert "No space left on device" in line["reason"]
    assert list(tmp_path.iterdir()) == []


def test_a_service_whose_folder_was_deleted_answers_requests_and_replaces_workers(
    tmp_path: Path,
) -> None:
    with measured(tmp_path, "--workers", "2") as service:
        until(lambda: len(pids(service.scrape())) == 2, seconds=RESTART_SECONDS)
        workers, folder = pids(service.scrape()), folder_of(service)
        shutil.rmtree(folder)
        for _ in range(20):  # on connections of their own, to both workers
            assert client_request(service, "/healthz") == 200
            assert client_request(service, "/nowhere") == 404
            assert client_request(service, "/api/auth/me") == 401
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        until(lambda: not any(map(is_running, workers)))
        until(lambda: answers(service), seconds=RESTART_SECONDS)
        assert service.get("/metrics").status_code == 200
        until(lambda: len(not_counted(service)) >= 3, seconds=RESTART_SECONDS)
    reasons = not_counted(service)
    assert len(reasons) <= 4  # one of each process
    assert all(str(folder) in reason for reason in reasons)
    assert "Traceback" not in service.service.log.read_text()
    assert "Exception in ASGI" not in service.service.log.read_text()


def client_request(service: Measured, path: str) -> int:
    with client_of(service.url) as http:
        return http.get(path).status_code


def answers(service: Measured) -> bool:
    try:
        return client_request(service, "/healthz") == 200
    except httpx.TransportError:
        return False


def not_counted(service: Measured) -> list[str]:
    lines = service.service.lines()
    return [line["reason"] for line in lines if line["event"] == "metrics.not_counted"]
