"""A proxy that can stall: connections stay open, and no data passes.

A firewall that dropped the state of a connection, or a pooler that lost its server, looks like
this to a client: there is no error and no end of the stream, so that only a timeout helps.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


class StallingProxy:
    """Forwards connections on its own port to another loopback port."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._forwarding = Event()
        self._forwarding.set()
        self._closed = False
        self._ends: list[socket.socket] = []
        self._threads: list[Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def stall(self) -> None:
        """Stop forwarding in both directions, and keep the connections open."""
        self._forwarding.clear()

    def resume(self) -> None:
        """Forward again, beginning with what was held back."""
        self._forwarding.set()

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._forwarding.set()
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=5)
        self._listener.close()

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> Thread:
        thread = Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._connect, near)

    def _connect(self, near: socket.socket) -> None:
        with near:
            self._ends.append(near)
            self._forwarding.wait()
            if self._closed:
                return
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as far:
                self._ends.append(far)
                back = self._start(self._pump, far, near)
                self._pump(near, far)
                back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._forwarding.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@contextmanager
def stalling_proxy(port: int) -> Iterator[StallingProxy]:
    """Run a proxy to this port until the block ends."""
    proxy = StallingProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
