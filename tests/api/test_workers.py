"""The parent of the workers of `todo serve --workers`: it replaces them, and stops with them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.command import Served, served, served_as_new
from tests.support.processes import is_running, workers_of
from tests.support.settings import SECRET, embedded_settings, migrate
from tests.support.waiting import until

STARTUP_FAILURE = 3
START_SECONDS = 30
"""Much longer than the start of two workers, even on a busy machine."""


def require_setting(folder: Path, level: str) -> None:
    """Write a file of settings, which is invalid if there is no such level."""
    (folder / ".env").write_text(f"TODO_LOG_LEVEL={level}\n")


def replace_key(folder: Path, key: str) -> None:
    """Write the signing key, which is invalid if it is short."""
    file = folder / "todo-data" / "signing-key"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(key)


FAILURES = [
    pytest.param(require_setting, "loud", "info", id="exits with 1"),
    pytest.param(replace_key, "short", SECRET, id="exits with 3"),
]
"""How to let the next worker fail, and how to let it start again."""


def wait_for_start(server: Served, count: int) -> None:
    """Wait until this many workers have started since the start of the service."""
    until(lambda: server.log.read_text().count("startup complete") >= count, seconds=START_SECONDS)


def test_a_stop_of_the_whole_group_while_workers_are_replaced_stops_them_all(
    tmp_path: Path,
) -> None:
    with served(tmp_path, "--workers", "2") as server:
        wait_for_start(server, 2)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "worker.replaced" in server.log.read_text(), seconds=START_SECONDS)
        workers = workers_of(server.process.pid)
        assert len(workers) == 3
        for process in (server.process.pid, *workers):
            os.kill(process, signal.SIGTERM)
        assert server.process.wait(timeout=START_SECONDS) == 0
        log = server.log.read_text()
        assert "Traceback" not in log
        assert "died" not in log
        assert log.count("Started server process") == 3
        assert not any(map(is_running, workers))


@pytest.mark.parametrize(("change", "broken", "mended"), FAILURES)
def test_a_worker_that_cannot_start_again_leaves_its_connections_to_the_others(
    tmp_path: Path, change: Callable[[Path, str], None], broken: str, mended: str
) -> None:
    replace_key(tmp_path, SECRET)
    with served(tmp_path, "--workers", "2") as server:
        wait_for_start(server, 2)
        change(tmp_path, broken)
        killed, other = workers_of(server.process.pid)
        os.kill(killed, signal.SIGKILL)
        until(lambda: "Next try in 1 seconds" in server.log.read_text(), seconds=START_SECONDS)
        for _ in range(40):  # on 40 connections
            assert httpx.get(f"{server.url}/healthz", timeout=5).status_code == 200
        until(lambda: "Next try in 2 seconds" in server.log.read_text(), seconds=START_SECONDS)
        change(tmp_path, mended)
        wait_for_start(server, 3)
        assert other in workers_of(server.process.pid)
    assert server.process.returncode == 0


@pytest.mark.parametrize(("change", "broken", "_mended"), FAILURES)
def test_the_parent_fails_if_no_worker_starts(
    tmp_path: Path, change: Callable[[Path, str], None], broken: str, _mended: str
) -> None:
    # `todo serve` refuses such settings itself, unless they change right after its check.
    migrate(embedded_settings(tmp_path))
    change(tmp_path, broken)
    options = {"port": 0, "workers": 2, "reload": False, "metrics": None, "log_config": None}
    outcome = subprocess.run(
        [sys.executable, "-P", "-m", "todo_api.workers", json.dumps(options), "json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert outcome.returncode == STARTUP_FAILURE
    assert "A worker did not start. Stopping the others." in outcome.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of that")
def test_the_workers_of_a_killed_parent_stop(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2") as server:
        wait_for_start(server, 2)
        workers = workers_of(server.process.pid)
        assert len(workers) == 2
        server.process.kill()
        server.process.wait()
        try:
            until(lambda: not any(map(is_running, workers)))
        finally:
            for left in filter(is_running, workers):
                os.kill(left, signal.SIGKILL)
    port = server.url.rpartition(":")[2]
    with served_as_new(tmp_path, "--workers", "2", port=port) as successor:
        assert httpx.get(f"{successor.url}/readyz").status_code == 200
