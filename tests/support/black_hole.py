"""A wire that can be made to swallow everything: connections stay, and nothing ever comes.

That is what a firewall that forgot a connection, or a pooler whose server is gone, looks
like from here: no refusal and no end, so that only a clock can tell.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread


class Wire:
    """Forwards connections on a port of its own to another port of loopback."""

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

    def swallow(self) -> None:
        """Forward nothing from now on, in neither direction, and close nothing."""
        self._forwarding.clear()

    def forward(self) -> None:
        """Go on, beginning with what was held back."""
        self._forwarding.set()

    def close(self) -> None:
        """Cut all connections."""
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
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to this port for the time of the block."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()
