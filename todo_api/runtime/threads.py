"""Worker threads for calls that block: database queries and password hashing."""

import asyncio
import math
import os
import sys
import time
from asyncio import AbstractEventLoop, Future
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread, get_native_id, local
from typing import Any

from todo_api.runtime.affinity import CoreAffinity
from todo_core.errors import Unavailable

_MAX_WAITING = 1000
_MAX_WAITING_PER_KEY = 200
_MAX_WAIT_SECONDS = 5.0
_STOP_TIMEOUT_SECONDS = 15.0

_SHORT_CALL_SECONDS = 0.002
_PAUSE_SECONDS = 0.0001
_MAX_PAUSE_SECONDS = 0.003

type Outcome = tuple[Any, BaseException | None]  # what a call returned, or raised


class _Job:
    """A call, its key, and the future for its outcome."""

    __slots__ = ("began", "call", "future", "key", "loop")

    def __init__(
        self, key: str, call: Callable[[], Any], loop: AbstractEventLoop, future: Future[Any]
    ) -> None:
        self.key = key
        self.call = call
        self.loop = loop
        self.future = future
        self.began = math.inf
        """When it began, by the monotonic clock."""


class WorkerThreads:
    """A fixed number of threads, shared fairly between keys such as user ids or addresses.

    - At most `share` calls of one key run at the same time. If `share` is less than `count`, one
      user or address never holds all threads.
    - While `crowd` threads are busy, only keys without a running call begin one. So a few keys
      whose calls are slow do not hold all threads together.
    - The other calls of the key wait in a queue of their own, first in, first out.
    - A thread that becomes free takes the next call of the next key, in rotation.
    - At most `max_waiting_per_key` calls of one key wait, and at most `max_waiting` in total.
      If the total is reached, the key with the longest queue loses its newest call: a flood
      from a few keys does not shut out the others.
    - After a call that took more than `expensive_seconds` of processor time, or `slow_seconds` of
      any time, the calls of its key run one at a time until none is running or waiting. Only one
      thread computes at any moment (the GIL), so each further busy thread slows down all other
      calls. A slow call keeps a connection busy, whichever process computes.
    - While a call runs that is slow already, no other call of its key begins.
    - A call that has not begun within `longest_wait` seconds is refused and never runs. A call
      that has begun always completes, even if its caller is cancelled.

    The threads join the `affinity`, if there is one. `niceness` lowers their priority on systems
    that have one for each thread. If they are `patient`, Linux does not let them interrupt another
    thread when they wake up (SCHED_BATCH, sched(7)): an event loop on the same core, which has the
    GIL, finishes what it does first. A create takes 9 % less processor time, and 13 % with two
    workers.

    docs/decisions/own-worker-threads.md says why `concurrent.futures.ThreadPoolExecutor` and the
    threads of AnyIO do not suffice, with measurements.

    All bookkeeping happens under one lock. A thread that finishes a call takes the next one itself.
    If none is waiting, the event loop counts the thread as idle when it delivers the outcome. A
    thread that became idle earlier would be woken for each call, which makes a read over HTTP a
    fifth slower.
    """

    def __init__(
        self,
        count: int,
        *,
        share: int,
        crowd: float = math.inf,
        affinity: CoreAffinity | None = None,
        niceness: int = 0,
        patient: bool = False,
        longest_wait: float = _MAX_WAIT_SECONDS,
        expensive_seconds: float = math.inf,
        slow_seconds: float = math.inf,
        max_waiting_per_key: int = _MAX_WAITING_PER_KEY,
        max_waiting: int = _MAX_WAITING,
    ) -> None:
        self._count = count
        self._share = min(share, count)
        self._crowd = crowd
        self._affinity = affinity
        self._niceness = niceness
        self._patient = patient
        self._longest_wait = longest_wait
        self._expensive_seconds = expensive_seconds
        self._slow_seconds = slow_seconds
        self._max_waiting_per_key = max_waiting_per_key
        self._max_waiting = max_waiting
        self._threads: list[Thread] = []
        self._is_running = False
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        """Jobs for idle threads: never more than there are idle threads. None stops a thread."""
        self._lock = Lock()
        """Guards all attributes below."""
        self._idle = count
        """The number of threads without a job."""
        self._running: dict[str, list[_Job]] = {}
        """The running jobs of each key, in the order in which they began; no list is empty."""
        self._waiting: dict[str, deque[_Job]] = {}
        """The waiting jobs of each key; no queue is empty."""
        self._waiting_in_total = 0
        self._expensive: set[str] = set()
        """The keys that run one job at a time; each has a job that is running or waiting."""
        self._rotation: OrderedDict[str, None] = OrderedDict()
        """The keys with a waiting job that may begin, in the order of their turns."""

    @property
    def count(self) -> int:
        """The number of threads."""
        return self._count

    @property
    def busy(self) -> int:
        """The number of threads that run a call."""
        return self._count - self._idle

    @property
    def waiting(self) -> int:
        """The number of calls that have not begun."""
        return self._waiting_in_total

    def start(self) -> None:
        """Start the threads."""
        for number in range(self._count):
            thread = Thread(target=self._work, name=f"worker {number}", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._is_running = True

    def stop(self) -> None:
        """Finish the running calls and stop the threads, except those that hang.

        Waiting calls are refused at their deadline.
        """
        with self._lock:
            self._is_running = False
            for _ in self._threads:
                self._jobs.put(None)
        deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
        for thread in self._threads:
            thread.join(timeout=max(0.0, deadline - time.monotonic()))
        self._threads.clear()

    async def run[Result](self, call: Callable[[], Result], *, key: str) -> Result:
        """Run the call on a thread, in the caller's context, and return its result.

        Raises:
            Unavailable: if too many calls are waiting, if the call could not begin in time, or
                if the threads are not running.
        """
        loop = asyncio.get_running_loop()
        future: Future[Result] = loop.create_future()
        job = _Job(key, partial(copy_context().run, call), loop, future)
        with self._lock:
            if not self._is_running:
                raise Unavailable("threads")
            # While a thread is idle, only jobs wait whose key has one running.
            begins = self._idle > 0 and key not in self._waiting and self._may_begin(key)
            if begins:
                self._idle -= 1
                self._count_running(job)
                self._jobs.put(job)
            else:
                self._enqueue(job)
        if begins:
            return await future
        timer = loop.call_later(self._longest_wait, self._on_deadline, job)
        try:
            return await future
        finally:
            timer.cancel()
            if future.cancelled():
                with self._lock:
                    self._withdraw(job)

    def pause(self, key: str) -> None:
        """Sleep briefly, and longer while calls of other keys run; called on a thread of the key.

        Only sleeping lets another thread run at once: otherwise the operating system would let
        the computing thread continue for milliseconds.
        """
        until = time.monotonic() + _MAX_PAUSE_SECONDS
        time.sleep(_PAUSE_SECONDS)
        while len(self._running) > (key in self._running) and time.monotonic() < until:
            time.sleep(_PAUSE_SECONDS)

    # On a worker thread

    def _work(self) -> None:
        if self._niceness and sys.platform == "linux":
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, get_native_id(), self._niceness)
        if self._patient and sys.platform == "linux":
            with suppress(OSError):
                os.sched_setscheduler(get_native_id(), os.SCHED_BATCH, os.sched_param(0))
        if self._affinity is not None:
            self._affinity.join()
        while (begun := self._jobs.get()) is not None:
            job: _Job | None = begun
            while job is not None:
                job = self._complete(job)
            del begun  # an idle thread keeps nothing alive
        if self._affinity is not None:
            self._affinity.leave()

    def _complete(self, job: _Job) -> _Job | None:
        """Make the call, deliver its outcome, and return the next job for this thread."""
        began = time.thread_time()
        _here.call = (self, job.key, began)
        try:
            outcome: Outcome = (job.call(), None)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            outcome = (None, error)
        is_expensive = time.thread_time() - began > self._expensive_seconds or self._is_slow(job)
        with self._lock:
            successor = self._take_successor(job, is_expensive=is_expensive)
        with suppress(RuntimeError):  # the event loop is closed, and nothing awaits the outcome
            if successor is None:
                job.loop.call_soon_threadsafe(self._finish, job, outcome)
            else:
                job.loop.call_soon_threadsafe(_settle, job.future, outcome)
        return successor

    # On the event loop's thread

    def _finish(self, job: _Job, outcome: Outcome) -> None:
        """Deliver the outcome of a call, and count its thread as idle unless a job is waiting."""
        with self._lock:
            self._count_finished(job)
            successor = self._take_next() if self._is_running else None
            if successor is None:
                self._idle += 1
            else:
                self._jobs.put(successor)
        _settle(job.future, outcome)

    def _on_deadline(self, job: _Job) -> None:
        with self._lock:
            self._refuse(job)

    # With the lock held

    def _may_begin(self, key: str) -> bool:
        running = self._running.get(key)
        if not running:
            return True
        if len(running) >= self._share or self._count - self._idle >= self._crowd:
            return False
        return key not in self._expensive and not self._is_slow(running[0])

    def _is_slow(self, job: _Job) -> bool:
        return time.monotonic() - job.began > self._slow_seconds

    def _count_running(self, job: _Job) -> None:
        job.began = time.monotonic()
        self._running.setdefault(job.key, []).append(job)

    def _take_successor(self, job: _Job, *, is_expensive: bool) -> _Job | None:
        """Take the next job for the thread that finished this one, if one may begin."""
        if is_expensive:
            self._expensive.add(job.key)
        if not self._waiting_in_total or not self._is_running:
            return None
        self._count_finished(job)
        successor = self._take_next()
        if successor is None:
            self._count_running(job)  # until `_finish`
        return successor

    def _count_finished(self, job: _Job) -> None:
        key = job.key
        running = self._running[key]
        running.remove(job)
        if not running:
            del self._running[key]
        self._forget_if_unused(key)
        if key in self._waiting and self._may_begin(key):
            self._rotation.setdefault(key)

    def _take_next(self) -> _Job | None:
        """Take a job of the next key in the rotation that may begin one."""
        while self._rotation:
            key, _ = self._rotation.popitem(last=False)
            if not self._may_begin(key):
                continue  # `_count_finished` puts it back
            queue = self._waiting[key]
            job = queue.popleft()
            self._count_running(job)
            self._count_taken(key)
            if queue and self._may_begin(key):
                self._rotation[key] = None
            return job
        return None

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
            self._refuse(longest[-1])
        self._waiting.setdefault(job.key, deque()).append(job)
        self._waiting_in_total += 1
        if self._may_begin(job.key):
            self._rotation.setdefault(job.key)

    def _refuse(self, job: _Job) -> None:
        if self._withdraw(job):
            _settle(job.future, (None, Unavailable("threads")))

    def _withdraw(self, job: _Job) -> bool:
        """Take the job out of its queue, and return whether it was still there."""
        try:
            self._waiting[job.key].remove(job)
        except (KeyError, ValueError):
            return False
        self._count_taken(job.key)
        return True

    def _count_taken(self, key: str) -> None:
        """Count a job that left the queue of the key, and drop the queue if it is empty."""
        self._waiting_in_total -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            self._rotation.pop(key, None)
            self._forget_if_unused(key)

    def _forget_if_unused(self, key: str) -> None:
        if key not in self._running and key not in self._waiting:
            self._expensive.discard(key)


