"""What is told about the service: traces, the export of the log, and metrics.

The libraries for it are imported only where they are used: see docs/decisions/late-imports.md.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from todo_api.exporter.files import count_nowhere, folder_of_this_service
from todo_api.settings import Settings, Telemetry

if TYPE_CHECKING:
    from todo_adapters.tracing.log_export import LogExport
    from todo_adapters.tracing.span_export import SpanExport
    from todo_api.runtime.metrics import Metrics

_log = structlog.get_logger()


class Tracing(NamedTuple):
    """The export of spans, if there is one. A container would make None again each time."""

    spans: "SpanExport | None"


def make_tracing(settings: Settings, telemetry: Telemetry) -> Tracing:
    """Return the export of spans that the environment asks for, if any."""
    if telemetry.traces is None:
        return Tracing(None)
    # Late: see docs/decisions/late-imports.md
    from todo_adapters.tracing.span_export import SpanExport

    return Tracing(_open(partial(SpanExport, telemetry.traces, version=settings.app_version)))


def open_log_export(settings: Settings, telemetry: Telemetry) -> "LogExport | None":
    """Return the export of the log of this process, if there is one.

    The log outlives the parts of a container, and so does its export.
    """
    if telemetry.logs is None:
        return None
    # Late: see docs/decisions/late-imports.md
    from todo_adapters.tracing.log_export import LogExport

    return _open(partial(LogExport, telemetry.logs, version=settings.app_version))


def _open[Export](make: Callable[[], Export]) -> Export | None:
    """Return an export, or log why it cannot be made: a service runs without it."""
    try:
        return make()
    except (ValueError, RuntimeError, OSError) as error:  # of the variables that the SDK reads
        _log.warning("telemetry.not_exported", reason=str(error))
        return None


def make_metrics(settings: Settings) -> "Metrics | None":
    """Return what counts, or None where nobody serves what it would count.

    If it cannot be made, this is logged, once: a service runs without it.
    """
    if settings.metrics_port is None or (folder := folder_of_this_service()) is None:
        return None
    # Late: see docs/decisions/late-imports.md
    from todo_api.runtime.metrics import Metrics

    try:
        return Metrics(
            folder,
            version=settings.app_version,
            database="sqlite" if settings.is_embedded else "postgresql",
            connections=settings.database_pool_size,
        )
    except OSError as error:
        count_nowhere()  # a container makes None again each time
        _log.warning("metrics.not_counted", reason=str(error))
        return None
