"""The threads on which requests work that wait for the database, or hash a password."""

import asyncio
import inspect
import os
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial, wraps
from queue import SimpleQueue
from threading import Thread, get_native_id
from typing import Any

from todo_core.errors import Unavailable

_MOST_WAITING = 1000
_LONGEST_WAIT_SECONDS = 5.0
_LAST_JOB_SECONDS = 15

type Outcome = tuple[Any, BaseException | None]  # what an endpoint returned, or raised
type Turn = list[None]  # who pops its one element has it: the thread that begins, or who gives up
type Job = tuple[Turn, Callable[[], Any], Callable[[Outcome], None]]


class WorkerThreads:
    """Runs calls on a fixed number of threads, and hands their outcome to the event loop.

    It does no more than that, which is why it is here: a round trip takes a
    quarter of the time that the framework's own takes, which is made for any number
    of threads, limits and cancellations. A call that nobody waits for any more is
    finished all the same, as anything is that writes; one that no thread has begun
    within `longest_wait` seconds never will be. With some `niceness` the threads give
    way to all others, where the operating system has it for threads.
    """

    def __init__(
        self, count: int, *, niceness: int = 0, longest_wait: float = _LONGEST_WAIT_SECONDS
    ) -> None:
        self._count = count
        self._niceness = niceness
        self._longest_wait = longest_wait
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
        deadline = time.monotonic() + _LAST_JOB_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    async def run[Result](self, call: Callable[[], Result]) -> Result:
        """The result of the call, which runs in the context of who asked for it.

        Raises:
            Unavailable: if far too many are waiting already, if all threads are busy for too
                long, or if they do not run.
        """
        if not self._threads or self._jobs.qsize() >= _MOST_WAITING:
            raise Unavailable("threads")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        turn: Turn = [None]

        def deliver(outcome: Outcome) -> None:
            loop.call_soon_threadsafe(_settle, future, outcome)

        def give_up() -> None:
            if _is_taken(turn):
                _settle(future, (None, Unavailable("threads")))

        self._jobs.put((turn, partial(copy_context().run, call), deliver))
        patience = loop.call_later(self._longest_wait, give_up)
        try:
            return await future
        finally:
            patience.cancel()

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, get_native_id(), self._niceness)
        while (job := self._jobs.get()) is not None:
            turn, call, deliver = job
            if not _is_taken(turn):
                continue  # whoever asked has been told that it was not done
            try:
                outcome: Outcome = (call(), None)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                outcome = (None, error)
            with suppress(RuntimeError):  # the event loop is gone, and who asked with it
                deliver(outcome)


def _is_taken(turn: Turn) -> bool:
    """Take the turn, if nobody has; of two who try at the same moment one gets it."""
    try:
        turn.pop()
    except IndexError:
        return False
    return True


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
