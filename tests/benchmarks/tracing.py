"""What traces cost: the processor time of a request, and the memory of a process, on Linux.

`python -m tests.benchmarks.tracing` runs services with and without an endpoint, which take turns at
the same requests. Each is a process of `todo serve`; the collector is this process. Processor time
includes that of the thread that exports, and is what the system counts for the process.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx

from tests.support.command import Served, served
from tests.support.otlp import Collector, collecting
from tests.support.processes import resident
from tests.support.users import ApiUser, register_user

CALLS = 400
ROUNDS = 9
TASKS = 20
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Contender:
    """A running service, and what was measured of it so far."""

    server: Served
    user: ApiUser
    task: int
    measured: dict[str, list[float]] = field(default_factory=dict)

    def processor_seconds(self) -> float:
        """Return the processor time that the process has taken."""
        stat = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS


def _list(contender: Contender) -> httpx.Response:
    return contender.user.http.get(contender.user.tasks(limit=str(TASKS)))


def _read(contender: Contender) -> httpx.Response:
    return contender.user.http.get(contender.user.tasks(f"/{contender.task}"))


def _create(contender: Contender) -> httpx.Response:
    return contender.user.http.post(contender.user.tasks(), json={"title": "Buy milk"})


OPERATIONS: dict[str, Callable[[Contender], httpx.Response]] = {
    "list of 20": _list,
    "read": _read,
    "create": _create,
}


def environments(collector: Collector) -> dict[str, dict[str, str]]:
    """Return the variables of each contender."""
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    return {
        "off": {},
        "traces": traced,
        "traces, none sampled": {**traced, "OTEL_TRACES_SAMPLER": "always_off"},
        "traces and logs": {**traced, "OTEL_LOGS_EXPORTER": "otlp"},
    }


@contextmanager
def contenders(collector: Collector) -> Iterator[dict[str, Contender]]:
    """Run all services, each on a database of its own."""
    with ExitStack() as stack:
        found = {}
        for name, variables in environments(collector).items():
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="todo-benchmark-")))
            server = stack.enter_context(
                served(
                    folder, **variables, TODO_RATE_LIMIT_ENABLED="false", TODO_CPU_AFFINITY="off"
                )
            )
            user = register_user(server.url)
            stack.enter_context(user.http)
            tasks = [user.create() for _ in range(TASKS)]
            found[name] = Contender(server, user, tasks[0]["id"])
        yield found


def measure(contender: Contender, call: Callable[[Contender], httpx.Response]) -> float:
    """Return the processor time of a call, in microseconds."""
    began = contender.processor_seconds()
    for _ in range(CALLS):
        call(contender).raise_for_status()
    return (contender.processor_seconds() - began) / CALLS * 1e6


def main() -> None:
    with collecting() as collector, contenders(collector) as running:
        for operation, call in OPERATIONS.items():
            for number in range(ROUNDS + 1):
                for contender in running.values():
                    microseconds = measure(contender, call)
                    if number:  # the first round warms up
                        contender.measured.setdefault(operation, []).append(microseconds)
        time.sleep(6)  # until the last batch is exported
        sys.stdout.write(report(running))
        sys.stdout.write(f"{len(collector.spans)} spans, {len(collector.lines)} lines exported\n")


def report(running: Mapping[str, Contender]) -> str:
    """Return a table of the medians."""
    head = "".join(f"{each:>12}" for each in (*OPERATIONS, "memory, MB"))
    rows = [f"{'processor time, µs':24}{head}\n"]
    for name, contender in running.items():
        medians = [median(contender.measured[each]) for each in OPERATIONS]
        cells = (*medians, resident(contender.server.process.pid) / 1e6)
        rows.append(f"{name:24}{''.join(f'{each:12.0f}' for each in cells)}\n")
    return "".join(rows)


if __name__ == "__main__":
    main()
