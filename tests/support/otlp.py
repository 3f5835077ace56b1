"""A collector that keeps what it receives: OTLP over HTTP, as protobuf."""

import gzip
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, override

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from tests.support.waiting import until

SERVER, CLIENT, INTERNAL = (
    trace_pb2.Span.SPAN_KIND_SERVER,
    trace_pb2.Span.SPAN_KIND_CLIENT,
    trace_pb2.Span.SPAN_KIND_INTERNAL,
)
ERROR = trace_pb2.Status.STATUS_CODE_ERROR


@dataclass(frozen=True)
class ExportedSpan:
    """A span as it was received."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    attributes: Mapping[str, Any]
    status: int
    message: str
    resource: Mapping[str, Any]


@dataclass(frozen=True)
class ExportedLine:
    """A log record as it was received."""

    body: str
    severity: str
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@dataclass
class Collector:
    """What was received so far. `status` is that of its responses."""

    url: str
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    spans: list[ExportedSpan] = field(default_factory=list)
    lines: list[ExportedLine] = field(default_factory=list)

    def trace(self, trace_id: str) -> Sequence[ExportedSpan]:
        """Return the spans of this trace."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def server_span(self, trace_id: str) -> ExportedSpan:
        """Wait for the span of the request of this trace, which is the last one to end."""
        until(lambda: any(span.kind == SERVER for span in self.trace(trace_id)), seconds=30)
        return next(span for span in self.trace(trace_id) if span.kind == SERVER)

    def children(self, parent: ExportedSpan) -> Sequence[ExportedSpan]:
        """Return the spans below this one."""
        return [span for span in self.trace(parent.trace_id) if span.parent_id == parent.span_id]

    def receive(self, path: str, body: bytes) -> None:
        """Decode and keep a request."""
        self.bodies.append(body)
        if path == "/v1/traces":
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        elif path == "/v1/logs":
            self.lines += _lines(ExportLogsServiceRequest.FromString(body))
        else:
            raise AssertionError(path)


def _spans(request: ExportTraceServiceRequest) -> Iterator[ExportedSpan]:
    for of_resource in request.resource_spans:
        resource = _values(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                assert not span.events
                yield ExportedSpan(
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.kind,
                    _values(span.attributes),
                    span.status.code,
                    span.status.message,
                    resource,
                )


def _lines(request: ExportLogsServiceRequest) -> Iterator[ExportedLine]:
    for of_resource in request.resource_logs:
        for of_scope in of_resource.scope_logs:
            for line in of_scope.log_records:
                yield ExportedLine(
                    line.body.string_value,
                    line.severity_text,
                    line.trace_id.hex(),
                    line.span_id.hex(),
                    _values(line.attributes),
                )


def _values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in attributes
    }


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free loopback port until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if collector.status == 200:
                headers = {name.lower(): value for name, value in self.headers.items()}
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.headers.append(headers)
                collector.receive(self.path, body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        @override
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def exporting_to(collector: Collector) -> dict[str, str]:
    """Return the environment of a service that exports its traces there, without delay."""
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
