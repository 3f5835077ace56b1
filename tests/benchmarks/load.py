"""Load from wrk, and its measurements."""

import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import httpx

from tests.benchmarks.processes import BenchmarkFailed, Server, on_core
from tests.benchmarks.setup import Setup

CONNECTIONS = 32

_TIMEOUT_SECONDS = 10

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

_ROTATE = """
local requests, last = {}, 0
init = function()
  for _, body in ipairs(bodies) do
    for _, path in ipairs(paths) do
      requests[#requests + 1] = wrk.format(nil, path, nil, body)
    end
  end
end
request = function()
  last = last % #requests + 1
  return requests[last]
end
"""
"""Lua that sends the first body to all paths in turn, then the second one, and so on."""

_CREATE_AND_DELETE = """
local created, create = {}, nil
init = function() create = wrk.format(nil, nil, nil, body) end
request = function()
  local id = table.remove(created)
  if id then return wrk.format("DELETE", before_id .. id .. after_id) end
  return create
end
response = function(status, headers, body)
  if status == created_status then created[#created + 1] = body:match('"id":"?(%w+)') end
end
"""
"""Lua that deletes what it has created, or creates something where nothing is left to delete."""

_THINK = """
delay = function() return math.floor(0.5 - mean_milliseconds * math.log(1 - math.random())) end
"""
"""Lua that makes each connection wait before a request, for an exponentially distributed time."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request with JSON."""

    url: str
    method: str = "GET"
    token: str | None = None
    body: Mapping[str, object] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers."""
        headers = {}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    @property
    def content(self) -> str | None:
        """The body as text."""
        return None if self.body is None else json.dumps(self.body)

    @property
    def target(self) -> str:
        """The path and the query."""
        return httpx.URL(self.url).raw_path.decode("ascii")


@dataclass(frozen=True, slots=True, eq=False)
class Endpoint:
    """A load on an endpoint: a request with a check of its response, and a script for wrk.

    `is_right` receives the JSON of the response. An endpoint that responds slowly is measured
    `duration_factor` times as long as others.
    """

    request: Request
    is_right: Callable[[Any], bool]  # the JSON may be of any type
    status: int
    script: str
    connections: int = CONNECTIONS
    duration_factor: int = 1

    def answer(self) -> httpx.Response:
        """Send the request once, and return its response.

        Raises:
            BenchmarkFailed: if the response is not correct.
        """
        request = self.request
        response = httpx.request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            trust_env=False,
        )
        if response.status_code != self.status or not self.is_right(response.json()):
            raise BenchmarkFailed(
                f"{request.method} {request.url} answers wrongly:"
                f" {response.status_code} {response.text[:500]}"
            )
        return response

    def with_think_time(self, mean_seconds: float) -> "Endpoint":
        """Return the same load with pauses of this mean length on each connection."""
        mean = f"local mean_milliseconds = {mean_seconds * 1000}"
        return replace(self, script=f"{self.script}\n{mean}{_THINK}")


def repeat(request: Request, is_right: Callable[[Any], bool], *, status: int = 200) -> Endpoint:
    """Repeat a request."""
    lines = [_defaults(request)]
    if request.content is not None:
        lines.append(f"wrk.body = {_lua(request.content)}")
    return Endpoint(request, is_right, status, "\n".join(lines))


def rotate(urls: Sequence[str], bodies: Sequence[Mapping[str, object]], *, token: str) -> Endpoint:
    """Send PATCH with the first body to all URLs in turn, then with the second one, and so on.

    The response must contain the fields of the body.
    """
    first = Request(urls[0], "PATCH", token, bodies[0])
    lines = [
        _defaults(first),
        f"local paths = {_lua_table([Request(url).target for url in urls])}",
        f"local bodies = {_lua_table([json.dumps(body) for body in bodies])}",
    ]
    return Endpoint(first, contains(bodies[0]), 200, "\n".join(lines) + _ROTATE)


def create_and_delete(
    create: Request, item_url: Callable[[str], str], is_right: Callable[[Any], bool], *, status: int
) -> Endpoint:
    """Create items and delete them again; `item_url` returns the URL of an item with an id."""
    before_id, after_id = Request(item_url("{id}")).target.split("%7Bid%7D")
    lines = [
        _defaults(create),
        f"local body = {_lua(create.content or '')}",
        f"local before_id, after_id = {_lua(before_id)}, {_lua(after_id)}",
        f"local created_status = {status}",
    ]
    return Endpoint(create, is_right, status, "\n".join(lines) + _CREATE_AND_DELETE)


def contains(fields: Mapping[str, object]) -> Callable[[Any], bool]:
    """Return a check that a response contains these fields."""
    return lambda answer: fields.items() <= answer.items()


def _defaults(request: Request) -> str:
    """Return Lua that sets the method and the headers."""
    lines = [f"wrk.method = {_lua(request.method)}"]
    lines += [f"wrk.headers[{_lua(name)}] = {_lua(text)}" for name, text in request.headers.items()]
    return "\n".join(lines)


def _lua(text: str) -> str:
    """Return a string in Lua, in which strings of printable ASCII have the syntax of JSON."""
    return json.dumps(text)


def _lua_table(texts: Sequence[str]) -> str:
    return "{" + ", ".join(map(_lua, texts)) + "}"


@dataclass(frozen=True, slots=True)
class Measurement:
    """The performance of an endpoint under load.

    The percentiles are those of the time that clients waited for a response. The time
    that the server's processes, and PostgreSQL's, computed for each request is the more stable
    figure where other processes share their cores.
    """

    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float
    cpu_microseconds: float
    database_cpu_microseconds: float

    @classmethod
    def median_of(cls, measurements: Sequence["Measurement"]) -> "Measurement":
        """Return the median of several measurements, figure by figure."""
        return cls(
            median(measurement.requests_per_second for measurement in measurements),
            median(measurement.p50_milliseconds for measurement in measurements),
            median(measurement.p99_milliseconds for measurement in measurements),
            median(measurement.cpu_microseconds for measurement in measurements),
            median(measurement.database_cpu_microseconds for measurement in measurements),
        )


def require_wrk() -> None:
    """Require that wrk is installed.

    Raises:
        BenchmarkFailed: if it is not. The message says how to install it.
    """
    if shutil.which("wrk") is None:
        raise BenchmarkFailed("wrk is needed; on Debian: apt-get install wrk")


def measure(endpoint: Endpoint, server: Server, setup: Setup, *, seconds: int) -> Measurement:
    """Put an endpoint under load for this many seconds, after checking its response.

    The server has nothing left to do when this function returns.

    Raises:
        BenchmarkFailed: if any response was not a success, or any connection broke.
    """
    endpoint.answer()
    used, database_used = _cpu_seconds(server, setup)
    counted = _run_wrk(endpoint, setup, seconds * endpoint.duration_factor)
    used_after, database_used_after = _cpu_seconds(server, setup)
    server.processes.wait_until_idle()
    requests = counted["requests"]
    return Measurement(
        requests_per_second=requests * 1e6 / counted["microseconds"],
        p50_milliseconds=counted["p50"] / 1000,
        p99_milliseconds=counted["p99"] / 1000,
        cpu_microseconds=(used_after - used) * 1e6 / requests,
        database_cpu_microseconds=(database_used_after - database_used) * 1e6 / requests,
    )


def _cpu_seconds(server: Server, setup: Setup) -> tuple[float, float]:
    """Return the processor time of the server, and that of PostgreSQL."""
    database = setup.database_processes
    return server.processes.cpu_seconds(), database.cpu_seconds() if database else 0


def _run_wrk(endpoint: Endpoint, setup: Setup, seconds: int) -> dict[str, int]:
    """Run wrk, and return what it counted.

    Raises:
        BenchmarkFailed: if any response was not a success, or any connection broke.
    """
    script = setup.folder / "load.lua"
    script.write_text(f"{endpoint.script}\n{_REPORT}", encoding="ascii")
    options = ["-t1", f"-c{endpoint.connections}", f"-d{seconds}s", f"--timeout={_TIMEOUT_SECONDS}"]
    output = subprocess.run(
        [*on_core(setup.layout.load_core), "wrk", *options, "-s", script, endpoint.request.url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    counted: dict[str, int] = json.loads(output.splitlines()[-1])
    if counted["refused"] or counted["broken"] or not counted["requests"]:
        raise BenchmarkFailed(
            f"{endpoint.request.method} {endpoint.request.url}: of {counted['requests']} requests"
            f" {counted['refused']} were refused, and {counted['broken']} connections broke"
        )
    return counted
