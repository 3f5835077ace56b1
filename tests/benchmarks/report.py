"""The measurements as text, for a terminal, and in one table for the README."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.contenders import WORKERS, Name, Operation
from tests.benchmarks.footprint import STARTS, ColdStart, Memory
from tests.benchmarks.footprint import WORKERS as FOOTPRINT_WORKERS
from tests.benchmarks.half_load import HalfLoad
from tests.benchmarks.machine import machine
from tests.benchmarks.parts import COMPARISONS, SCALES, Outcome, Part
from tests.benchmarks.results import Figure, Results, by_cpu, by_throughput
from tests.benchmarks.scale import LARGE, SMALL, Scale
from tests.benchmarks.targets import Target

_HEADINGS = (
    f"{'operation':<19}{'contender':<17}{'requests/s':>10}{'p50 ms':>8}{'p99 ms':>8}"
    f"{'CPU µs':>8}{'DB µs':>7}{'todo ÷ it':>19}{'by CPU':>19}"
)
_RULE = "-" * len(_HEADINGS)
_NOTHING = "–"

_LAYOUTS = (
    ("pinned", Part.SQLITE_PINNED, Part.POSTGRESQL_PINNED, Name.SERVICE),
    ("one process", Part.SQLITE_UNPINNED, Part.POSTGRESQL_UNPINNED, Name.SERVICE),
    (f"{WORKERS} workers", Part.SQLITE_UNPINNED, Part.POSTGRESQL_UNPINNED, Name.WORKERS),
)
"""The layouts in the table: the parts that measured them, and the service in them."""


def results_text(part: Part, results: Results) -> str:
    """Return a table of the speed, followed by the memory."""
    lines = [COMPARISONS[part], _RULE, _HEADINGS]
    for operation in results.rounds:
        lines += [*_operation_lines(operation, results), ""]
    if scaling := list(_scaling_lines(results)):
        lines += [f"{WORKERS} workers, relative to one process, by throughput", *scaling, ""]
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in results.resident_megabytes.items())
    return "\n".join([*lines, f"Resident memory of all processes after the load: {memory}", ""])


def _operation_lines(operation: Operation, results: Results) -> Iterator[str]:
    for name in results.rounds[operation]:
        figure = results.figure(operation, name)
        ratios = (
            results.ratio(operation, Name.SERVICE, name, by_what)
            for by_what in (by_throughput, by_cpu)
        )
        yield (
            f"{operation:<19}{name:<17}{figure.requests_per_second:>10,.0f}"
            f"{figure.p50_milliseconds:>8.1f}{figure.p99_milliseconds:>8.1f}"
            f"{figure.cpu_microseconds:>8.0f}{figure.database_cpu_microseconds:>7.0f}"
            + "".join(f"{ratio!s:>19}" for ratio in ratios)
        )


def _scaling_lines(results: Results) -> Iterator[str]:
    for operation in results.rounds:
        if results.has(operation, Name.WORKERS, Name.SERVICE):
            ratio = results.ratio(operation, Name.WORKERS, Name.SERVICE, by_throughput)
            yield f"{operation:<19}{ratio}"


def half_load_text(half_load: Sequence[HalfLoad]) -> str:
    """Return how long clients wait at half of the peak."""
    lines = ["The service in one process at half of its peak, SQLite, unpinned", _RULE]
    for half in half_load:
        figures = half.figures
        lines.append(
            f"{half.operation:<19}"
            f"{figures.requests_per_second:,.0f} of {half.peak:,.0f} requests/s:"
            f" p50 {figures.p50_milliseconds:.2f} ms, p99 {figures.p99_milliseconds:.2f} ms,"
            f" p99 ÷ p50 {half.spread}"
        )
    return "\n".join([*lines, ""])


def memory_text(memory: Memory) -> str:
    """Return the memory of the service."""
    return (
        "Resident memory of the service on SQLite after the load:\n"
        f"{memory.one_process:.0f} MB in one process;"
        f" {memory.largest_worker:.0f} MB in the larger of {FOOTPRINT_WORKERS} workers,"
        f" {memory.all_resident:.0f} MB in them and their parent"
        f" (PSS {memory.all_proportional:.0f} MB)\n"
    )


def cold_start_text(cold_start: ColdStart) -> str:
    """Return the times of the cold start."""
    return (
        f"Cold start of `todo serve`, bytecode cached, median of {STARTS}:\n"
        f"{cold_start.fresh:.2f} s in a fresh folder,"
        f" {cold_start.initialised:.2f} s in an initialised one\n"
    )


def scale_text(part: Part, scale: Scale) -> str:
    """Return what requests cost in a large database and a small one, and the memory."""
    lines = [
        f"{SCALES[part]}: the requests of an owner with a fifth of all tasks, one at a time",
        f"{LARGE}, and {SMALL}",
        _RULE,
        f"{'request':<24}{'large, ms':>10}{'small, ms':>10}{'large ÷ small by CPU':>26}",
    ]
    for name, rounds in scale.rounds.items():
        large, small = rounds.milliseconds
        lines.append(f"{name:<24}{large:>10.2f}{small:>10.2f}{rounds.ratio!s:>26}")
    grown = ", ".join(
        f"{size - scale.idle_megabytes:+.1f} MB with {name}"
        for name, size in scale.megabytes.items()
    )
    lines.append(f"Resident memory: {scale.idle_megabytes:.0f} MB when idle; {grown}")
    return "\n".join([*lines, ""])


def targets_text(all_targets: Sequence[Target]) -> str:
    """Return one line for each target."""
    return "\n".join(
        ["Targets", _RULE]
        + [
            f"{target.what:<94}{target.figure:>18}  {'met' if target.is_met else 'missed'}"
            for target in all_targets
        ]
        + [""]
    )


def table(outcome: Outcome) -> str:
    """Return the table for the README, in Markdown."""
    headings = ["operation", "layout", *(heading for heading, _ in _COLUMNS)]
    rows = [
        [row.operation, row.layout, *(text(row) for _, text in _COLUMNS)]
        for row in _table_rows(outcome)
    ]
    alignment = ["---", "---", *["---:"] * len(_COLUMNS)]
    return "\n".join(
        [
            "Each ratio is the median of the rounds (lowest-highest). Above 1, todo is faster.",
            f"Measured on {machine()}.",
            "",
            *(f"| {' | '.join(cells)} |" for cells in (headings, alignment, *rows)),
            "",
        ]
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """An operation of the service in a layout, and the results with it on both databases."""

    operation: Operation
    layout: str
    service: Name
    sqlite: Results | None
    postgresql: Results | None


def _table_rows(outcome: Outcome) -> Iterator[_Row]:
    for operation in Operation:
        for layout, sqlite, postgresql, service in _LAYOUTS:
            measured = outcome.comparisons.get(sqlite), outcome.comparisons.get(postgresql)
            if any(measured):
                yield _Row(operation, layout, service, *measured)


def _rate(row: _Row, results: Results | None) -> str:
    if results is None or not results.has(row.operation, row.service):
        return _NOTHING
    return f"{results.figure(row.operation, row.service).requests_per_second:,.0f}"


def _ratio(row: _Row, results: Results | None, other: Name, figure: Figure) -> str:
    if results is None or not results.has(row.operation, row.service, other):
        return _NOTHING
    return str(results.ratio(row.operation, row.service, other, figure))


_COLUMNS: Sequence[tuple[str, Callable[[_Row], str]]] = (
    ("requests/s", lambda row: _rate(row, row.sqlite)),
    ("÷ PocketBase", lambda row: _ratio(row, row.sqlite, Name.POCKETBASE, by_throughput)),
    ("÷ PocketBase by CPU", lambda row: _ratio(row, row.sqlite, Name.POCKETBASE, by_cpu)),
    ("÷ hand-written by CPU", lambda row: _ratio(row, row.sqlite, Name.HAND_WRITTEN, by_cpu)),
    ("PostgreSQL: requests/s", lambda row: _rate(row, row.postgresql)),
    ("÷ hand-written by CPU", lambda row: _ratio(row, row.postgresql, Name.HAND_WRITTEN, by_cpu)),
)
"""The columns of the table with figures, those on SQLite first."""
