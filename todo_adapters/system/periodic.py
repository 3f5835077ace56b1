"""Periodic jobs."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import SystemRandom
from threading import Event, Thread
from typing import override

import structlog

_SHORTEST_PAUSE_SECONDS = 0.01

type Observer = Callable[[str, float, bool], None]
"""Is told of each run the name of the job, how many seconds it took, and whether it failed."""

_log = structlog.get_logger()


def in_batches(
    job: Callable[[], int], *, seconds: float = float("inf"), stopped: Event | None = None
) -> int:
    """Call the job until it returns 0, and return the total.

    After each call there is a pause as long as the call, so that other threads have the
    resources that the job uses, such as SQLite's write lock, for half of the time. No call
    begins after `seconds` have passed, or once `stopped` is set.
    """
    stopped = stopped or Event()
    done, deadline = 0, time.monotonic() + seconds
    while not stopped.is_set() and (began := time.monotonic()) < deadline:
        batch = job()
        if not batch:
            break
        done += batch
        stopped.wait(max(time.monotonic() - began, _SHORTEST_PAUSE_SECONDS))
    return done


def on_threads(job: Callable[[], int], threads: int) -> Callable[[], int]:
    """Return a job that calls this one on several threads at once, and returns the total.

    It is for jobs that mostly wait for something else than the database. The job is called once
    first. The threads are used if it has returned more than 0, and started when that happens.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="periodic")

    def call() -> int:
        done = job()
        return done and done + sum(pool.map(lambda _: job(), range(threads)))

    return call


class Periodic:
    """Calls a job every `seconds`, on its own thread, from `start` to `close`.

    An exception of the job is logged, unless the call before failed in the same way, and the job
    is called again at its next time. Each interval is longer or shorter by a random part of up to
    `jitter`, so that processes that started together do not call their jobs at the same time.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[], object],
        *,
        seconds: float,
        jitter: float = 0.0,
    ) -> None:
        self.name, self.seconds = name, seconds
        self._job, self._jitter = job, jitter
        self._observer: Observer | None = None
        self._random = SystemRandom()
        self._failure: str | None = None
        self._stopped = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def observe(self, observer: Observer) -> None:
        """Tell this observer of each run from now on."""
        self._observer = observer

    def start(self) -> None:
        """Call the job for the first time, and begin to call it on the thread."""
        self._call()
        self._thread.start()

    def close(self) -> None:
        """Make no further call, and wait for the one that may be running."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause()):
            self._call()

    def _call(self) -> None:
        began = time.monotonic()
        self._try()
        if self._observer is not None:
            self._observer(self.name, time.monotonic() - began, self._failure is not None)

    def _try(self) -> None:
        try:
            self._job()
        except Exception as error:  # noqa: BLE001 - the next call may succeed
            failure = repr(error)
            if failure != self._failure:
                _log.warning("periodic.failed", job=self.name, reason=failure)
            self._failure = failure
        else:
            if self._failure is not None:
                _log.info("periodic.recovered", job=self.name)
            self._failure = None

    def _pause(self) -> float:
        return self.seconds * (1 + self._random.uniform(-1, 1) * self._jitter)


class PeriodicBatches(Periodic):
    """Calls a job that does one batch of its work, each time until nothing is left to do.

    A run ends after `longest` seconds; the next one continues. The first run is on the thread
    too, so that the service does not start late if there is much to do.
    """

    def __init__(
        self,
        name: str,
        job: Callable[[], int],
        *,
        seconds: float,
        jitter: float = 0.0,
        longest: float,
    ) -> None:
        super().__init__(name, self._do_batches, seconds=seconds, jitter=jitter)
        self._batch, self._longest = job, longest

    @override
    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @override
    def _run(self) -> None:
        self._call()
        super()._run()

    def _do_batches(self) -> None:
        in_batches(self._batch, seconds=self._longest, stopped=self._stopped)
