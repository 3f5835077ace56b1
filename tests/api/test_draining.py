"""A process that is asked to stop goes on for a while, so that a load balancer notices."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.support.command import Served, served
from tests.support.waiting import until

DELAY_SECONDS = 2.0
LONG = {"TODO_DRAIN_DELAY": "60s"}
AT_ONCE_SECONDS = 20
"""Much less than the long delay, even on a busy machine."""


def statuses(server: Served) -> list[int]:
    """Return the statuses of the health checks, each on a new connection."""
    return [
        httpx.get(f"{server.url}/{name}").status_code for name in ("healthz", "startupz", "readyz")
    ]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_draining_service_accepts_connections_but_is_not_ready(
    tmp_path: Path, workers: str
) -> None:
    delay = {"TODO_DRAIN_DELAY": f"{DELAY_SECONDS:g}s"}
    with served(tmp_path, "--workers", workers, **delay) as server, httpx.Client() as client:
        # With two workers, one may have to start yet.
        until(lambda: server.log.read_text().count("startup complete") == int(workers))
        assert statuses(server) == [200, 200, 200]
        assert "connection" not in client.get(f"{server.url}/healthz").headers
        server.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        until(lambda: server.log.read_text().count("drain.began") == int(workers))
        assert client.get(f"{server.url}/healthz").headers["connection"] == "close"
        assert statuses(server) == [200, 200, 503]
        ready = httpx.get(f"{server.url}/readyz")
        assert ready.json() == {"status": "draining", "dependencies": {}}
        assert server.process.wait(timeout=30) == 0
        assert time.monotonic() - began > DELAY_SECONDS - 0.2
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/healthz")


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGINT],
        [signal.SIGTERM, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGINT],
    ],
)
def test_a_further_signal_or_an_interrupt_stops_at_once(
    tmp_path: Path, workers: str, signals: Sequence[signal.Signals]
) -> None:
    with served(tmp_path, "--workers", workers, **LONG) as server:
        until(lambda: server.log.read_text().count("startup complete") == int(workers))
        began = time.monotonic()
        for number in signals[:-1]:
            server.process.send_signal(number)
            until(lambda: server.log.read_text().count("drain.began") == int(workers))
        server.process.send_signal(signals[-1])
        assert server.process.wait(timeout=AT_ONCE_SECONDS) == 0
        assert time.monotonic() - began < AT_ONCE_SECONDS


def test_a_service_that_reloads_stops_at_once(tmp_path: Path) -> None:
    with served(tmp_path, "--reload", **LONG) as server:
        server.process.terminate()
        assert server.process.wait(timeout=AT_ONCE_SECONDS) == 0


def test_the_requests_of_a_draining_service_are_answered(tmp_path: Path) -> None:
    with served(tmp_path, TODO_DRAIN_DELAY="2s") as server:
        server.process.send_signal(signal.SIGTERM)
        answered = 0
        with pytest.raises(httpx.TransportError):
            while True:
                assert httpx.get(f"{server.url}/docs").status_code == 200
                answered += 1
        assert answered > 0
        assert server.process.wait(timeout=30) == 0
