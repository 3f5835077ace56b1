"""The export of spans by OTLP, as the `OTEL_…` variables of OpenTelemetry say.

The exporter reads them itself: headers, certificates, timeout, compression, sampler, sizes and
pauses of batches. Only the composition root imports this module, and only if traces are exported,
because it imports the SDK (docs/decisions/late-imports.md).
"""

from collections.abc import Sequence
from typing import override

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import CarrierT, Getter, default_getter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, Status

from todo_adapters.tracing.otlp import resource_of, shut_down_in_time

EXPORTED = frozenset(
    {
        *("http.request.method", "http.response.status_code", "http.route"),
        *("url.scheme", "network.protocol.version", "error.type"),
        *("db.system.name", "db.operation.name", "db.operation.batch.size"),
        *("db.collection.name", "db.query.text", "db.response.status_code"),
    }
)
"""The only attributes that leave the process.

Clients decide what is in a path, a query or a header: ids of users and tasks, text that is searched
for, the ticket of a stream, a token in the wrong place.
"""


class SpanExport:
    """Exports the sampled spans of this process, in batches, on a thread of its own.

    If the collector does not respond, spans are dropped. Nothing else waits for it.
    """

    def __init__(self, endpoint: str, *, version: str) -> None:
        _require_context()
        exporter = _AllowedAttributes(OTLPSpanExporter(endpoint=endpoint))
        self.provider = TracerProvider(resource=resource_of(version), shutdown_on_exit=False)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("todo", version)

    def close(self) -> None:
        """Export what is left, for a few seconds at most."""
        shut_down_in_time(self.provider.shutdown)


class _AllowedAttributes(SpanExporter):
    """Exports spans without all attributes but those of a list, and without events."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_allowed(span) for span in spans])

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()


class _NoPropagation(CompositePropagator):
    """Begins a new trace with each request, as OTEL_PROPAGATORS=none demands."""

    @override
    def extract(
        self,
        carrier: CarrierT,
        context: Context | None = None,
        getter: Getter[CarrierT] = default_getter,
    ) -> Context:
        return Context() if context is None else context


def _require_context() -> None:
    """Let the propagator of this process return a context, which FastAPI enters.

    That of OpenTelemetry for `none` returns None, and each request would fail.
    """
    if propagate.extract({}) is None:
        propagate.set_global_textmap(_NoPropagation([]))


def _allowed(span: ReadableSpan) -> ReadableSpan:
    """Return the span, or a copy if there is more in it than may leave the process."""
    attributes, context = span.attributes or {}, span.context
    is_plain = not (span.events or span.links or span.status.description)
    if is_plain and EXPORTED.issuperset(attributes) and not (context and context.trace_state):
        return span
    return ReadableSpan(
        name=span.name,
        # Without the `tracestate`, which is a header.
        context=context
        and SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags),
        parent=span.parent,
        resource=span.resource,
        attributes={name: attributes[name] for name in attributes if name in EXPORTED},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
