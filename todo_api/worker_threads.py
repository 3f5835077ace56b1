"""The threads on which requests work that wait for the database, or hash a password."""

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from queue import SimpleQueue
from threading import Thread, get_native_id
from typing import Any

from todo_core.errors import Unavailable

_MOST_WAITING = 1000
_LAST_JOB_SECONDS = 15

type Outcome = tuple[Any, BaseException | None]  # what an endpoint returned, or raised
type Job = tuple[Callable[[], Any], Callable[[Outcome], None]]


class WorkerThreads:
    """Runs calls on a fixed number of threads, and hands their outcome to the event loop.

    It does no more than that, which is why it is here: a round trip takes a
    quarter of the time that the framework's own takes, which is made for any number
    of threads, limits and cancellations. A call that nobody waits for any more is
    finished all the same, as anything is that writes. With some `niceness` the
    threads give way to all others, where the operating system has it for threads.
    """

    def __init__(self, count: int, *, niceness: int = 0) -> None:
        self._count = count
        self._niceness = niceness
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[Thread] = []

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._count):
            thread = Thread(target=self._work, name=f"worker {number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Finish what was begun, and end the threads; one that hangs is left behind."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(timeout=_LAST_JOB_SECONDS)
        self._threads.clear()

    async def run[Result](self, call: Callable[[], Result]) -> Result:
        """The result of the call, which runs in the context of who asked for it.

        Raises:
            Unavailable: if far too many are waiting already, or the threads do not run.
        """
        if not self._threads or self._jobs.qsize() >= _MOST_WAITING:
            raise Unavailable("threads")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def deliver(outcome: Outcome) -> None:
            loop.call_soon_threadsafe(_settle, future, outcome)

        self._jobs.put((partial(copy_context().run, call), deliver))
        return await future

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, get_native_id(), self._niceness)
        while (job := self._jobs.get()) is not None:
            call, deliver = job
            try:
                outcome: Outcome = (call(), None)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                outcome = (None, error)
            with suppress(RuntimeError):  # the event loop is gone, and who asked with it
                deliver(outcome)


def _settle(future: asyncio.Future[Any], outcome: Outcome) -> None:
    if future.cancelled():
        return
    result, error = outcome
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def on_worker_thread[**Parameters, Result](
    endpoint: Callable[Parameters, Result],
) -> Callable[Parameters, Awaitable[Result]]:
    """The endpoint as one that can be awaited, and that works on the application's threads.

    It must take the request by the name `request`; an endpoint that is asynchronous
    already is left as it is.
    """
    if inspect.iscoroutinefunction(endpoint):
        return endpoint

    @wraps(endpoint)
    async def on_thread(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        threads: WorkerThreads = kwargs["request"].app.state.worker_threads  # type: ignore[attr-defined]  # a Request
        return await threads.run(partial(endpoint, *args, **kwargs))

    return on_thread
