"""A span for each use case that is called on behalf of a request.

The core knows nothing of it: a traced use case is an instance of a subclass with the same fields.
"""

from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import Tracer

from todo_adapters.tracing.spans import is_sampled, record_error
from todo_core import use_cases
from todo_core.application import Application
from todo_core.use_cases.admission import Admitted

_MODULES = f"{use_cases.__name__}."
_CALL, _ADMIT = "__call__", "admit"


def trace_use_cases(application: Application, tracer: Tracer) -> None:
    """Let each use case of the application begin a span with the name of its class.

    One that another use case calls has a span too, below that of its caller: the write of a
    request with an `Idempotency-Key`, for example. Steps that several use cases share have none.
    """
    tracing = _UseCaseTracing(tracer, vars(application).values())
    for name, use_case in vars(application).items():
        setattr(application, name, tracing.traced(use_case))


class _UseCaseTracing:
    """Makes traced use cases, one of each. `public` are those that have spans."""

    def __init__(self, tracer: Tracer, public: Iterable[object]) -> None:
        self._tracer = tracer
        self._public = {id(use_case) for use_case in public if callable(use_case)}
        self._made: dict[int, object] = {}

    def traced(self, part: object) -> object:
        """Return the same use case with all parts traced that are use cases.

        Anything else is returned as it is.
        """
        if not is_dataclass(part) or not type(part).__module__.startswith(_MODULES):
            return part
        if id(part) not in self._made:
            kind: type[Any] = type(part)  # any use case: each has fields of its own
            if id(part) in self._public:
                kind = _traced_class(kind, self._tracer)
            values = {each.name: self.traced(getattr(part, each.name)) for each in fields(part)}
            self._made[id(part)] = kind(**values)
        return self._made[id(part)]


def _traced_class(use_case: type, tracer: Tracer) -> type:
    """Return a subclass whose calls have spans. It has no slots of its own, so the same fields."""
    name = use_case.__name__
    methods = {
        "__slots__": (),
        "__doc__": use_case.__doc__,
        "__module__": use_case.__module__,
        _CALL: _traced_call(getattr(use_case, _CALL), name, tracer),
    }
    if hasattr(use_case, _ADMIT):
        methods[_ADMIT] = _traced_admission(getattr(use_case, _ADMIT), name, tracer)
    return type(name, (use_case,), methods)


def _traced_call[**Arguments, Result](
    call: Callable[Arguments, Result], name: str, tracer: Tracer
) -> Callable[Arguments, Result]:
    @wraps(call)
    def traced(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        if not is_sampled():
            return call(*args, **kwargs)
        span = tracer.start_span(name)
        token = context.attach(trace.set_span_in_context(span))
        try:
            return call(*args, **kwargs)
        except BaseException as error:
            record_error(span, error)
            raise
        finally:
            context.detach(token)
            span.end()

    return traced


def _traced_admission[**Arguments, Result](
    admit: Callable[Arguments, Admitted[Result]], name: str, tracer: Tracer
) -> Callable[Arguments, Admitted[Result]]:
    """Give admission a span of its own: what remains may run much later, on another thread."""
    traced_admit = _traced_call(admit, f"{name}.{_ADMIT}", tracer)

    @wraps(admit)
    def traced(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Admitted[Result]:
        admitted = traced_admit(*args, **kwargs)
        return replace(admitted, complete=_traced_call(admitted.complete, name, tracer))

    return traced
