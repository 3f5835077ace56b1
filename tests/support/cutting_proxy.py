"""A proxy that cuts connections after a random number of bytes, in either direction.

So a client cannot know whether the service got its request, or what it answered.
"""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

_MOST_BYTES = 8_000
"""A connection carries some requests and responses on average, of half a kilobyte each."""


class CuttingProxy(ThreadingTCPServer):
    """Forwards connections on its own port to another loopback port, the `target`.

    While `is_cutting`, each connection is cut after some bytes, and `cuts` are counted.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target = target
        self.is_cutting = True
        self.cuts = 0
        self.random = Random(1)  # noqa: S311 - it need not be a secret

    @property
    def url(self) -> str:
        """The URL of its port."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Connection(BaseRequestHandler):
    server: CuttingProxy

    def handle(self) -> None:
        left = self.server.random.randrange(_MOST_BYTES)
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.server.target)) as far,
        ):
            others = {self.request: far, far: self.request}
            while True:
                for source in select.select(list(others), [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    if self.server.is_cutting and len(data) > left:
                        others[source].sendall(data[:left])
                        self.server.cuts += 1
                        return
                    others[source].sendall(data)
                    left -= len(data)


@contextmanager
def cutting_proxy(target: int) -> Iterator[CuttingProxy]:
    """Run a proxy to this port until the block ends."""
    with CuttingProxy(target) as proxy:
        thread = Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
