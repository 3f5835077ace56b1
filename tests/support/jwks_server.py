"""A JWKS endpoint of an issuer that can be slow, wrong, or down."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, override


class JwksServer:
    """Serves `document`; `request_count` counts the requests.

    It waits `delay` seconds before each byte of its response.
    """

    def __init__(self, document: dict[str, Any] | bytes) -> None:  # JSON, or other bytes
        self.document = document
        self.status = 200
        self.redirect_to: str | None = None
        self.delay = 0.0
        self.request_count = 0
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.start()

    @property
    def url(self) -> str:
        """The URL of the keys."""
        return f"http://127.0.0.1:{self._port}/jwks"

    def start(self) -> None:
        """Listen on the same port as before."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            @override
            def log_message(self, format: str, *args: object) -> None:
                """Log nothing."""

            def do_GET(self) -> None:
                issuer.request_count += 1
                content = issuer.content()
                head = f"HTTP/1.1 {issuer.status} OK\r\nContent-Length: {len(content)}\r\n"
                if issuer.redirect_to:
                    head = f"HTTP/1.1 302 Found\r\nLocation: {issuer.redirect_to}\r\n"
                answer = f"{head}\r\n".encode() + content
                if not issuer.delay:
                    self.wfile.write(answer)
                    return
                for byte in answer:
                    time.sleep(issuer.delay)
                    try:
                        self.wfile.write(bytes([byte]))
                    except OSError:
                        return

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening, so that connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def content(self) -> bytes:
        """Return the body of the response."""
        if isinstance(self.document, bytes):
            return self.document
        return json.dumps(self.document).encode()


@contextmanager
def running_jwks_server(document: dict[str, Any] | bytes) -> Iterator[JwksServer]:  # as above
    """Run a server until the block ends."""
    server = JwksServer(document)
    try:
        yield server
    finally:
        server.stop()
