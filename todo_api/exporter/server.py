"""`GET /metrics`, on a separate port, for Prometheus.

It is served on separate threads, independently of the API: by the parent of the workers if there
are several, and otherwise by the process that answers requests.
"""

import logging
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Lock, Thread, Timer
from typing import Any, override
from urllib.parse import urlsplit

from todo_api.exporter.files import MetricFiles

_log = logging.getLogger(__name__)

PATH = "/metrics"

_ATTEMPTS = 5
_PAUSE_SECONDS = 0.01

_MAX_CONNECTIONS = 8
_CONNECTION_SECONDS = 5.0
"""How long a connection may last, so that a slow client does not occupy it."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens on this address.

    Raises:
        OSError: if the address is not one of this machine, or another process listens on it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_MAX_CONNECTIONS)


@contextmanager
def serving_metrics(host: str, port: int) -> Iterator[None]:
    """Serve the metrics of this process and of those that it starts, until the block ends.

    Enter the block before prometheus-client is imported: it then counts in the files that are read
    here.

    Raises:
        OSError: if the address cannot be used, or if the folder for the files cannot be created.
    """
    with listening_socket(host, port) as listener:
        files = MetricFiles.create()
        try:
            server = _Server(listener, _Exposition(files))
            Thread(target=server.serve_forever, name="metrics", daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()
        finally:
            files.remove()


class _Exposition:
    """The metrics of all processes in the formats that Prometheus reads."""

    def __init__(self, files: MetricFiles) -> None:
        # Late: it looks for the folder when it is imported, see also docs/decisions/late-imports.md
        from prometheus_client import CollectorRegistry
        from prometheus_client.multiprocess import MultiProcessCollector

        self._files = files
        self._registry = CollectorRegistry()
        MultiProcessCollector(self._registry, path=str(files.folder))
        self._lock = Lock()

    def render(self, accept: str) -> tuple[str, bytes]:
        """Return the media type and the text, in the format that the client prefers."""
        from prometheus_client.exposition import choose_encoder

        try:
            encode, media_type = choose_encoder(accept)
        except (ValueError, TypeError):  # a version that is not a number
            encode, media_type = choose_encoder("")
        with self._lock:
            self._files.retire_dead_processes()
            for _ in range(_ATTEMPTS):
                # prometheus-client creates a file before it has a length, and cannot read it then.
                with suppress(struct.error):
                    return media_type, encode(self._registry)
                time.sleep(_PAUSE_SECONDS)
            return media_type, encode(self._registry)


class _Server(ThreadingHTTPServer):
    """Serves a few clients at a time, each on its own thread and for a limited time."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, exposition: _Exposition) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.exposition = exposition
        self._places = BoundedSemaphore(_MAX_CONNECTIONS)

    @override
    def process_request(self, request: Any, client_address: Any) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    @override
    def process_request_thread(self, request: Any, client_address: Any) -> None:
        timer = Timer(_CONNECTION_SECONDS, _cut, [request])
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self._places.release()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore that a client has disconnected, and log any other error."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("The metrics could not be served (%s).", type(error).__name__)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD of `PATH`, and any other path with 404."""

    server: _Server
    timeout = _CONNECTION_SECONDS
    server_version = "todo"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain; charset=utf-8"

    def do_GET(self) -> None:
        try:
            path = urlsplit(self.path).path
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if path != PATH:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        media_type, content = self.server.exposition.render(self.headers.get("Accept", ""))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_HEAD = do_GET  # noqa: N815 - as above

    @override
    def version_string(self) -> str:
        return self.server_version

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: a scrape is not an event."""
