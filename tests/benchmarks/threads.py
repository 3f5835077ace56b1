"""The cost of a small blocking call on `WorkerThreads`, `ThreadPoolExecutor` and AnyIO's threads.

Run it on one core, as a process of the service would: `taskset -c 0 python -m
tests.benchmarks.threads`. The contenders alternate, and the median of the rounds is printed.
"""

import asyncio
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from statistics import median
from typing import Any

from anyio import CapacityLimiter, to_thread

from todo_api.runtime.threads import WorkerThreads, fair_share

THREADS = 10
USERS = 8
CALLS = 4000
ROUNDS = 9

type Submit = Callable[[Callable[[], Any]], Awaitable[object]]


@contextmanager
def worker_threads() -> Iterator[Submit]:
    threads = WorkerThreads(THREADS, share=fair_share(THREADS), expensive_seconds=0.01)
    threads.start()
    numbers = count()
    yield lambda call: threads.run(call, key=f"user {next(numbers) % USERS}")
    threads.stop()


@contextmanager
def thread_pool_executor() -> Iterator[Submit]:
    with ThreadPoolExecutor(THREADS) as executor:
        yield partial(asyncio.get_running_loop().run_in_executor, executor)


@contextmanager
def anyio_threads() -> Iterator[Submit]:
    yield partial(to_thread.run_sync, limiter=CapacityLimiter(THREADS))


CONTENDERS = {
    "WorkerThreads": worker_threads,
    "ThreadPoolExecutor": thread_pool_executor,
    "anyio.to_thread": anyio_threads,
}


async def measure(contender: str, callers: int) -> tuple[float, float]:
    """Return the calls per second, and the processor time per call in microseconds."""
    database = sqlite3.connect(":memory:", check_same_thread=False)

    def call() -> object:
        return database.execute("SELECT 1").fetchone()

    async def call_in_turn(submit: Submit) -> None:
        for _ in range(CALLS // callers):
            await submit(call)

    with CONTENDERS[contender]() as submit:
        await call_in_turn(submit)
        began, used = time.perf_counter(), time.process_time()
        await asyncio.gather(*(call_in_turn(submit) for _ in range(callers)))
        seconds, used = time.perf_counter() - began, time.process_time() - used
    database.close()
    return CALLS / seconds, used / CALLS * 1e6


def main() -> None:
    for callers in (1, 8, 64):
        measured: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
        for _ in range(ROUNDS):
            for name, results in measured.items():
                results.append(asyncio.run(measure(name, callers)))
        for name, results in measured.items():
            rate, used = (median(column) for column in zip(*results, strict=True))
            sys.stdout.write(
                f"{callers:3} callers  {name:20} {rate:7.0f} calls/s  {used:5.1f} µs of CPU\n"
            )


if __name__ == "__main__":
    main()
