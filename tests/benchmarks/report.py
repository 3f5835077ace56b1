"""The measurements as text, for a terminal, and in one table for the README."""

from collections.abc import Iterator, Sequence

from tests.benchmarks.contenders import WORKERS, Name, Operation
from tests.benchmarks.footprint import STARTS, ColdStart, Memory
from tests.benchmarks.footprint import WORKERS as FOOTPRINT_WORKERS
from tests.benchmarks.half_load import HalfLoad
from tests.benchmarks.machine import machine
from tests.benchmarks.parts import COMPARISONS, Outcome, Part
from tests.benchmarks.results import Figure, Results, by_cpu, by_throughput
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

_COLUMNS = (
    ("÷ PocketBase", False, Name.POCKETBASE, by_throughput),
    ("÷ PocketBase by CPU", False, Name.POCKETBASE, by_cpu),
    ("÷ hand-written by CPU", False, Name.HAND_WRITTEN, by_cpu),
    ("the same on PostgreSQL", True, Name.HAND_WRITTEN, by_cpu),
)
"""The ratios in the table; the second field is whether they are those on PostgreSQL."""


def results_text(part: Part, results: Results) -> str:
    """Return a table of the speed, followed by the memory."""
    lines = [COMPARISONS[part], _RULE, _HEADINGS]
    for operation in results.rounds:
        lines += [*_operation_lines(operation, results), ""]
    if scaling := ", ".join(_scaling(results)):
        lines.append(f"{WORKERS} workers, relative to one process: {scaling}")
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in results.resident_megabytes.items())
    return "\n".join([*lines, f"Resident memory of all processes after the load: {memory}", ""])


def _operation_lines(operation: Operation, results: Results) -> Iterator[str]:
    for name, figure in results.figures(operation).items():
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


def _scaling(results: Results) -> Iterator[str]:
    for operation in results.rounds:
        if results.has(operation, Name.WORKERS, Name.SERVICE):
            ratio = results.ratio(operation, Name.WORKERS, Name.SERVICE, by_throughput)
            yield f"{operation} {ratio}"


def half_load_text(half_load: Sequence[HalfLoad]) -> str:
    """Return how long clients wait at half of the peak."""
    lines = ["The service in one process at half of its peak, SQLite, unpinned", _RULE]
    for half in half_load:
        figures = half.figures
        lines.append(
            f"{half.operation:<19}{figures.requests_per_second:>6,.0f} requests/s:"
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


def targets_text(all_targets: Sequence[Target]) -> str:
    """Return one line for each target."""
    return "\n".join(
        ["Targets", _RULE]
        + [
            f"{target.what:<86}{target.figure:>18}  {'met' if target.is_met else 'missed'}"
            for target in all_targets
        ]
        + [""]
    )


def table(outcome: Outcome) -> str:
    """Return the table for the README, in Markdown."""
    headings = ("operation", "layout", "requests/s", *(heading for heading, *_ in _COLUMNS))
    rows = [headings, ["---"] * 2 + ["---:"] * (len(headings) - 2)]
    layouts = [
        layout
        for layout in _LAYOUTS
        if layout[1] in outcome.comparisons or layout[2] in outcome.comparisons
    ]
    rows += [_row(operation, *layout, outcome) for operation in Operation for layout in layouts]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([f"Measured on {machine()}.", "", *lines, ""])


def _row(
    operation: Operation, layout: str, sqlite: Part, postgresql: Part, one: Name, outcome: Outcome
) -> list[str]:
    on_sqlite = outcome.comparisons.get(sqlite)
    on_postgresql = outcome.comparisons.get(postgresql)
    rate = _NOTHING
    if on_sqlite:
        rate = f"{on_sqlite.figures(operation)[one].requests_per_second:,.0f}"
    ratios = (
        _ratio(operation, one, other, figure, on_postgresql if is_postgresql else on_sqlite)
        for _, is_postgresql, other, figure in _COLUMNS
    )
    return [operation, layout, rate, *ratios]


def _ratio(
    operation: Operation, one: Name, other: Name, figure: Figure, results: Results | None
) -> str:
    if results is None or not results.has(operation, one, other):
        return _NOTHING
    return str(results.ratio(operation, one, other, figure))
