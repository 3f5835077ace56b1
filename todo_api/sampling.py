"""The state of this process, which the metrics publish every second.

A scrape reads what was published last. So requests have nothing to do for what can be read in
between, such as how many calls wait for a thread.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI

from todo_api.container import Container
from todo_api.http.event_streams import EventStream
from todo_api.http.long_polls import LongPoll
from todo_api.http.watchers import Watchers
from todo_api.runtime.threads import WorkerThreads

if TYPE_CHECKING:
    from todo_api.runtime.metrics import Metrics, Readings

_SECONDS = 1.0


@asynccontextmanager
async def published_state(app: FastAPI, metrics: "Metrics | None") -> AsyncIterator[None]:
    """Publish the state of the application every second, if there are metrics."""
    if metrics is None:
        yield
        return
    publishing = asyncio.create_task(_publish(app, metrics))
    try:
        yield
    finally:
        publishing.cancel()


async def _publish(app: FastAPI, metrics: "Metrics") -> None:
    loop, lag = asyncio.get_running_loop(), 0.0
    while True:
        metrics.publish(_read(app, lag))
        due = loop.time() + _SECONDS
        await asyncio.sleep(_SECONDS)
        lag = loop.time() - due


def _read(app: FastAPI, lag: float) -> "Readings":
    from todo_api.runtime.metrics import Readings  # late: see docs/decisions/late-imports.md

    state = app.state
    container: Container = state.container
    watchers: Watchers = state.watchers
    return Readings(
        threads={
            "requests": _read_threads([state.worker_threads]),
            "hashing": _read_threads([state.hashing_threads]),
            "issuers": _read_threads(state.issuer_threads.values()),
        },
        database_connections=container.database().connections_in_use,
        event_streams=watchers.count(EventStream),
        long_polls=watchers.count(LongPoll),
        large_response_bytes=state.responses_in_flight.total,
        event_loop_lag=max(0.0, lag),
    )


def _read_threads(threads: Iterable[WorkerThreads]) -> tuple[int, int, int]:
    threads = list(threads)
    return (
        sum(each.count for each in threads),
        sum(each.busy for each in threads),
        sum(each.waiting for each in threads),
    )
