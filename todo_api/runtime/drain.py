"""The time between SIGTERM and the moment at which the server stops accepting connections.

A load balancer learns from the readiness check that a process is going to stop. Until then it
sends further connections, which would be refused if the process stopped at once.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

_log = structlog.get_logger()


class Drain:
    """Delays SIGTERM, and tells that the process is going to stop.

    While `is_draining`, the process accepts connections and answers requests as before, but it is
    not ready, and each response closes its connection.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.is_draining = False

    @contextmanager
    def delaying_sigterm(self) -> Iterator[None]:
        """Delay SIGTERM while the block runs, in the main thread of a process with an event loop.

        The server's handler, which must be installed already, is called after the delay. A second
        SIGTERM ends the delay. SIGINT is not delayed.
        """
        handler = signal.getsignal(signal.SIGTERM)
        is_main = threading.current_thread() is threading.main_thread()
        if not self._seconds or not is_main or not callable(handler):
            yield
            return
        signal.signal(signal.SIGTERM, self._delayed(handler, asyncio.get_running_loop()))
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, handler)

    def _delayed(
        self,
        handler: Callable[[int, FrameType | None], Any],
        loop: asyncio.AbstractEventLoop,
    ) -> Callable[[int, FrameType | None], None]:
        def stop() -> None:
            handler(signal.SIGTERM, None)

        def begin() -> None:
            _log.info("drain.began", seconds=self._seconds)
            loop.call_later(self._seconds, stop)

        def on_sigterm(number: int, frame: FrameType | None) -> None:
            if self.is_draining or loop.is_closed():
                handler(number, frame)
                return
            self.is_draining = True
            # A handler may run in the middle of a call of the loop, which this method allows.
            loop.call_soon_threadsafe(begin)

        return on_sigterm
