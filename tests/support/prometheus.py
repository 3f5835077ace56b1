"""A real Prometheus, as Debian packages it, and its tool for rules."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.clients import client_of
from tests.support.processes import free_port

START_TIMEOUT_SECONDS = 60
_ADMINISTRATORS = "/usr/sbin:/usr/local/sbin"


def program(name: str) -> str:
    """Return the path of a program of Prometheus.

    Raises:
        RuntimeError: if it is not installed.
    """
    found = shutil.which(name, path=f"{os.environ['PATH']}:{_ADMINISTRATORS}")
    if found is None:
        raise RuntimeError(f"{name} is missing: install the package `prometheus` of Debian")
    return found


def promtool(*arguments: object, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool with this standard input."""
    return subprocess.run(
        [program("promtool"), *map(str, arguments)], input=text, capture_output=True, text=True
    )


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    http: httpx.Client

    def get(self, path: str, **parameters: str) -> Any:  # JSON
        """Return the data of an answer of its API.

        Raises:
            AssertionError: if it refuses the request, as it refuses a query that is not valid.
        """
        answer = self.http.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> Sequence[Mapping[str, Any]]:
        """Return the samples that a query has now."""
        data = self.get("query", query=expression)
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        found: Sequence[Mapping[str, Any]] = data["result"]
        return found

    def has_fired(self) -> set[str]:
        """Return the names of the alerts that have fired at any time."""
        return self._alerts('max_over_time(ALERTS{alertstate="firing"}[1h])')

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return self._alerts('ALERTS{alertstate="firing"}')

    def _alerts(self, expression: str) -> set[str]:
        return {each["metric"]["alertname"] for each in self.query(expression)}


@contextmanager
def running_prometheus(folder: Path, configuration: str) -> Iterator[Prometheus]:
    """Run Prometheus with this configuration until the block ends."""
    file = folder / "prometheus.yml"
    file.write_text(configuration)
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with client_of(f"http://127.0.0.1:{port}") as http:
            _wait_until_ready(http, process, folder / "prometheus.log")
            yield Prometheus(http)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_ready(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while True:
        try:
            if http.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(log.read_text())
        time.sleep(0.1)
