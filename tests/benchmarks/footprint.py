"""The memory of the service, and the time that it takes to start."""

from dataclasses import dataclass
from statistics import median

from tests.benchmarks.contenders import BASIC_OPERATIONS, Contender
from tests.benchmarks.load import measure
from tests.benchmarks.processes import running
from tests.benchmarks.service import create_data, service, service_command, service_with_workers
from tests.benchmarks.setup import Layout, Setup, sqlite

STARTS = 5
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory after load, in megabytes.

    `largest_worker`, `all_resident` and `all_proportional` are those of two workers and their
    parent. In `all_resident`, memory that processes share counts for each of them.
    """

    one_process: float
    largest_worker: float
    all_resident: float
    all_proportional: float


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The time from the start of `todo serve` to its first response, in seconds."""

    fresh: float
    initialised: float


def measure_memory(setup: Setup, *, seconds: int) -> Memory:
    """Measure the service in one process, and then with two workers."""
    data = create_data(setup)
    with service(setup, data) as contender:
        _load(contender, setup, seconds)
        one_process = contender.server.processes.resident_megabytes()
    with service_with_workers(setup, data, WORKERS) as contender:
        _load(contender, setup, seconds)
        processes = contender.server.processes
        return Memory(
            one_process,
            processes.largest_child_megabytes(),
            processes.resident_megabytes(),
            processes.proportional_megabytes(),
        )


def _load(contender: Contender, setup: Setup, seconds: int) -> None:
    for operation in BASIC_OPERATIONS:
        measure(contender.endpoints[operation], contender.server, setup, seconds=seconds)


def measure_cold_start(layout: Layout) -> ColdStart:
    """Measure several starts, each on a new embedded database and then again on it."""
    fresh, initialised = [], []
    for _ in range(STARTS):
        with sqlite(layout) as setup:
            fresh.append(_seconds_to_answer(setup))
            initialised.append(_seconds_to_answer(setup))
    return ColdStart(median(fresh), median(initialised))


def _seconds_to_answer(setup: Setup) -> float:
    command = service_command(setup)
    with running(command, core=setup.layout.server_core, folder=setup.folder) as server:
        return server.seconds_to_answer
