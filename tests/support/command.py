"""The `todo` command, run in a process of its own, as its users run it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.processes import free_port

TODO = Path(sys.executable).with_name("todo")
FAST = {"TODO_PASSWORD_BCRYPT_COST": "4"}


@dataclass
class Served:
    """A running `todo serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, as far as it is JSON."""
        return [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
        ]


@contextmanager
def served(folder: Path, *options: str, **settings: str) -> Iterator[Served]:
    """`todo serve` in this folder, until the end of the block."""
    port = free_port()
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [TODO, "serve", "--port", str(port), *options],
            cwd=folder,
            env={"PATH": os.environ["PATH"], **FAST, **settings},
            stderr=stderr,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, process, log)
        yield Served(url, process, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"{url}/healthz").raise_for_status()
            return
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.05)


def todo(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The outcome of one run of the command."""
    return subprocess.run(
        [TODO, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=30,
    )
