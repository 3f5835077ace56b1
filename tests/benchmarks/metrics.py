"""What metrics cost: `python -m tests.benchmarks.metrics`.

First what counting a request takes by itself, and with prometheus-client's own counter and
histogram. Then the service with and without metrics, under load on one core, in turns. The ratio of
the processor time is the median of those of the rounds.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from timeit import repeat

from tests.benchmarks.contenders import Operation
from tests.benchmarks.load import Endpoint, measure
from tests.benchmarks.processes import Server, running
from tests.benchmarks.service import create_data, service_command
from tests.benchmarks.setup import Setup, pinned, sqlite
from tests.support.processes import free_port

CALLS, REPEATS = 50_000, 7
SECONDS, ROUNDS = 3, 9
OPERATIONS = (Operation.READ, Operation.LIST, Operation.CREATE)
_NO_QUOTA = {"TODO_MAX_TASKS_PER_USER": "100000000"}
ROUTE = "/api/{user_id}/tasks/{task_id}"


def microseconds(call: Callable[[], object]) -> float:
    """Return how long a call takes at best, less an empty one."""

    def best(call: Callable[[], object]) -> float:
        return min(repeat(call, number=CALLS, repeat=REPEATS)) / CALLS * 1e6

    return best(call) - best(lambda: None)


def measure_counting() -> None:
    """Print what counting one request takes."""
    with TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # before the import
        from prometheus_client import Counter, Histogram

        from todo_api.runtime.request_counts import BUCKETS, RequestCounts

        labels = ("GET", ROUTE)
        counter = Counter("requests", "Requests", ["method", "route"], registry=None)
        histogram = Histogram(
            "seconds", "Seconds", ["method", "route"], buckets=BUCKETS, registry=None
        )
        count, observe = counter.labels(*labels).inc, histogram.labels(*labels).observe
        ours = RequestCounts(Path(folder)).count
        for name, call in (
            ("a counter of prometheus-client", count),
            ("a histogram of prometheus-client", lambda: observe(0.003)),
            ("both as this service counts them", lambda: ours("GET", ROUTE, 200, 0.003)),
        ):
            sys.stdout.write(f"{name:34} {microseconds(call):5.2f} µs\n")


@contextmanager
def contenders(setup: Setup) -> Iterator[dict[str, tuple[Server, dict[Operation, Endpoint]]]]:
    """Run the service without and with metrics on one database."""
    data = create_data(setup)
    with ExitStack() as stack:
        found = {}
        for name, settings in (
            ("off", {}),
            ("on", {"TODO_METRICS_PORT": str(free_port())}),
        ):
            command = service_command(setup, settings={**_NO_QUOTA, **settings})
            server = stack.enter_context(
                running(command, core=setup.layout.server_core, folder=setup.folder)
            )
            found[name] = (server, data.endpoints(server.url))
        yield found


def measure_service() -> None:
    """Print how much longer the service computes for a request with metrics."""
    with sqlite(pinned()) as setup, contenders(setup) as services:
        for operation in OPERATIONS:
            used: dict[str, list[float]] = {name: [] for name in services}
            for number in range(ROUNDS):
                for name in sorted(services, reverse=number % 2 == 1):
                    server, endpoints = services[name]
                    measured = measure(endpoints[operation], server, setup, seconds=SECONDS)
                    used[name].append(measured.cpu_microseconds)
            ratios = sorted(on / off for off, on in zip(used["off"], used["on"], strict=True))
            sys.stdout.write(
                f"{operation:18} {median(used['off']):6.1f} µs without metrics,"
                f" {median(used['on']):6.1f} µs with: {median(ratios) - 1:+.1%}"
                f" ({ratios[0] - 1:+.1%} to {ratios[-1] - 1:+.1%})\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    measure_counting()
    measure_service()
