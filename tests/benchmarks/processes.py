"""Servers as separate processes, each restricted to one core.

A comparison on one core is fair only if the load generator does not use that core. The benchmark
therefore moves itself to the second core, with all processes that it starts (wrk, PostgreSQL), and
only the servers that are measured run on the first.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 30

_POLL_SECONDS = 0.005
_LOG_TAIL_CHARACTERS = 4000
_SETTINGS = ("TODO_", "DATABASE_URL", "BETTER_AUTH_", "PYTHON")


class BenchmarkFailed(Exception):
    """A condition of the benchmark is not met, so that its figures would be meaningless."""


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the servers that are measured, and the core of all other processes."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """Return the first two cores that this process may use.

        Raises:
            BenchmarkFailed: if there is only one.
        """
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise BenchmarkFailed("Two cores are needed: one for the server, one for the load.")
        return cls(server=usable[0], load=usable[1])

    def keep_to_load_core(self) -> None:
        """Move this process, and the processes that it starts later, to the core of the load."""
        os.sched_setaffinity(0, {self.load})


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

    process: subprocess.Popen[bytes]
    client: httpx.Client
    url: str
    seconds_to_answer: float

    def resident_megabytes(self) -> float:
        """Return its resident memory, in millions of bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(resident.split()[1]) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """Return the processor time of all of its threads since its start."""
        status = Path(f"/proc/{self.process.pid}/stat").read_text()
        # The name in parentheses may contain any character, see proc_pid_stat(5).
        user_ticks, system_ticks = status.rpartition(")")[2].split()[11:13]
        return (int(user_ticks) + int(system_ticks)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: Command, *, core: int, folder: Path) -> Iterator[Server]:
    """Run a server on one core until the block ends, with its log in `folder`.

    Raises:
        BenchmarkFailed: if it exits or does not respond in time; with the end of its log.
    """
    log = folder / f"{command.port}.log"
    with httpx.Client(base_url=command.url, trust_env=False) as client, log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command.arguments],
            stdout=output,
            stderr=output,
            cwd=folder,
            env=command.environment,
        )
        try:
            _wait_for_answer(command, process, client, log)
            yield Server(process, client, command.url, time.perf_counter() - started)
        finally:
            _end(process)


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
