"""Doing something again and again."""

from collections.abc import Callable
from random import SystemRandom
from threading import Event, Thread

import structlog

_log = structlog.get_logger()


class Periodic:
    """Calls a job every so many seconds, on a thread of its own, from `start` to `stop`.

    What the job raises is logged, and it is called again at its time. `jitter` is
    up to what part of the interval it waits longer or shorter, so that processes
    that were started together do not all come at the same time.
    """

    def __init__(
        self, name: str, job: Callable[[], object], *, seconds: float, jitter: float = 0.0
    ) -> None:
        self._name, self._job, self._seconds, self._jitter = name, job, seconds, jitter
        self._random = SystemRandom()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Call the job a first time, and from now on on the thread."""
        self._call()
        self._thread.start()

    def stop(self) -> None:
        """Make no further call, and wait for the one that may be running."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped.wait(self._pause()):
            self._call()

    def _call(self) -> None:
        try:
            self._job()
        except Exception as error:  # noqa: BLE001 - the next call may succeed
            _log.warning("periodic.failed", job=self._name, reason=repr(error))

    def _pause(self) -> float:
        return self._seconds * (1 + self._random.uniform(-1, 1) * self._jitter)
