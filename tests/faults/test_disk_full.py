"""The disk of the embedded database becomes full, and later has space again.

As root, a small file system in memory is filled. Otherwise the size of the files that the
service may write is limited, which has the same effect.
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
    """Mount a small file system in memory at this folder; yield False if that is not permitted."""
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
    """Fill the disk with a file. The database keeps the space that it has reserved."""
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
    """Limit the size of the files that the service may write."""
    _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, hard))


@pytest.mark.proof
def test_on_a_full_disk_reads_succeed_and_writes_are_refused_with_a_reason(
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    settings = {
        "TODO_DATA_DIR": str(disk),
        "TODO_RATE_LIMIT_ENABLED": "false",
        "TODO_LOG_LEVEL": "error",  # the log is a file as well
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
            make_room = lambda: limit_files(server, resource.RLIM_INFINITY)  # noqa: E731 - one of two alternatives
        refused = create_until_refused(worker)
        before = {task["title"] for task in stored_tasks(server.url, worker)}
        assert set(worker.created) <= before
        for answer in refused:
            assert is_clear_refusal(answer), answer.text
        assert httpx.get(f"{server.url}/readyz").status_code == 200
        profile = worker.user.http.get("/api/auth/me")
        assert profile.status_code == 200
        make_room()
        deadline = time.monotonic() + 10
        while worker.user.http.post(
            worker.user.tasks(), json={"title": f"later {uuid4()}"}
        ).is_error:
            assert time.monotonic() < deadline, "writes do not succeed again"
            time.sleep(0.05)
        worker.create("after all")
        worker.check(stored_tasks(server.url, worker))
        assert not [line for line in server.lines() if line["event"] == "request.failed"]
    note("faults", "writes to a full disk", tried=len(worker.tried), failed=0)


def create_until_refused(worker: Worker) -> list[httpx.Response]:
    """Create tasks until several were refused, and return the refusals."""
    refused: list[httpx.Response] = []
    while len(refused) < REFUSALS:
        assert len(worker.tried) < MOST_CREATES, "the disk does not fill up"
        answer = worker.create(f"task {len(worker.tried)}", description="x" * 1000)
        if not answer.is_success:
            refused.append(answer)
    return refused


@pytest.mark.proof
@pytest.mark.parametrize("free_pages", [0, 20, 60])
def test_a_start_on_a_full_disk_fails_with_a_clear_message(tmp_path: Path, free_pages: int) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk) as is_small:
        if not is_small:
            pytest.skip("mounting a file system is not permitted here")
        filler = fill(disk)
        # Depending on the free space, the folder, the schema or the key cannot be written.
        os.truncate(filler, filler.stat().st_size - free_pages * PAGE_BYTES)
        outcome = todo(tmp_path, "serve", TODO_DATA_DIR=str(disk / "todo-data"))
        assert outcome.returncode == 1
        assert "Traceback" not in outcome.stderr
        assert re.search("disk is full|No space left on device", outcome.stderr)
        filler.unlink()
        with served(tmp_path, TODO_DATA_DIR=str(disk / "todo-data")) as server:
            assert httpx.get(f"{server.url}/readyz").status_code == 200
    note("faults", "starts on a full disk", tried=1, failed=0)