_here = local()
"""On a worker thread, `call`: its `WorkerThreads`, the key of the call, and when it began.

It is None while the call must not pause.
"""


def give_way() -> None:
    """Let the calls of other users go first, in the middle of a long call.

    Only one thread runs Python at a time (the GIL), so a short call that runs beside a long one
    would wait for its turn several times. A call that has computed for less than 2 ms does not
    pause. A longer one pauses for at most 3 ms each time, so it always completes. Measurements are
    in docs/decisions/own-worker-threads.md.

    On any other thread this does nothing.
    """
    call: tuple[WorkerThreads, str, float] | None = getattr(_here, "call", None)
    if call is not None:
        threads, key, began = call
        if time.thread_time() - began > _SHORT_CALL_SECONDS:
            threads.pause(key)


@contextmanager
def without_giving_way() -> Iterator[None]:
    """Let `give_way` do nothing on this thread, because others wait for what the block holds.

    A pause in a transaction would delay every call that waits for its locks: on SQLite, all writes.
    """
    call = getattr(_here, "call", None)
    _here.call = None
    try:
        yield
    finally:
        _here.call = call


def _settle(future: Future[Any], outcome: Outcome) -> None:
    if future.done():
        return
    result, error = outcome
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def fair_share(count: int) -> int:
    """Return how many of so many threads one key may occupy: a third, but at least two."""
    return max(2, count // 3)
