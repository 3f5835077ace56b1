"""Counts of requests, by route, method and status, and how long they took; and of written tasks.

They are the metrics that every request or every write pays for. A counter and a histogram of
prometheus-client together take 3 µs, and these 0.6 (`python -m tests.benchmarks.metrics`): they add
to numbers in files of prometheus-client's own format, which the exporter reads like all others.
"""

import mmap
import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from threading import Lock

import structlog
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.utils import floatToGoString

from todo_api.exporter.files import allocate

REQUESTS = "todo_http_requests"
REQUESTS_MEANING = "Requests that have ended."
DURATION = "todo_http_request_duration_seconds"
TASKS = "todo_tasks_written"
TASKS_MEANING = "Tasks written."
DURATION_MEANING = (
    "Time from a request to the start of its response, without responses that wait for changes."
)

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds: most requests take some milliseconds, and a login that waits for its
turn to hash up to thirty seconds."""

OPERATIONS = ("created", "updated", "deleted", "restored", "erased")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER_METHOD = "other"
_NO_ROUTE = "none"

_REQUESTS_SIZE = 256 * 1024
_DURATIONS_SIZE = 512 * 1024
_TASKS_SIZE = 16 * 1024
"""The bytes of new files: enough for all routes. They are allocated at once (`allocate`)."""

_NUMBER_SIZE = 8

_log = structlog.get_logger()


class RequestCounts:
    """Counts the requests of this process. Only the event loop's thread uses it."""

    def __init__(self, folder: Path) -> None:
        process = os.getpid()
        self._requests = _Numbers(folder / f"counter_requests_{process}.db", _REQUESTS_SIZE)
        self._durations = _Numbers(folder / f"histogram_requests_{process}.db", _DURATIONS_SIZE)
        self._routes: dict[tuple[str | None, str], _Route] = {}
        self._has_failed = False

    def count(self, method: str, route: str | None, status: int, seconds: float | None) -> None:
        """Count a request that has ended.

        If the files were deleted, it logs that once, and no longer counts what it has not counted
        before.

        Args:
            method: as the client sent it.
            route: the path of the route with its parameters in braces, or None if there is none.
            status: 0 if the client was gone before there was a response.
            seconds: how long it took to the start of the response, or None if that says nothing
                about this service.
        """
        try:
            counted = self._routes.get((route, method)) or self._route(route, method)
            place = counted.by_status.get(status) or self._place_of(counted, status)
        except (OSError, ValueError) as error:
            if not self._has_failed:
                self._has_failed = True
                _log.warning("metrics.not_counted", reason=str(error))
            return
        self._requests.values[place] += 1.0
        if seconds is not None:
            durations = self._durations.values
            durations[counted.buckets[bisect_left(BUCKETS, seconds)]] += 1.0
            durations[counted.sum] += seconds

    def _route(self, route: str | None, method: str) -> "_Route":
        known = method if method in _METHODS else _OTHER_METHOD
        if (route, known) not in self._routes:
            labels = {"method": known, "route": route or _NO_ROUTE}
            self._routes[route, known] = _Route(labels, self._durations)
        return self._routes[route, known]

    def _place_of(self, counted: "_Route", status: int) -> int:
        labels = {**counted.labels, "status": str(status)}
        [place] = self._requests.places_of(
            [_key(REQUESTS, f"{REQUESTS}_total", labels, REQUESTS_MEANING)]
        )
        counted.by_status[status] = place
        return place


class TaskCounts:
    """Counts the tasks that this process has written, by operation, on any thread."""

    def __init__(self, folder: Path) -> None:
        self._numbers = _Numbers(folder / f"counter_tasks_{os.getpid()}.db", _TASKS_SIZE)
        keys = [
            _key(TASKS, f"{TASKS}_total", {"operation": operation}, TASKS_MEANING)
            for operation in OPERATIONS
        ]
        self._places = dict(zip(OPERATIONS, self._numbers.places_of(keys), strict=True))
        self._lock = Lock()

    def count(self, operation: str) -> None:
        """Count a task that was written and committed."""
        with self._lock:
            self._numbers.values[self._places[operation]] += 1.0


class _Route:
    """Where the numbers of one route and method are, and of each status."""

    __slots__ = ("buckets", "by_status", "labels", "sum")

    def __init__(self, labels: dict[str, str], durations: "_Numbers") -> None:
        self.labels = labels
        self.by_status: dict[int, int] = {}
        bounds = map(floatToGoString, (*BUCKETS, float("inf")))
        self.sum, *self.buckets = durations.places_of(
            [
                _key(DURATION, f"{DURATION}_sum", labels, DURATION_MEANING),
                *(
                    _key(DURATION, f"{DURATION}_bucket", {**labels, "le": bound}, DURATION_MEANING)
                    for bound in bounds
                ),
            ]
        )
        """Each bucket has the requests of its own range; the exporter adds up those below."""


def _key(metric: str, sample: str, labels: Mapping[str, str], meaning: str) -> str:
    return mmap_key(metric, sample, [*labels], [*labels.values()], meaning)


class _Numbers:
    """Named numbers in a file that other processes can read at any time.

    prometheus-client gives them their places. A number is added to where it is: in one step for
    readers, since it is aligned to its size.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        if not path.exists():
            allocate(path, size)
        self.values = self._map()
        """The whole file as numbers of eight bytes."""

    def places_of(self, keys: Sequence[str]) -> Sequence[int]:
        """Return the places of numbers among `values`. New ones are 0."""
        with closing(MmapedDict(str(self._path))) as entries:
            for key in keys:
                entries.read_value(key)  # which makes it
        positions: dict[str, int] = {
            key: position
            for key, _, _, position in MmapedDict.read_all_values_from_file(str(self._path))
        }
        places = [positions[key] // _NUMBER_SIZE for key in keys]
        if max(places) >= len(self.values):  # the file has grown
            self.values = self._map()
        return places

    def _map(self) -> "memoryview[float]":
        with self._path.open("r+b") as file:
            return memoryview(mmap.mmap(file.fileno(), 0)).cast("d")
