"""The threads on which requests wait for the database or hash a password."""

import asyncio
import math
import os
import sys
import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Thread, get_native_id, local
from typing import Any

from todo_core.errors import Unavailable

_MAX_WAITING = 1000
_MAX_WAITING_PER_KEY = 200
_MAX_WAIT_SECONDS = 5.0
_LAST_JOB_SECONDS = 15.0

_SHORT_CALL_SECONDS = 0.002
_PAUSE_SECONDS = 0.0001
_MAX_PAUSE_SECONDS = 0.003

type Outcome = tuple[Any, BaseException | None]  # what a call returned, or raised


class _Job:
    """A call, and where its outcome is awaited."""

    __slots__ = ("call", "future", "key", "loop")

    def __init__(
        self, key: str, call: Callable[[], Any], loop: AbstractEventLoop, future: Future[Any]
    ) -> None:
        self.key = key
        self.call = call
        self.loop = loop
        self.future = future


class WorkerThreads:
    """A fixed number of threads, shared fairly between keys such as user ids or addresses.

    - At most `share` calls of one key run at the same time. If `share` is less than `count`, one
      user or address never holds all threads.
    - The other calls of the key wait in a queue of their own, first in, first out.
    - A thread that becomes free takes the next call of the next key, in rotation.
    - At most `max_waiting_per_key` calls of one key wait, and at most `max_waiting` in total.
      If the total is reached, the key with the longest queue loses its newest call: a flood
      from a few keys does not shut out the others.
    - After a call that took more than `expensive_seconds` of processor time, the calls of its key
      run one at a time until none is running or waiting. Only one thread computes at any moment
      (the GIL), so each further busy thread slows down all other calls.
    - A call that has not begun within `longest_wait` seconds is refused and never runs. One that
      has begun is always completed, even if nobody awaits it any more.

    `niceness` lowers the priority of the threads, where the operating system has one for each.

    The bookkeeping happens on the thread of the event loop, which is why it needs no lock; `run`
    must always be called from the same event loop. There is one exception, for speed: a thread
    that finishes a call takes the next one of the same key itself, unless another key is waiting
    for a thread. It takes it by one operation on the queue, which is atomic.
    """

    def __init__(
        self,
        count: int,
        *,
        share: int,
        niceness: int = 0,
        longest_wait: float = _MAX_WAIT_SECONDS,
        expensive_seconds: float = math.inf,
        max_waiting_per_key: int = _MAX_WAITING_PER_KEY,
        max_waiting: int = _MAX_WAITING,
    ) -> None:
        self._count = count
        self._share = min(share, count)
        self._niceness = niceness
        self._longest_wait = longest_wait
        self._expensive_seconds = expensive_seconds
        self._max_waiting_per_key = max_waiting_per_key
        self._max_waiting = max_waiting
        self._threads: list[Thread] = []
        self._is_running = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        """Jobs that were begun: never more than there are threads to take them."""
        self._idle = count
        """How many threads have no job."""
        self._running: dict[str, int] = {}
        """How many jobs of each key were begun and are not finished."""
        self._waiting: dict[str, deque[_Job]] = {}
        """The jobs of each key that were not begun."""
        self._waiting_in_total = 0
        self._expensive: set[str] = set()
        """The keys that run one job at a time; each has a job that is running or waiting."""
        self._rotation: OrderedDict[str, None] = OrderedDict()
        """The keys that have a job waiting and may begin one, in the order of turns."""

    @property
    def waiting(self) -> int:
        """How many calls have not begun."""
        return self._waiting_in_total

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._count):
            thread = Thread(target=self._work, name=f"worker {number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._is_running = True

    def stop(self) -> None:
        """Finish the calls that have begun, and stop the threads; one that hangs is left behind.

        Calls that are still waiting are refused when their time is up.
        """
        self._is_running = False
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + _LAST_JOB_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    async def run[Result](self, call: Callable[[], Result], *, key: str) -> Result:
        """Return the result of the call, which runs in the caller's context.

        Raises:
            Unavailable: if too many calls are waiting, if the call could not begin in time, or
                if the threads are not running.
        """
        if not self._is_running:
            raise Unavailable("threads")
        loop = asyncio.get_running_loop()
        future: Future[Result] = loop.create_future()
        job = _Job(key, partial(copy_context().run, call), loop, future)
        # While a thread is idle, no job is waiting that may begin.
        if self._idle and self._may_begin(key):
            self._begin(job)
            return await future
        self._enqueue(job)
        timer: TimerHandle = loop.call_later(self._longest_wait, self._refuse, job)
        try:
            return await future
        finally:
            timer.cancel()
            if future.cancelled():
                self._withdraw(job)

    def _may_begin(self, key: str) -> bool:
        running = self._running.get(key, 0)
        return running < self._share and (not running or key not in self._expensive)

    def _begin(self, job: _Job) -> None:
        self._idle -= 1
        self._running[job.key] = self._running.get(job.key, 0) + 1
        self._jobs.put(job)

    def _next_of(self, key: str) -> _Job | None:
        """Take the next job of the key on the thread that just finished one, if it is its turn."""
        if self._rotation or not self._is_running or key in self._expensive:
            return None
        if (queue := self._waiting.get(key)) is None:
            return None
        try:
            return queue.popleft()
        except IndexError:
            return None

    def _finish(
        self, job: _Job, outcome: Outcome, successor: _Job | None, processor_seconds: float
    ) -> None:
        """Deliver the outcome, and let a waiting job begin on the thread if it became idle."""
        key = job.key
        if processor_seconds > self._expensive_seconds:
            self._expensive.add(key)
        if successor is None:
            self._idle += 1
            self._running[key] -= 1
            if not self._running[key]:
                del self._running[key]
            self._forget_if_unused(key)
            if self._waiting.get(key) and self._may_begin(key):
                self._rotation.setdefault(key)
            self._begin_next()
        else:
            self._note_taken(successor)
        _settle(job.future, outcome)

    def _begin_next(self) -> None:
        while self._rotation and self._is_running:
            key, _ = self._rotation.popitem(last=False)
            queue = self._waiting.get(key)
            if not queue or not self._may_begin(key):
                continue  # a thread took the last one, or the key is expensive by now
            job = queue.popleft()
            self._begin(job)
            self._note_taken(job)
            if queue and self._may_begin(key):
                self._rotation[key] = None
            return

    def _enqueue(self, job: _Job) -> None:
        """Let the job wait for its turn.

        Raises:
            Unavailable: if its key, or the longest queue of all, has no place left.
        """
        own = self._waiting.get(job.key, ())
        if len(own) >= self._max_waiting_per_key:
            raise Unavailable("threads")
        if self._waiting_in_total >= self._max_waiting:
            longest = max(self._waiting.values(), key=len)
            if len(longest) <= len(own) + 1:
                raise Unavailable("threads")
            with suppress(IndexError):  # threads took all of them at this moment
                self._refuse(longest[-1])
        self._waiting.setdefault(job.key, deque()).append(job)
        self._waiting_in_total += 1
        if self._may_begin(job.key):
            self._rotation.setdefault(job.key)

    def _refuse(self, job: _Job) -> None:
        if self._withdraw(job):
            _settle(job.future, (None, Unavailable("threads")))

    def _withdraw(self, job: _Job) -> bool:
        """Take the job out of its queue; return whether it was still waiting there."""
        try:
            self._waiting[job.key].remove(job)
        except (KeyError, ValueError):
            return False
        self._note_taken(job)
        return True

    def _note_taken(self, job: _Job) -> None:
        """Count a job that left its queue, which is dropped when it is empty."""
        self._waiting_in_total -= 1
        if not self._waiting.get(job.key, True):
            del self._waiting[job.key]
            self._rotation.pop(job.key, None)
            self._forget_if_unused(job.key)

    def _forget_if_unused(self, key: str) -> None:
        if key not in self._running and key not in self._waiting:
            self._expensive.discard(key)

    def pause(self, key: str) -> None:
        """Sleep briefly, and longer while calls of other keys run; called on a thread of the key.

        Only sleeping lets another thread run at once: otherwise the operating system would let
        the computing thread continue for milliseconds.
        """
        until = time.monotonic() + _MAX_PAUSE_SECONDS
        time.sleep(_PAUSE_SECONDS)
        while len(self._running) > (key in self._running) and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, get_native_id(), self._niceness)
        while (begun := self._jobs.get()) is not None:
            job: _Job | None = begun
            while job is not None:
                job = self._complete(job)
            del begun  # an idle thread keeps nothing alive

    def _complete(self, job: _Job) -> _Job | None:
        """Make the call and hand over its outcome; return the job to go on with."""
        began = time.thread_time()
        _here.call = (self, job.key, began)
        try:
            outcome: Outcome = (job.call(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            outcome = (None, error)
        processor_seconds = time.thread_time() - began
        successor = self._next_of(job.key)
        with suppress(RuntimeError):  # the event loop is closed, and nobody awaits it
            job.loop.call_soon_threadsafe(self._finish, job, outcome, successor, processor_seconds)
        return successor


_here = local()
"""On a worker thread, `call`: its `WorkerThreads`, the key of the call, and when it began."""


def give_way() -> None:
    """Let the calls of other users go first, in the middle of a long one.

    Only one thread runs Python at a time (the GIL), so a short call that runs beside a long one
    would wait for its turn several times. A call that has computed for less than 2 ms does not
    pause. A longer one pauses for at most 3 ms each time, so it always completes. With one user
    listing 5,000 tasks on 16 connections, this reduces the 99th percentile of another user's
    reads from 5 to 6 times its usual value to twice.

    On any other thread this does nothing.
    """
    call: tuple[WorkerThreads, str, float] | None = getattr(_here, "call", None)
    if call is not None:
        threads, key, began = call
        if time.thread_time() - began > _SHORT_CALL_SECONDS:
            threads.pause(key)


def _settle(future: Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    result, error = outcome
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def fair_share(count: int) -> int:
    """Return how many of so many threads one user or address may occupy: a third, at least two."""
    return max(2, count // 3)
