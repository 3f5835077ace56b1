"""What is left of a span when it leaves the process."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from todo_adapters.tracing.span_export import _AllowedAttributes

CANARY = "canary"
ALLOWED = {"http.request.method": "GET", "http.route": "/api/tasks"}
CALLER = SpanContext(
    1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", CANARY)])
)


def exported(span: trace.Span, collector: InMemorySpanExporter) -> ReadableSpan:
    span.end()
    [found] = collector.get_finished_spans()
    return found


@pytest.fixture
def collector() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(collector: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(_AllowedAttributes(collector)))
    return provider.get_tracer("tests")


def test_a_span_with_nothing_else_is_exported_as_it_is(
    tracer: trace.Tracer, collector: InMemorySpanExporter
) -> None:
    span = tracer.start_span("GET /api/tasks", kind=SpanKind.SERVER, attributes=ALLOWED)
    span.set_status(StatusCode.ERROR)
    found = exported(span, collector)
    assert found.attributes == ALLOWED
    assert found.status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("name", ["url.path", "url.query", "server.address", "user_agent.original"])
def test_other_attributes_are_dropped(
    tracer: trace.Tracer, collector: InMemorySpanExporter, name: str
) -> None:
    span = tracer.start_span(
        "GET", kind=SpanKind.SERVER, attributes={**ALLOWED, name: CANARY, "error.type": "500"}
    )
    found = exported(span, collector)
    assert found.attributes == {**ALLOWED, "error.type": "500"}
    assert (found.name, found.kind) == ("GET", SpanKind.SERVER)
    assert found.context == span.get_span_context()
    assert found.start_time
    assert found.end_time


def test_messages_events_links_and_the_state_of_the_caller_are_dropped(
    tracer: trace.Tracer, collector: InMemorySpanExporter
) -> None:
    within = trace.set_span_in_context(NonRecordingSpan(CALLER))
    span = tracer.start_span("GET", within, attributes=ALLOWED, links=[Link(CALLER)])
    span.add_event(CANARY)
    span.record_exception(ValueError(CANARY))
    span.set_status(Status(StatusCode.ERROR, CANARY))
    found = exported(span, collector)
    assert CANARY not in found.to_json()
    assert (found.events, found.links, found.status.description) == ((), (), None)
    assert found.context
    assert found.parent
    assert (found.context.trace_id, found.parent.span_id) == (1, 2)
    assert found.context.trace_state == TraceState()
