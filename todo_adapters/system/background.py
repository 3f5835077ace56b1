"""Jobs after the answer, on threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from random import SystemRandom
from threading import BoundedSemaphore, Event

import structlog

from todo_core.ports.background import Background

_THREADS = 2
_MOST_WAITING = 1000
_PAUSE_SECONDS = (0.05, 0.25)
"""How long a job waits at first, so that it does not slow down the answer that it came with.

Otherwise the time of an answer would tell whether there was something to do.
"""

_log = structlog.get_logger()


class ThreadBackground(Background):
    """Runs jobs on two threads of its own, in the order in which they came.

    What the jobs log bears the id of the request that they came from.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="background")
        self._places = BoundedSemaphore(_MOST_WAITING)
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
        """Finish what was taken, as far as that is possible in so many seconds."""
        self._closing.set()
        last = self._threads.submit(lambda: None)
        wait([last], timeout=seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _do(self, job: Callable[[], None]) -> None:
        try:
            self._closing.wait(self._random.uniform(*_PAUSE_SECONDS))
            job()
        except Exception:  # noqa: BLE001 - the next job is not to suffer for it
            _log.exception("background.failed")
        finally:
            self._places.release()
