"""The measurements of all contenders, and the ratios between them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.contenders import Name, Operation
from tests.benchmarks.load import Measurement


@dataclass(frozen=True, slots=True)
class Ratio:
    """The median of the ratios of all rounds, with the lowest and the highest.

    A slow round does not affect the median.
    """

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, ratios: Iterable[float]) -> "Ratio":
        """Return the ratio that these of the rounds make up."""
        ordered = sorted(ratios)
        return cls(median(ordered), ordered[0], ordered[-1])

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


type Figure = Callable[[Measurement, Measurement], float]
"""How many times as fast as the second measurement the first one is."""


def by_throughput(one: Measurement, other: Measurement) -> float:
    """Compare the requests per second."""
    return one.requests_per_second / other.requests_per_second


def by_cpu(one: Measurement, other: Measurement) -> float:
    """Compare the processor time per request, which ignores times when the server waits."""
    return other.cpu_microseconds / one.cpu_microseconds


@dataclass(frozen=True, slots=True)
class Results:
    """The measurements of the contenders in one part of the benchmark, by round.

    The memory is that of all processes of a contender after the load.
    """

    rounds: Mapping[Operation, Mapping[Name, Sequence[Measurement]]]
    resident_megabytes: Mapping[Name, float]

    def has(self, operation: Operation, *names: Name) -> bool:
        """Return whether the operation was measured for all of these contenders."""
        return all(name in self.rounds.get(operation, ()) for name in names)

    def figure(self, operation: Operation, name: Name) -> Measurement:
        """Return the median measurement of a contender."""
        return Measurement.median_of(self.rounds[operation][name])

    def ratio(self, operation: Operation, one: Name, other: Name, figure: Figure) -> Ratio:
        """Return how many times as fast as another contender one is."""
        rounds = self.rounds[operation]
        return Ratio.of(map(figure, rounds[one], rounds[other]))
