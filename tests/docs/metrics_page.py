"""The table of metrics in docs/metrics.md: `uv run python -m tests.docs.metrics_page` updates it.

It is made from the metrics themselves.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from todo_api.runtime import request_counts
from todo_api.runtime.metrics import Metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
_HEADING = "| name | type | labels | meaning |\n|---|---|---|---|\n"


@dataclass(frozen=True)
class Definition:
    """A metric as it is exposed."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str


def definitions() -> list[Definition]:
    """Return all metrics, first those that the service counts itself."""
    registry = CollectorRegistry()
    with TemporaryDirectory() as folder:
        Metrics(Path(folder), version="1", database="sqlite", connections=1, registry=registry)
    return [*_own(), *map(_definition, registry._collector_to_names)]


def _own() -> Iterator[Definition]:
    labels = ("method", "route")
    yield Definition(
        f"{request_counts.REQUESTS}_total",
        "counter",
        (*labels, "status"),
        request_counts.REQUESTS_MEANING,
    )
    yield Definition(request_counts.DURATION, "histogram", labels, request_counts.DURATION_MEANING)
    yield Definition(
        f"{request_counts.TASKS}_total", "counter", ("operation",), request_counts.TASKS_MEANING
    )


def _definition(metric: object) -> Definition:
    assert isinstance(metric, MetricWrapperBase)
    name = f"{metric._name}_total" if metric._type == "counter" else metric._name
    # prometheus-client adds this label to what each process publishes of its own.
    of_each = getattr(metric, "_multiprocess_mode", None) == "liveall"
    labels = (*metric._labelnames, *(("pid",) if of_each else ()))
    return Definition(name, str(metric._type), labels, metric._documentation)


def table() -> str:
    """Return the rows of the table."""
    return "".join(
        f"| `{each.name}` | {each.type} | {', '.join(f'`{label}`' for label in each.labels)}"
        f" | {each.meaning} |\n"
        for each in definitions()
    )


def page(text: str) -> str:
    """Return the page with the current table."""
    before, after = text.split(_HEADING)
    return before + _HEADING + table() + re.sub(r"\A(?:\|.*\n|METRICS\n)*", "", after)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
