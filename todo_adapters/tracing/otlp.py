"""What the exports of spans and of logs have in common."""

from collections.abc import Callable
from threading import Thread

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource

_FLUSH_SECONDS = 3.0
"""How long the end of the process may wait until the last batch is exported."""

_UNNAMED = "unknown_service"


def resource_of(version: str) -> Resource:
    """Describe this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence."""
    resource = Resource({SERVICE_VERSION: version}).merge(Resource.create())
    if str(resource.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        return resource.merge(Resource({SERVICE_NAME: "todo"}))
    return resource


def shut_down_in_time(shut_down: Callable[[], None]) -> None:
    """Export what is left, or drop it if that takes longer than some seconds.

    The SDK would wait for half a minute if the collector does not respond.
    """
    thread = Thread(target=shut_down, name="telemetry", daemon=True)
    thread.start()
    thread.join(_FLUSH_SECONDS)
