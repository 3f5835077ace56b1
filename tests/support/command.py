"""The `todo` command, run in a separate process as an operator runs it."""

import atexit
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.support.clients import client_of
from tests.support.processes import free_port
from tests.support.settings import embedded_settings, migrate

TODO = Path(sys.executable).with_name("todo")
FAST = {"TODO_PASSWORD_BCRYPT_COST": "4"}
START_TIMEOUT_SECONDS = 30


@dataclass
class Served:
    """A running `todo serve`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        """Return the log lines that are JSON, but for one that is still being written."""
        lines = self.log.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


@contextmanager
def served(folder: Path, *options: str, **settings: str) -> Iterator[Served]:
    """Run `todo serve` in this folder until the end of the block.

    The folder contains a migrated database, so that the service need not create one.
    """
    if not {"DATABASE_URL", "TODO_DATA_DIR"} & settings.keys():
        migrate(embedded_settings(folder))
    with served_as_new(folder, *options, **settings) as server:
        yield server


@contextmanager
def served_as_new(
    folder: Path, *options: str, port: str | None = None, **settings: str
) -> Iterator[Served]:
    """Run `todo serve` in this folder as it is, until the end of the block.

    It listens on a free port by default.
    """
    port = port or str(free_port())
    log = folder / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [TODO, "serve", "--port", port, *options],
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
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    with client_of(url) as http:
        while True:
            try:
                http.get("/healthz").raise_for_status()
                return
            except httpx.TransportError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text()) from None
                time.sleep(0.02)


def todo(
    folder: Path, *arguments: str, entered: str = "", **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run the command once, with the text as its input, and return its outcome."""
    [outcome] = todo_at_once(1, folder, *arguments, entered=entered, **settings)
    return outcome


def todo_at_once(
    count: int, folder: Path, *arguments: str, entered: str = "", **settings: str
) -> list[subprocess.CompletedProcess[str]]:
    """Run the command in this many processes at the same time, and return their outcomes.

    Importing the command takes a second of a processor, and most runs end right after it. So
    each run is a fork of one process that has imported the command and done nothing else.
    """
    environment = {"PATH": os.environ["PATH"], **settings}
    return _imported_command().run(count, folder, arguments, entered, environment)


@cache
def _imported_command() -> "_ImportedCommand":
    command = _ImportedCommand()
    atexit.register(command.stop)
    return command


class _ImportedCommand:
    """A process that has imported the command, and forks for each run of it."""

    _PROGRAM = """
import json, os, signal, sys
from todo_api.cli import main

def run(job, output):
    signal.alarm(60)  # which ends a run that hangs
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["environment"])
    os.dup2(os.open(job["input"], os.O_RDONLY), 0)
    sys.stdin = open(0, closefd=False)
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{output}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["todo", *job["arguments"]]
    sys.exit(main())

for line in sys.stdin:
    job = json.loads(line)
    processes = []
    for output in job["outputs"]:
        if process := os.fork():
            processes.append(process)
        else:
            run(job, output)
    statuses = [os.waitpid(process, 0)[1] for process in processes]
    print(json.dumps([os.waitstatus_to_exitcode(status) for status in statuses]), flush=True)
"""

    def __init__(self) -> None:
        self._outputs = TemporaryDirectory(prefix="todo-command-")
        self._process = subprocess.Popen(
            [sys.executable, "-c", self._PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        count: int,
        folder: Path,
        arguments: tuple[str, ...],
        entered: str,
        environment: dict[str, str],
    ) -> list[subprocess.CompletedProcess[str]]:
        """Run the command this many times at once in this folder."""
        outputs = [f"{self._outputs.name}/{number}" for number in range(count)]
        entry = Path(self._outputs.name, "stdin")
        entry.write_text(entered)
        job = {
            "input": str(entry),
            "folder": str(folder),
            "arguments": arguments,
            "environment": environment,
            "outputs": outputs,
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        return [
            subprocess.CompletedProcess(
                arguments,
                status,
                Path(f"{output}.stdout").read_text(),
                Path(f"{output}.stderr").read_text(),
            )
            for status, output in zip(
                json.loads(self._process.stdout.readline()), outputs, strict=True
            )
        ]

    def stop(self) -> None:
        """Stop the process, and delete the output of its runs."""
        self._process.communicate()
        self._outputs.cleanup()
