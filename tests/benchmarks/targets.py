"""The targets of the service, and whether they are met."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.benchmarks.contenders import BASIC_OPERATIONS, Name, Operation
from tests.benchmarks.footprint import ColdStart, Memory
from tests.benchmarks.parts import COMPARISONS, SCALES, Outcome, Part
from tests.benchmarks.results import Figure, Ratio, Results, by_cpu, by_throughput
from tests.benchmarks.scale import ROWS, Scale

COLD_START_SECONDS = 1.2
WORKER_MEGABYTES = 110
TWO_WORKERS_MEGABYTES = 240
P99_TO_P50 = 5
LARGE_OWNER_MEGABYTES = 20

type Minimums = Mapping[Operation, float]


def _minimums(list_tasks: float, read: float, create: float) -> Minimums:
    return dict(zip(BASIC_OPERATIONS, (list_tasks, read, create), strict=True))


@dataclass(frozen=True, slots=True)
class RatioTarget:
    """The least that a ratio between two contenders must be, for each operation."""

    part: Part
    one: Name
    other: Name
    figure: Figure
    minimums: Minimums


RATIOS = (
    RatioTarget(
        Part.SQLITE_PINNED, Name.SERVICE, Name.POCKETBASE, by_throughput, _minimums(2.0, 1.5, 2.0)
    ),
    RatioTarget(
        Part.SQLITE_PINNED,
        *(Name.SERVICE, Name.POCKETBASE, by_throughput),
        {Operation.CREATE_AND_DELETE: 1.2},
    ),
    RatioTarget(
        Part.SQLITE_UNPINNED, Name.SERVICE, Name.POCKETBASE, by_cpu, _minimums(1.7, 1.2, 1.7)
    ),
    RatioTarget(
        Part.SQLITE_UNPINNED, Name.WORKERS, Name.POCKETBASE, by_throughput, _minimums(1.5, 1.0, 1.5)
    ),
    RatioTarget(
        Part.SQLITE_UNPINNED, Name.WORKERS, Name.SERVICE, by_throughput, _minimums(1.7, 1.7, 1.7)
    ),
    RatioTarget(
        Part.POSTGRESQL_PINNED, Name.SERVICE, Name.HAND_WRITTEN, by_cpu, _minimums(1.0, 1.0, 1.0)
    ),
    *(
        RatioTarget(part, Name.LIMITED, Name.SERVICE, by_throughput, _minimums(0.95, 0.95, 0.95))
        for part in (Part.SQLITE_PINNED, Part.POSTGRESQL_PINNED)
    ),
)


@dataclass(frozen=True, slots=True)
class Target:
    """A minimum or maximum for a figure, and whether it is met."""

    what: str
    figure: str
    is_met: bool


def targets(outcome: Outcome) -> list[Target]:
    """Return the targets for what has been measured."""
    return [
        *(
            target
            for ratio in RATIOS
            if ratio.part in outcome.comparisons
            for target in _ratio_targets(ratio, outcome.comparisons[ratio.part])
        ),
        *(
            _at_most(f"{half.operation} at half load, p99 ÷ p50", P99_TO_P50, half.spread)
            for half in outcome.half_load
        ),
        *(
            target
            for part, scale in outcome.scales.items()
            for target in _scale_targets(SCALES[part], scale)
        ),
        *(_memory_targets(outcome.memory) if outcome.memory else ()),
        *(_cold_start_targets(outcome.cold_start) if outcome.cold_start else ()),
    ]


def _ratio_targets(target: RatioTarget, results: Results) -> Iterator[Target]:
    unit = "by CPU" if target.figure is by_cpu else "by throughput"
    for operation, minimum in target.minimums.items():
        ratio = results.ratio(operation, target.one, target.other, target.figure)
        yield Target(
            f"{COMPARISONS[target.part]}: {operation}, {target.one} ÷ {target.other} {unit}"
            f" at least {minimum:.2f}",
            str(ratio),
            ratio.median >= minimum,
        )


def _scale_targets(database: str, scale: Scale) -> Iterator[Target]:
    for name, rounds in scale.rounds.items():
        maximum = ROWS[name].maximum
        if maximum is not None:
            yield _at_most(f"{database}, large ÷ small: {name}", maximum, rounds.ratio)
    for name, size in scale.megabytes.items():
        yield _at_most(
            f"{database}: memory above idle with {name} of a large owner, MB",
            LARGE_OWNER_MEGABYTES,
            size - scale.idle_megabytes,
        )


def _memory_targets(memory: Memory) -> Iterator[Target]:
    yield _at_most("resident memory of one process, MB", WORKER_MEGABYTES, memory.one_process)
    yield _at_most(
        "resident memory of the largest of two workers, MB", WORKER_MEGABYTES, memory.largest_worker
    )
    yield _at_most(
        "proportional memory (PSS) of two workers and their parent, MB",
        TWO_WORKERS_MEGABYTES,
        memory.all_proportional,
    )


def _cold_start_targets(cold_start: ColdStart) -> Iterator[Target]:
    yield _at_most("cold start in a fresh folder, s", COLD_START_SECONDS, cold_start.fresh)
    yield _at_most(
        "cold start in an initialised folder, s", COLD_START_SECONDS, cold_start.initialised
    )


def _at_most(what: str, maximum: float, figure: float | Ratio) -> Target:
    size = figure.median if isinstance(figure, Ratio) else figure
    text = str(figure) if isinstance(figure, Ratio) else f"{figure:.2f}"
    return Target(f"{what} at most {maximum:g}", text, size <= maximum)
