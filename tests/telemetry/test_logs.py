"""The log as a collector receives it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Served, served
from tests.support.otlp import Collector, collecting
from tests.support.users import register_user
from tests.support.waiting import until


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


def exported(collector: Collector, body: str) -> dict[str, object]:
    """Wait for a line, and return its attributes."""
    until(lambda: any(line.body == body for line in collector.lines), seconds=30)
    return dict(next(line for line in collector.lines if line.body == body).attributes)


def logs_to(collector: Collector) -> dict[str, str]:
    return {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BLRP_SCHEDULE_DELAY": "100"}


def use(server: Served) -> None:
    register_user(server.url).http.close()


def test_lines_are_exported_with_their_level_and_their_values(
    tmp_path: Path, collector: Collector
) -> None:
    with served(tmp_path, **logs_to(collector), OTEL_LOGS_EXPORTER="otlp") as server:
        use(server)
        attributes = exported(collector, "account.registered")
        [logged] = (line for line in server.lines() if line["event"] == "account.registered")
    line = next(line for line in collector.lines if line.body == "account.registered")
    assert line.severity == "INFO"
    assert (line.trace_id, line.span_id) == (logged["trace_id"], logged["span_id"])
    names = logged.keys() - {"event", "level", "timestamp", "trace_id", "span_id"}
    assert attributes == {name: logged[name] for name in names}
    assert attributes["kind"] == "security"


def test_the_lines_of_libraries_are_exported_until_the_end_of_the_process(
    tmp_path: Path, collector: Collector
) -> None:
    with served(tmp_path, **logs_to(collector), OTEL_LOGS_EXPORTER="otlp") as server:
        use(server)
        server.process.terminate()
        assert server.process.wait(timeout=30) == 0
    assert exported(collector, "Application startup complete.") == {"logger": "uvicorn.error"}
    assert any(line.body.startswith("Finished server process") for line in collector.lines)
    assert len(collector.lines) == len(server.lines())


def test_logs_alone_can_be_exported(tmp_path: Path, collector: Collector) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"{collector.url}/v1/logs"}
    with served(tmp_path, **endpoint, OTEL_BLRP_SCHEDULE_DELAY="100") as server:
        use(server)
        exported(collector, "account.registered")
    assert collector.spans == []
    assert {line.trace_id for line in collector.lines} == {""}


def test_an_endpoint_alone_does_not_export_logs(tmp_path: Path, collector: Collector) -> None:
    with served(tmp_path, **logs_to(collector), OTEL_BSP_SCHEDULE_DELAY="100") as server:
        use(server)
        until(lambda: collector.spans, seconds=30)
    assert collector.lines == []


def test_a_failure_to_export_is_logged_and_not_exported(
    tmp_path: Path, collector: Collector
) -> None:
    collector.status = 400
    with served(tmp_path, **logs_to(collector), OTEL_LOGS_EXPORTER="otlp") as server:
        use(server)
        until(lambda: any("Failed to export" in line["event"] for line in server.lines()))
        collector.status = 200
        use(server)
        exported(collector, "account.registered")
    assert not any("Failed to export" in line.body for line in collector.lines)
