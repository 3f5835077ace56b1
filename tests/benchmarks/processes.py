"""Servers as processes of their own, each kept to one core.

A comparison on one core is fair only if whoever asks the questions stays off
that core, so everything is about who runs where: the benchmark itself moves to
the second core, with all that it starts (wrk, PostgreSQL), and only the servers
that are measured run on the first.
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
    """Something is not as it must be, so the figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core runs the servers that are measured, and which one all the rest."""

    server: int
    load: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """The first two cores that this process may use.

        Raises:
            BenchmarkFailed: if there is only one.
        """
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            raise BenchmarkFailed("Two cores are needed: one for the server, one for the load.")
        return cls(server=usable[0], load=usable[1])

    def keep_to_load_core(self) -> None:
        """Move this process, and whatever it starts from now on, to the core of the load."""
        os.sched_setaffinity(0, {self.load})


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started, and the path at which it first answers with success."""

    arguments: Sequence[str | Path]
    port: int
    ready_path: str
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. `client` speaks to it, and `seconds_to_answer` is its cold start."""

    process: subprocess.Popen[bytes]
    client: httpx.Client
    url: str
    seconds_to_answer: float

    def resident_megabytes(self) -> float:
        """How much memory it occupies at this moment, in millions of bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(resident.split()[1]) * 1024 / 1e6

    def cpu_seconds(self) -> float:
        """For how long it has been computing since its start, on all of its threads."""
        status = Path(f"/proc/{self.process.pid}/stat").read_text()
        # The name in parentheses may hold anything; see proc_pid_stat(5) for what follows.
        user_ticks, system_ticks = status.rpartition(")")[2].split()[11:13]
        return (int(user_ticks) + int(system_ticks)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(command: Command, *, core: int, folder: Path) -> Iterator[Server]:
    """Run a server on one core for the time of the block; its log is a file in `folder`.

    Raises:
        BenchmarkFailed: if it ends, or does not answer in time; with the end of its log.
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
    """This process's environment with these settings of the service, and no others.

    The interpreter's own go too: one that keeps it from caching bytecode, which
    containers like to set, doubles the time of a cold start.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)
    }
    return inherited | dict(settings)
