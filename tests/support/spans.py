"""Spans that are kept in memory, of code that a test calls within a span of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON


class Recorder:
    """A tracer, and the spans that have ended."""

    def __init__(self, *, sampled: bool = True) -> None:
        self._exporter = InMemorySpanExporter()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON if sampled else ALWAYS_OFF, shutdown_on_exit=False
        )
        self._provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self._provider.get_tracer("tests")

    @contextmanager
    def request(self) -> Iterator[None]:
        """Be within the span of a request."""
        with self.tracer.start_as_current_span("request"):
            yield

    def spans(self) -> list[ReadableSpan]:
        """Return all spans but those of requests, in the order in which they ended."""
        return [span for span in self._exporter.get_finished_spans() if span.name != "request"]

    def names(self) -> list[str]:
        """Return the names of these spans."""
        return [span.name for span in self.spans()]

    def tree(self) -> dict[str, Any]:
        """Return the names of the spans below that of a request, each with those below it."""
        ended = self._exporter.get_finished_spans()
        [root] = (span for span in ended if span.name == "request")
        return self._below(root)

    def _below(self, parent: ReadableSpan) -> dict[str, Any]:
        return {
            span.name: self._below(span)
            for span in self.spans()
            if span.parent and parent.context and span.parent.span_id == parent.context.span_id
        }
