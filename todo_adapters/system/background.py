"""Jobs after the answer, on threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore

import structlog

from todo_core.ports.background import Background

_THREADS = 2
_MOST_WAITING = 1000

_log = structlog.get_logger()


class ThreadBackground(Background):
    """Runs jobs on two threads of its own, in the order in which they came.

    What the jobs log bears the id of the request that they came from.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="background")
        self._places = BoundedSemaphore(_MOST_WAITING)

    def run(self, job: Callable[[], None]) -> None:
        if not self._places.acquire(blocking=False):
            _log.error("background.full")
            return
        self._threads.submit(copy_context().run, self._do, job)

    def close(self) -> None:
        """Finish what was taken, and take no more."""
        self._threads.shutdown()

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        except Exception:  # noqa: BLE001 - the next job is not to suffer for it
            _log.exception("background.failed")
        finally:
            self._places.release()
