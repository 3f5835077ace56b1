"""The export of the log by OTLP: the same lines as on standard error."""

from collections.abc import Mapping
from time import time_ns

import structlog
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from structlog.typing import EventDict, WrappedLogger

from todo_adapters.tracing.otlp import resource_of, shut_down_in_time

_SEVERITIES: Mapping[str, SeverityNumber] = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
_NOT_ATTRIBUTES = {
    *("event", "level", "timestamp"),
    *("trace_id", "span_id"),  # a record has those of its context
}
_OWN_LOGGERS = ("opentelemetry", "urllib3", "requests")
"""Those of the export itself: a line about a failure to export must not be exported."""


class LogExport:
    """A processor of structlog that exports each line, in batches, on a thread of its own.

    If the collector does not respond, lines are dropped. Nothing else waits for it.
    """

    def __init__(self, endpoint: str, *, version: str) -> None:
        self._provider = LoggerProvider(resource=resource_of(version), shutdown_on_exit=False)
        self._provider.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(endpoint=endpoint))
        )
        self._logger = self._provider.get_logger("todo", version)

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Export the line, and return it unchanged."""
        if not str(event.get("logger", "")).startswith(_OWN_LOGGERS):
            self._export(structlog.processors.format_exc_info(logger, method, {**event}))
        return event

    def _export(self, event: EventDict) -> None:
        level = str(event["level"])
        self._logger.emit(
            timestamp=time_ns(),
            severity_number=_SEVERITIES.get(level, SeverityNumber.UNSPECIFIED),
            severity_text=level.upper(),
            body=str(event["event"]),
            attributes={
                name: value if isinstance(value, str | int | float) else str(value)
                for name, value in event.items()
                if name not in _NOT_ATTRIBUTES and name[0] != "_" and value is not None
            },
        )

    def close(self) -> None:
        """Export what is left, for a few seconds at most."""
        shut_down_in_time(self._provider.shutdown)
