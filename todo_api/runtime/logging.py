"""Structured logs: one line for each event, as JSON or, on a terminal, in colour.

Everything goes to standard error: the service's own events through structlog,
and those of uvicorn, Alembic and SQLAlchemy through the same renderer.
"""

import io
import logging
import math
import re
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO, cast, override

import orjson
import structlog
from opentelemetry.trace import format_span_id, format_trace_id, get_current_span
from structlog.typing import EventDict, Processor, WrappedLogger

from todo_api.runtime.request_context import client_address, current_request_id
from todo_api.settings import Settings

_MAX_LOGGED_CHARACTERS = 200
_RARELY_SECONDS = 600.0
_UNPRINTABLE = re.compile(r"[^ -~]")


def _add_request(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if (current := current_request_id.get()) is not None:
        event["request_id"] = current
        if event.get("kind") == "security":
            event["address"] = client_address.get()
    return event


def _add_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the ids of the current span, by which the log and its trace refer to each other."""
    span = get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = format_trace_id(span.trace_id)
        event["span_id"] = format_span_id(span.span_id)
    return event


class _OperatorName:
    """Adds the name of the operator to the events of the security log."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if event.get("kind") == "security":
            event["operator"] = self._name
        return event


def _add_timestamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["timestamp"] = datetime.now(UTC)
    return event


def _json(event: EventDict, **_: object) -> str:
    """Render the event as JSON, with `str` for values that JSON does not know."""
    return orjson.dumps(event, default=str, option=orjson.OPT_UTC_Z).decode()


class _Lossy(io.TextIOBase):
    """A stream that drops what it cannot write: a full disk must not fail a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @override
    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    @override
    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def loggable(text: str) -> str:
    """Return the text of a client as the log may show it: bounded, and printable ASCII only."""
    return _UNPRINTABLE.sub("?", text[:_MAX_LOGGED_CHARACTERS])


def logs_json(settings: Settings) -> bool:
    """Return whether the log is in JSON, under these settings and on this standard error."""
    return settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )


class _Rarely(logging.Filter):
    """Passes a message of OpenTelemetry once in ten minutes, and everything else.

    While the collector does not respond, there would be several lines for each batch.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[tuple[str, str], float] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("opentelemetry."):
            return True
        message, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._passed_at.get(message, -math.inf) < _RARELY_SECONDS:
            return False
        self._passed_at[message] = now
        return True


def configure_logs(
    settings: Settings,
    *,
    operator: str | None = None,
    with_traces: bool = False,
    export: Processor | None = None,
) -> None:
    """Configure logging for the whole process.

    A command names the operator who runs it, and each event of the security log has that name.
    `with_traces` adds the ids of traces and spans. `export` is given each line as well.
    """
    level = logging.DEBUG if settings.debug else settings.log_level.upper()
    as_json = logs_json(settings)
    shared: list[Processor] = [
        _add_request if operator is None else _OperatorName(operator),
        *([_add_trace] if with_traces else []),
        structlog.processors.add_log_level,
        _add_timestamp if as_json else structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    exports = [] if export is None else [export]
    renderers: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(_json)]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # The default also prints the values of variables, including passwords.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[*shared, *exports, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Lossy(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Lossy(sys.stderr))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name, *exports],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    handler.addFilter(_Rarely())
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # The log of requests is our own. Uvicorn writes its own, with queries, where it has a handler.
    logging.getLogger("uvicorn.access").propagate = False
    for name in ("uvicorn", "uvicorn.error"):
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
    # What uses them logs its requests itself. That of OpenTelemetry is urllib3.
    for name in ("httpx", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It logs headers that it cannot parse, which may contain a password.
    logging.getLogger("opentelemetry.util.re").setLevel(logging.CRITICAL)
    # At level "info" SQLAlchemy logs every statement, without its parameters.
    sql_level = logging.INFO if settings.debug else logging.WARNING
    logging.getLogger("sqlalchemy.engine").setLevel(sql_level)
