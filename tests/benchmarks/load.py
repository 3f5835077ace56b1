"""Load from wrk, and its measurements."""

import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from tests.benchmarks.processes import BenchmarkFailed, Server

CONNECTIONS = 32

_REPORT = """
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""
"""Lua that makes wrk print one line of JSON at the end, with more digits than its table."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request to repeat, and a check of its response.

    `is_right` receives the JSON of the response.
    """

    url: str
    is_right: Callable[[Any], bool]  # the JSON may be of any type
    method: str = "GET"
    status: int = 200
    token: str | None = None
    body: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the request."""
        headers = {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def answer(self) -> httpx.Response:
        """Send the request once, and return its response.

        Raises:
            BenchmarkFailed: if the response is not correct.
        """
        response = httpx.request(
            self.method, self.url, headers=self.headers, content=self.body, trust_env=False
        )
        if response.status_code != self.status or not self.is_right(response.json()):
            raise BenchmarkFailed(
                f"{self.method} {self.url} answers wrongly:"
                f" {response.status_code} {response.text[:500]}"
            )
        return response


@dataclass(frozen=True, slots=True)
class Measurement:
    """The performance of an endpoint under load.

    The percentiles are those of the time that clients waited for a response. The time
    that the server computed for each request is the more stable figure where
    other processes share its core.
    """

    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    cpu_microseconds: float

    @classmethod
    def median_of(cls, measurements: Sequence["Measurement"]) -> "Measurement":
        """Return the median of several measurements, figure by figure."""
        return cls(
            median(measurement.requests_per_second for measurement in measurements),
            median(measurement.p50_milliseconds for measurement in measurements),
            median(measurement.p99_milliseconds for measurement in measurements),
            median(measurement.cpu_microseconds for measurement in measurements),
        )


def require_wrk() -> None:
    """Require that wrk is installed.

    Raises:
        BenchmarkFailed: if it is not. The message says how to install it.
    """
    if shutil.which("wrk") is None:
        raise BenchmarkFailed("wrk is needed; on Debian: apt-get install wrk")


def measure(endpoint: Endpoint, server: Server, *, seconds: int, folder: Path) -> Measurement:
    """Put an endpoint under load for this many seconds, after checking its response.

    Raises:
        BenchmarkFailed: if any response was not a success, or any connection broke.
    """
    endpoint.answer()
    script = folder / "load.lua"
    script.write_text(_script(endpoint), encoding="ascii")
    cpu_seconds_before = server.cpu_seconds()
    output = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", script, endpoint.url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    cpu_seconds = server.cpu_seconds() - cpu_seconds_before
    counted = json.loads(output.splitlines()[-1])
    if counted["refused"] or counted["broken"] or not counted["requests"]:
        raise BenchmarkFailed(
            f"{endpoint.method} {endpoint.url}: of {counted['requests']} requests"
            f" {counted['refused']} were refused, and {counted['broken']} connections broke"
        )
    return Measurement(
        requests_per_second=counted["requests"] * 1e6 / counted["microseconds"],
        p50_milliseconds=counted["p50"] / 1000,
        p99_milliseconds=counted["p99"] / 1000,
        cpu_microseconds=cpu_seconds * 1e6 / counted["requests"],
    )


def _script(endpoint: Endpoint) -> str:
    """Return the request in Lua, whose ASCII strings have the syntax of JSON."""
    lines = [f"wrk.method = {json.dumps(endpoint.method)}"]
    lines += [
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}"
        for name, value in endpoint.headers.items()
    ]
    if endpoint.body is not None:
        lines.append(f"wrk.body = {json.dumps(endpoint.body)}")
    return "\n".join(lines) + _REPORT
