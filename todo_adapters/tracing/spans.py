"""Spans within a request.

Only what happens on behalf of a request whose trace is sampled gets a span: a background job has
none. So a request that is not sampled costs next to nothing.
"""

from opentelemetry import trace
from opentelemetry.trace import Span, StatusCode

from todo_core.errors import TodoError, Unavailable


def is_sampled() -> bool:
    """Return whether the current context belongs to a request whose trace is sampled."""
    return trace.get_current_span().get_span_context().trace_flags.sampled


def record_error(span: Span, error: BaseException) -> None:
    """Record the class of the error, but not its message, which may contain data of a user.

    An error that the core raises deliberately is an answer to the caller, and no failure of the
    service, unless a dependency does not respond.
    """
    kind = type(error)
    span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}")
    if not isinstance(error, TodoError) or isinstance(error, Unavailable):
        span.set_status(StatusCode.ERROR)
