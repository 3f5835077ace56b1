"""How long clients wait while the service has half of the load that it can take."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.contenders import Contender, Operation
from tests.benchmarks.load import Endpoint, Measurement, measure
from tests.benchmarks.processes import BenchmarkFailed
from tests.benchmarks.results import Ratio
from tests.benchmarks.service import create_data, service
from tests.benchmarks.setup import Setup

_OPERATIONS = (Operation.LIST, Operation.CREATE)
_SHARE_OF_PEAK = 0.5
_TOLERANCE = 0.15
_CALIBRATION_SECONDS = 1
_ATTEMPTS = 4
_DURATION_FACTOR = 2


@dataclass(frozen=True, slots=True)
class HalfLoad:
    """The measurements of an operation at half of its peak, by round.

    The peaks are in requests per second.
    """

    operation: Operation
    peaks: Sequence[float]
    rounds: Sequence[Measurement]

    @property
    def peak(self) -> float:
        """The median peak."""
        return median(self.peaks)

    @property
    def figures(self) -> Measurement:
        """The median measurement."""
        return Measurement.median_of(self.rounds)

    @property
    def spread(self) -> Ratio:
        """The 99th percentile of the time that clients wait, relative to the median."""
        return Ratio.of(
            measured.p99_milliseconds / measured.p50_milliseconds for measured in self.rounds
        )


def measure_half_load(setup: Setup, *, seconds: int, rounds: int) -> list[HalfLoad]:
    """Measure the service in one process, in each round its peak and then half of that.

    Raises:
        BenchmarkFailed: if the load was not about half of the peak.
    """
    data = create_data(setup)
    with service(setup, data) as contender:
        return [
            _measure_operation(operation, contender, setup, seconds=seconds, rounds=rounds)
            for operation in _OPERATIONS
        ]


def _measure_operation(
    operation: Operation, contender: Contender, setup: Setup, *, seconds: int, rounds: int
) -> HalfLoad:
    endpoint = contender.endpoints[operation]
    peaks, halves = [], []
    for _ in range(rounds):
        peak = measure(endpoint, contender.server, setup, seconds=seconds).requests_per_second
        peaks.append(peak)
        rate = peak * _SHARE_OF_PEAK
        halves.append(_measure_at(rate, endpoint, contender, setup, seconds=seconds))
    return HalfLoad(operation, peaks, halves)


def _measure_at(
    rate: float, endpoint: Endpoint, contender: Contender, setup: Setup, *, seconds: int
) -> Measurement:
    """Measure an endpoint with this rate of requests, after finding the think time for it.

    Each connection alternates between thinking and waiting for a response. How long it waits at
    this rate is only known from the attempt before.

    Raises:
        BenchmarkFailed: if the rate was not reached.
    """
    connections = endpoint.connections
    durations = [_CALIBRATION_SECONDS, *[seconds * _DURATION_FACTOR] * _ATTEMPTS]
    waiting = 0.0
    for attempt, duration in enumerate(durations):
        thinking = max(0.0, connections / rate - waiting)
        load = endpoint.with_think_time(thinking)
        measured = measure(load, contender.server, setup, seconds=duration)
        if attempt > 0 and abs(measured.requests_per_second / rate - 1) <= _TOLERANCE:
            return measured
        waiting = connections / measured.requests_per_second - thinking
    raise BenchmarkFailed(
        f"{endpoint.request.url} was to have {rate:.0f} requests/s,"
        f" but had {measured.requests_per_second:.0f}"
    )
