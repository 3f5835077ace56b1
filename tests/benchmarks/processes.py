"""Servers as separate processes, and what the operating system reports about them."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.processes import children_of, resident

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 30
IDLE_TIMEOUT_SECONDS = 30

_MEGABYTE = 1e6
_POLL_SECONDS = 0.005
_IDLE_POLL_SECONDS = 0.05
_LOG_TAIL_CHARACTERS = 4000
_SETTINGS = ("TODO_", "DATABASE_URL", "BETTER_AUTH_", "PYTHON")


class BenchmarkFailed(Exception):
    """A condition of the benchmark is not met, so that its figures would be meaningless."""


@dataclass(frozen=True, slots=True)
class ProcessTree:
    """A process with its children, their children, and so on."""

    root: int

    def pids(self) -> list[int]:
        """Return the ids of its processes, the parents before the children."""
        children = [pid for child in children_of(self.root) for pid in ProcessTree(child).pids()]
        return [self.root, *children]

    def move_to(self, core: int) -> None:
        """Restrict its processes, and those that they start later, to a core."""
        for pid in self.pids():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    os.sched_setaffinity(int(thread.name), {core})

    def cpu_seconds(self) -> float:
        """Return the processor time that they have used, and children that have ended with them."""
        return sum(map(_cpu_seconds, self.pids()))

    def wait_until_idle(self) -> None:
        """Wait until they have nothing left to do, such as requests whose client has gone.

        Raises:
            BenchmarkFailed: if they are still busy after a long time.
        """
        deadline = time.monotonic() + IDLE_TIMEOUT_SECONDS
        used = self.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(_IDLE_POLL_SECONDS)
            before, used = used, self.cpu_seconds()
            if used == before:  # it is measured in units of 10 ms
                return
        raise BenchmarkFailed(f"Process {self.root} stays busy without any request.")

    def resident_megabytes(self) -> float:
        """Return the sum of their resident memory. What they share counts for each of them."""
        return self._sum(resident) / _MEGABYTE

    def proportional_megabytes(self) -> float:
        """Return the sum of their resident memory. What they share counts once (PSS)."""
        return self._sum(_proportional) / _MEGABYTE

    def largest_child_megabytes(self) -> float:
        """Return the resident memory of the largest process below the first."""
        return max(map(resident, self.pids()[1:])) / _MEGABYTE

    def _sum(self, size: Callable[[int], int]) -> int:
        return sum(map(size, self.pids()))


def parent_of(pid: int) -> int:
    """Return the parent of a process."""
    return int(_status(pid)[1])


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its ended children; zero if it has ended itself.

    Its parent then counts its time.
    """
    try:
        user_system_and_those_of_children = _status(pid)[11:15]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(map(int, user_system_and_those_of_children)) / os.sysconf("SC_CLK_TCK")


def _status(pid: int) -> list[str]:
    """Return the fields after the name, which may contain any character, see proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _proportional(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("Pss:")]
    return int(line.split()[1]) * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """The command of a server, and the path that shows that it is ready."""

    arguments: Sequence[str | Path]
    port: int
    ready_path: str
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, a client of it, and the seconds of its cold start."""

    processes: ProcessTree
    client: httpx.Client
    url: str
    seconds_to_answer: float


def on_core(core: int | None) -> list[str]:
    """Return the beginning of a command that runs on this core only, or on all if there is none."""
    return [] if core is None else ["taskset", "--cpu-list", str(core)]


@contextmanager
def running(command: Command, *, core: int | None, folder: Path) -> Iterator[Server]:
    """Run a server until the block ends, with its log in `folder`.

    Raises:
        BenchmarkFailed: if it exits or does not respond in time; with the end of its log.
    """
    log = folder / f"{command.port}.log"
    with _client(command.url) as client, log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [*on_core(core), *command.arguments],
            stdout=output,
            stderr=output,
            cwd=folder,
            env=command.environment,
        )
        try:
            _wait_for_answer(command, process, client, log)
            seconds_to_answer = time.perf_counter() - started
            yield Server(ProcessTree(process.pid), client, command.url, seconds_to_answer)
        finally:
            _end(process)


def _client(url: str) -> httpx.Client:
    """Return a client that waits for a login, also on a core that is busy with other things."""
    return httpx.Client(base_url=url, trust_env=False, timeout=START_TIMEOUT_SECONDS)


def _wait_for_answer(
    command: Command, process: subprocess.Popen[bytes], client: httpx.Client, log: Path
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not _answers(client, command.ready_path):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchmarkFailed(
                f"{command.arguments[0]} does not answer:\n"
                + log.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:]
            )
        time.sleep(_POLL_SECONDS)


def _answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process with only these settings of the service.

    Settings of the interpreter are removed as well: disabling the bytecode cache, as
    containers often do, doubles the time of a cold start.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)
    }
    return inherited | dict(settings)
