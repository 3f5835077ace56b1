"""The disk below the embedded database is full, and then it is not.

As root a small file system in memory is filled up; else the size of the files that the
service may write is limited, which looks the same to it.
"""

import os
import re
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.faults.load import Worker, is_clear_refusal, stored_tasks, worker_at
from tests.support.command import Served, served, todo
from tests.support.proof import note

DISK_BYTES = 4 * 1024 * 1024
LARGEST_FILE_BYTES = 2 * 1024 * 1024
PAGE_BYTES = 4096
MOST_CREATES = 20_000
REFUSALS = 20


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A small file system in memory at this folder; False where nobody may mount one."""
    folder.mkdir()
    size = f"size={DISK_BYTES}"
    mount = ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Take all the room that is left, but for some that the database has already."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        block = b"\0" * PAGE_BYTES
        try:
            while file.write(block) == len(block):
                pass
        except OSError:
            pass
    return filler


def limit_files(server: Served, size: int) -> None:
    """Let the service write no file beyond this size."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.proof
def test_on_a_full_disk_reads_work_and_writes_are_refused_with_a_reason(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    settings = {
        "TODO_DATA_DIR": str(disk),
        "TODO_RATE_LIMIT_ENABLED": "false",
        "TODO_LOG_LEVEL": "error",  # the log is a file too
    }
    with (
        small_disk(disk) as is_small,
        served(tmp_path, **settings) as server,
        worker_at(server.url) as worker,
    ):
        if is_small:
            filler = fill(disk)
            make_room: Callable[[], None] = filler.unlink
        else:
            limit_files(server, LARGEST_FILE_BYTES)
            make_room = lambda: limit_files(server, resource.RLIM_INFINITY)  # noqa: E731 - the other of two
        refused = fill_up(worker)
        before = {task["title"] for task in stored_tasks(server.url, worker)}
        assert set(worker.created) <= before
        for answer in refused:
            assert is_clear_refusal(answer), answer.text
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        profile = worker.person.http.get("/api/auth/me")
        assert profile.status_code == 200
        make_room()
        deadline = time.monotonic() + 10
        while worker.person.http.post(
            worker.person.tasks(), json={"title": f"later {uuid4()}"}
        ).is_error:
            assert time.monotonic() < deadline, "it does not work again"
            time.sleep(0.05)
        worker.create("after all")
        worker.check(stored_tasks(server.url, worker))
        assert not [line for line in server.lines() if line["event"] == "request.failed"]
    note("faults", "writes to a full disk", tried=len(worker.tried), failed=0)


def fill_up(worker: Worker) -> list[httpx.Response]:
    """Create tasks until that was refused some times; the refusals."""
    refused: list[httpx.Response] = []
    while len(refused) < REFUSALS:
        assert len(worker.tried) < MOST_CREATES, "the disk does not fill up"
        answer = worker.create(f"task {len(worker.tried)}", description="x" * 1000)
        if not answer.is_success:
            refused.append(answer)
    return refused


@pytest.mark.proof
@pytest.mark.parametrize("free_pages", [0, 20, 60])
def test_a_start_on_a_full_disk_says_what_is_wrong(tmp_path: Path, free_pages: int) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk) as is_small:
        if not is_small:
            pytest.skip("nobody may mount a file system here")
        filler = fill(disk)
        # With less or more room, it is the folder, the schema, or the key that has none.
        os.truncate(filler, filler.stat().st_size - free_pages * PAGE_BYTES)
        outcome = todo(tmp_path, "serve", TODO_DATA_DIR=str(disk / "todo-data"))
        assert outcome.returncode == 1
        assert "Traceback" not in outcome.stderr
        assert re.search("disk is full|No space left on device", outcome.stderr)
        filler.unlink()
        with served(tmp_path, TODO_DATA_DIR=str(disk / "todo-data")) as server:
            assert httpx.get(f"{server.url}/readyz").status_code == 200
    note("faults", "starts on a full disk", tried=1, failed=0)
