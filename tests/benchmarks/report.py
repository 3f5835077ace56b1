"""The measurements as text, and whether they meet the targets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.contenders import SQLITE, Name, Operation
from tests.benchmarks.load import Measurement

SHARE_OF_HAND_WRITTEN = 0.85
SHARES_OF_POCKETBASE = {Operation.LIST: 1.2, Operation.READ: 0.75, Operation.CREATE: 1.0}
SHARE_WITH_LIMITS = 0.95
COLD_START_SECONDS = 2.5
RESIDENT_MEGABYTES = 120.0

_HEADINGS = (
    f"{'operation':<16}{'contender':<16}"
    f"{'requests/s':>11}{'p50 ms':>9}{'p99 ms':>9}{'todo ÷ it':>11}{'CPU µs':>9}{'by CPU':>9}"
)
_RULE = "-" * len(_HEADINGS)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The time from the start of `todo serve` to its first response, in seconds."""

    fresh: float
    initialised: float


@dataclass(frozen=True, slots=True)
class Results:
    """The measurements of all contenders on one of the service's databases, by round.

    A ratio is the median of the ratios of the rounds, so that a slow round does
    not affect it.
    """

    storage: str
    rounds: Mapping[Operation, Mapping[Name, Sequence[Measurement]]]
    resident_megabytes: Mapping[Name, float]

    def figures(self, operation: Operation) -> Mapping[Name, Measurement]:
        """Return the median measurement of each contender."""
        return {
            name: Measurement.median_of(rounds) for name, rounds in self.rounds[operation].items()
        }

    def ratio(self, operation: Operation, other: Name) -> float:
        """Return the throughput of the service relative to another contender."""
        return median(
            ours.requests_per_second / theirs.requests_per_second
            for ours, theirs in self._pairs(operation, other)
        )

    def ratio_by_cpu(self, operation: Operation, other: Name) -> float:
        """Return the same ratio by processor time, which ignores times when the core is idle."""
        return median(
            theirs.cpu_microseconds / ours.cpu_microseconds
            for ours, theirs in self._pairs(operation, other)
        )

    def _pairs(
        self, operation: Operation, other: Name
    ) -> Iterable[tuple[Measurement, Measurement]]:
        rounds = self.rounds[operation]
        return zip(rounds[Name.SERVICE], rounds[other], strict=True)


@dataclass(frozen=True, slots=True)
class Target:
    """A minimum or maximum for a figure, and whether it is met."""

    what: str
    figure: str
    is_met: bool

    @classmethod
    def at_least(cls, what: str, minimum: float, unit: str, figure: float) -> "Target":
        """Make a target for a figure of which more is better."""
        return cls(f"{what} at least {minimum:g} {unit}", f"{figure:.2f}", figure >= minimum)

    @classmethod
    def at_most(cls, what: str, maximum: float, unit: str, figure: float) -> "Target":
        """Make a target for a figure of which less is better."""
        return cls(f"{what} at most {maximum:g} {unit}", f"{figure:.2f}", figure <= maximum)


def targets(cold_start: ColdStart, all_results: Sequence[Results]) -> list[Target]:
    """Return all targets of the service."""
    return [
        *(target for results in all_results for target in _speed_targets(results)),
        Target.at_most("cold start, fresh folder", COLD_START_SECONDS, "s", cold_start.fresh),
        Target.at_most(
            "cold start, initialised folder", COLD_START_SECONDS, "s", cold_start.initialised
        ),
        *(
            Target.at_most(
                f"resident memory on {results.storage}",
                RESIDENT_MEGABYTES,
                "MB",
                results.resident_megabytes[Name.SERVICE],
            )
            for results in all_results
        ),
    ]


def _speed_targets(results: Results) -> Iterator[Target]:
    """Yield the targets for speed. Only SQLite is compared with PocketBase, which includes it."""
    for operation in Operation:
        yield Target.at_least(
            f"{operation} on {results.storage}, with limits",
            SHARE_WITH_LIMITS,
            f"times {Name.SERVICE}",
            1 / results.ratio(operation, Name.LIMITED),
        )
    shares = {Name.HAND_WRITTEN: dict.fromkeys(Operation, SHARE_OF_HAND_WRITTEN)}
    if results.storage == SQLITE:
        shares[Name.POCKETBASE] = SHARES_OF_POCKETBASE
    for other, minimums in shares.items():
        for operation, minimum in minimums.items():
            yield Target.at_least(
                f"{operation} on {results.storage}",
                minimum,
                f"times {other}",
                results.ratio(operation, other),
            )


def results_text(results: Results) -> str:
    """Return a table of the speed, followed by the memory."""
    lines = [f"Service on {results.storage}", _RULE, _HEADINGS]
    for operation in results.rounds:
        lines += [
            f"{operation:<16}{name:<16}{figure.requests_per_second:>11,.0f}"
            f"{figure.p50_milliseconds:>9.1f}{figure.p99_milliseconds:>9.1f}"
            f"{results.ratio(operation, name):>11.2f}"
            f"{figure.cpu_microseconds:>9.0f}{results.ratio_by_cpu(operation, name):>9.2f}"
            for name, figure in results.figures(operation).items()
        ]
        lines.append("")
    memory = ", ".join(f"{name} {size:.0f} MB" for name, size in results.resident_megabytes.items())
    return "\n".join([*lines, f"Resident memory after the load: {memory}", ""])


def targets_text(all_targets: Sequence[Target]) -> str:
    """Return one line for each target."""
    return "\n".join(
        ["Targets", _RULE]
        + [
            f"{target.what:<63}{target.figure:>7}  {'met' if target.is_met else 'missed'}"
            for target in all_targets
        ]
    )
