"""Run the benchmark, and report."""

from collections.abc import Collection
from functools import partial
from typing import Annotated

import typer

from tests.benchmarks.comparison import compare
from tests.benchmarks.footprint import measure_cold_start, measure_memory
from tests.benchmarks.half_load import measure_half_load
from tests.benchmarks.load import require_wrk
from tests.benchmarks.machine import conditions
from tests.benchmarks.parts import Outcome, Part
from tests.benchmarks.processes import BenchmarkFailed
from tests.benchmarks.report import (
    cold_start_text,
    half_load_text,
    memory_text,
    results_text,
    scale_text,
    table,
    targets_text,
)
from tests.benchmarks.scale import measure_scale
from tests.benchmarks.setup import UNPINNED, Layout, pinned, postgresql, sqlite
from tests.benchmarks.targets import targets


def main(
    seconds: Annotated[int, typer.Option(min=1, help="How long each measurement takes.")] = 2,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is repeated.")] = 5,
    only: Annotated[
        list[Part] | None, typer.Option(help="A part to run; may be repeated. Default: all.")
    ] = None,
    strict: Annotated[bool, typer.Option(help="Exit with 1 if a target is missed.")] = False,
) -> None:
    """Compare the service with other implementations of the same endpoints.

    With the defaults, all parts together take about half an hour.
    """
    try:
        require_wrk()
        layout = pinned()
        typer.echo(conditions(layout, seconds=seconds, rounds=rounds))
        outcome = _measure(only or Part, layout, seconds=seconds, rounds=rounds)
    except BenchmarkFailed as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(2) from None
    all_targets = targets(outcome)
    typer.echo(targets_text(all_targets))
    if outcome.comparisons:
        typer.echo(table(outcome))
    if strict and not all(target.is_met for target in all_targets):
        raise typer.Exit(1)


def _measure(parts: Collection[Part], layout: Layout, *, seconds: int, rounds: int) -> Outcome:
    """Measure these parts one after the other, and print each result at once."""
    outcome = Outcome()
    if Part.COLD_START in parts:
        outcome.cold_start = measure_cold_start(layout)
        typer.echo(cold_start_text(outcome.cold_start))
    if Part.MEMORY in parts:
        with sqlite(UNPINNED) as setup:
            outcome.memory = measure_memory(setup, seconds=seconds)
        typer.echo(memory_text(outcome.memory))
    if Part.HALF_LOAD in parts:
        with sqlite(UNPINNED) as setup:
            outcome.half_load = measure_half_load(setup, seconds=seconds, rounds=rounds)
        typer.echo(half_load_text(outcome.half_load))
    comparisons = {
        Part.SQLITE_PINNED: sqlite(layout),
        Part.SQLITE_UNPINNED: sqlite(UNPINNED),
        Part.POSTGRESQL_PINNED: postgresql(layout),
        Part.POSTGRESQL_UNPINNED: postgresql(UNPINNED),
    }
    for part, opened in comparisons.items():
        if part in parts:
            with opened as setup:
                results = outcome.comparisons[part] = compare(setup, seconds=seconds, rounds=rounds)
            typer.echo(results_text(part, results))
    scales = {Part.SCALE_SQLITE: sqlite, Part.SCALE_POSTGRESQL: postgresql}
    for part, open_setup in scales.items():
        if part in parts:
            scale = outcome.scales[part] = measure_scale(
                partial(open_setup, layout), seconds=seconds, rounds=rounds
            )
            typer.echo(scale_text(part, scale))
    return outcome


if __name__ == "__main__":
    typer.run(main)
