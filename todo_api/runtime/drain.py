"""How a process stops: the drain, which is the time between the signal to stop and the stop.

A load balancer learns from the readiness check that a process is about to stop. Until then, it
sends further connections, which would be refused if the process stopped immediately.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from types import FrameType
from typing import Any

import structlog
import uvicorn

type _Handler = Callable[[int, FrameType | None], Any]  # the result is ignored

REPLACED = signal.SIGUSR1
"""The signal from the parent of the workers to a worker that another one has replaced."""

_SECONDS_TO_LEAVE = 6.0
"""Longer than an idle connection stays open (five seconds). By then, each connection is closed, or
has had a response that closes it."""

_log = structlog.get_logger()


class Drain:
    """Delays SIGTERM by some seconds, and has the state of the process until it stops.

    While `is_draining`, it accepts connections and answers requests as before, but it is not ready.
    While `is_leaving`, each response closes its connection.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.is_draining = False
        self.is_leaving = False

    @contextmanager
    def delaying_signals(self) -> Iterator[None]:
        """Delay SIGTERM while the block runs, in the main thread of a process with an event loop.

        The server's handler, which must be installed already, is called after the delay. A second
        SIGTERM ends the delay. SIGINT is not delayed.

        At `REPLACED`, the process stops accepting connections, and stops when those that it has are
        closed or idle. `/readyz` stays 200, because other workers accept connections.
        """
        handler = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is not threading.main_thread() or not callable(handler):
            yield
            return
        loop = asyncio.get_running_loop()
        former = signal.getsignal(REPLACED)
        signal.signal(signal.SIGTERM, self._on_sigterm(handler, loop))
        signal.signal(REPLACED, self._on_replaced(handler, loop))
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)
            signal.signal(REPLACED, former)

    def _on_sigterm(self, handler: _Handler, loop: asyncio.AbstractEventLoop) -> _Handler:
        def begin() -> None:
            _log.info("drain.began", seconds=self._seconds)
            loop.call_later(self._seconds, handler, signal.SIGTERM, None)

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if self.is_leaving or not self._seconds:
                handler(number, frame)
                return
            self.is_draining = self.is_leaving = True
            _call_soon(loop, begin)

        return on_sigterm

    def _on_replaced(self, handler: _Handler, loop: asyncio.AbstractEventLoop) -> _Handler:
        def begin() -> None:
            _log.info("worker.replaced", seconds=_SECONDS_TO_LEAVE)
            server = getattr(handler, "__self__", None)
            if isinstance(server, uvicorn.Server):
                for listener in server.servers:
                    listener.close()
            loop.call_later(_SECONDS_TO_LEAVE, handler, signal.SIGTERM, None)

        def on_replaced(_number: int, _frame: FrameType | None) -> None:
            self.is_leaving = True
            _call_soon(loop, begin)

        return on_replaced


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Call a function from the handler of a signal.

    The signal may have interrupted the loop, which only this method of the loop allows, or a
    request, whose context does not belong to the signal.
    """
    loop.call_soon_threadsafe(callback, context=Context())
