"""A service that exports nothing: it imports nothing for that, and says what is wrong, if so."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dependencies import ROOT
from tests.support.command import served
from tests.support.users import register_user

SERVING = """
import sys
{before}
from todo_api.worker import serving_app
from todo_api.settings import load_settings

serving_app(load_settings())
names = ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "todo_adapters.tracing")
print(*(name for name in names if name in sys.modules))
"""

WITHOUT_EXTRA = """
import importlib.abc

class Uninstalled(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.startswith(("opentelemetry.sdk", "opentelemetry.exporter", "google")):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Uninstalled())
"""


def start(folder: Path, *, before: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Make the application of a service in a process of its own."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SERVING.format(before=before)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_an_endpoint_nothing_is_imported(tmp_path: Path) -> None:
    done = start(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_with_an_endpoint_everything_is_imported_without_warnings(tmp_path: Path) -> None:
    """This shows that the test before can fail."""
    done = start(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 4
    assert "not_exported" not in done.stderr


def test_without_the_extra_the_service_runs_and_names_it(tmp_path: Path) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    done = start(tmp_path, before=WITHOUT_EXTRA, **endpoint)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert '"event":"telemetry.not_exported"' in done.stderr
    assert "pip install 'todo[otel]'" in done.stderr


def test_without_the_extra_and_without_an_endpoint_nothing_is_said(tmp_path: Path) -> None:
    done = start(tmp_path, before=WITHOUT_EXTRA)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "max_queue_size"),
    ],
)
def test_a_service_runs_with_a_variable_that_it_cannot_use(
    tmp_path: Path, variables: dict[str, str], name: str
) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:canary@127.0.0.1:1"}
    with served(tmp_path, **endpoint, **variables) as server:
        register_user(server.url).http.close()
        refused: list[dict[str, Any]] = [
            line for line in server.lines() if line["event"] == "telemetry.not_exported"
        ]
        assert "canary" not in server.log.read_text()
    assert [line["reason"].split()[0] for line in refused] == [name]
    assert not any("trace_id" in line for line in server.lines())
