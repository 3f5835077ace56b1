"""Background jobs on threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from random import SystemRandom
from threading import BoundedSemaphore, Event

import structlog

from todo_core.ports.background import Background

_THREADS = 2
_MAX_WAITING = 1000
_PAUSE_SECONDS = (0.05, 0.25)
"""How long each job waits before it runs, at random between these.

Otherwise it could delay the response to the request that submitted it, and so reveal that
there was a job.
"""

_log = structlog.get_logger()


class ThreadBackground(Background):
    """Runs jobs on two threads, in the order in which they were submitted.

    Log entries of a job have the id of the request that submitted it.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="background")
        self._places = BoundedSemaphore(_MAX_WAITING)
        self._random = SystemRandom()
        self._closing = Event()

    def run(self, job: Callable[[], None]) -> None:
        if not self._places.acquire(blocking=False):
            _log.error("background.full")
            return
        try:
            self._threads.submit(copy_context().run, self._do, job)
        except RuntimeError:  # it was closed
            self._places.release()
            _log.error("background.closed")

    def close(self, *, seconds: float = 10.0) -> None:
        """Finish the jobs that were submitted, and drop those that take longer than `seconds`."""
        self._closing.set()
        last = self._threads.submit(lambda: None)
        wait([last], timeout=seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _do(self, job: Callable[[], None]) -> None:
        try:
            self._closing.wait(self._random.uniform(*_PAUSE_SECONDS))
            job()
        except Exception:  # noqa: BLE001 - the thread must survive for the next job
            _log.exception("background.failed")
        finally:
            self._places.release()
