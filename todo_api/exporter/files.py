"""The files in which each process counts, and which one process reads for all of them.

prometheus-client counts in memory-mapped files, one for each process and kind of metric. So the
counts of a process are kept when it dies, even by SIGKILL. This module adds what a service needs
beyond that: a folder that is always deleted, and a number of files that does not grow when workers
die repeatedly.

Each process that counts holds the lock of a file (flock(2)) for as long as it lives, and the
kernel releases it when it dies. So the locks show which processes are alive.
"""

import fcntl
import os
import re
import shutil
import sys
from contextlib import closing, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import BinaryIO, Self

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable in which prometheus-client looks for the folder when it is imported."""

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - folders are created in it by mkdtemp
_PREFIX = "todo-metrics-"
_UNLOCKED_PREFIX = f"new-{_PREFIX}"
_READER = "reader"
_DEAD = 0
"""The number in the names of the files with the counts of all dead processes."""

_MIN_SIZE = 16 * 1024

_held: list[int] = []
"""Descriptors of the locks that this process holds until it ends."""


class MetricFiles:
    """The folder of one running service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls) -> Self:
        """Create the folder, for this process and those that it starts, and delete stale ones.

        It is in memory if the system offers that, so that counting never waits for a disk. Only the
        user who runs the service can enter it.

        Raises:
            OSError: if no folder can be created.
        """
        parent = _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else Path(gettempdir())
        _remove_stale(parent)
        # It gets its final name when it is locked, so that no other service takes it for stale.
        new = Path(mkdtemp(prefix=_UNLOCKED_PREFIX, dir=parent))
        _hold(new, _READER)
        folder = new.rename(parent / new.name.removeprefix("new-"))
        os.environ[VARIABLE] = str(folder)
        return cls(folder)

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def retire_dead_processes(self) -> None:
        """Add the counts of dead processes to one file for all of them, and drop their gauges.

        Only the process that reads the files may call this, on one thread at a time.
        """
        for lock in self.folder.glob("*.lock"):
            if lock.stem != _READER and _is_free(lock):
                # If no memory is left, the files stay, and are read like those of the living.
                with suppress(OSError):
                    self._retire(int(lock.stem))
                    lock.unlink(missing_ok=True)

    def _retire(self, process: int) -> None:
        for file in self.folder.glob(f"gauge*_{process}.db"):
            file.unlink(missing_ok=True)
        for file in self.folder.glob(f"*_{process}.db"):
            kind = file.name.removesuffix(f"_{process}.db")
            _add(file, self.folder / f"{kind}_{_DEAD}.db")
            file.unlink(missing_ok=True)


def folder_of_this_service() -> Path | None:
    """Return the folder in which the processes of this service count, if it serves metrics."""
    folder = os.environ.get(VARIABLE)
    return Path(folder) if folder else None


def count_in_files() -> None:
    """Declare that this process counts. Call it before prometheus-client is used.

    Raises:
        OSError: if the folder is full, or was deleted.
    """
    if (folder := folder_of_this_service()) is not None:
        _hold(folder, str(os.getpid()))


def count_nowhere() -> None:
    """Declare that this process does not count."""
    os.environ.pop(VARIABLE, None)


def allocate(path: Path, size: int) -> None:
    """Allocate this many bytes for a file, and create it if it does not exist.

    A process that adds to a mapped page for which no memory is left is killed (SIGBUS). A new file
    appears with its size, because readers cannot read an empty one.

    Raises:
        OSError: if there is no room for it. A new file is not created then.
    """
    if path.exists():
        with path.open("r+b") as file:
            _allocate(file, size)
        return
    new = path.with_suffix(".new")
    try:
        with new.open("wb") as file:
            _allocate(file, size)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def _allocate(file: BinaryIO, size: int) -> None:
    size = max(size, os.fstat(file.fileno()).st_size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _add(file: Path, total: Path) -> None:
    """Add all values of a file to those of another one.

    Raises:
        OSError: if there is no room for them. Nothing is added then.
    """
    from prometheus_client.mmap_dict import MmapedDict  # late: only where metrics are served

    if not (used := _used(file)):
        return
    # If there is room for all of them as new values, prometheus-client does not enlarge the file.
    allocate(total, max(used + (_used(total) if total.exists() else 0), _MIN_SIZE))
    with closing(MmapedDict(str(total))) as totals:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(file)):
            before, _ = totals.read_value(key)
            totals.write_value(key, before + value, 0.0)


def _used(file: Path) -> int:
    """Return how many bytes a file of prometheus-client uses: its first four say so."""
    with file.open("rb") as opened:
        return int.from_bytes(opened.read(4), sys.byteorder)


def _hold(folder: Path, name: str) -> None:
    """Hold a lock until this process ends."""
    lock = folder / f"{name}.lock"
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(lock.stat(), os.fstat(descriptor)):
                _held.append(descriptor)
                return
        os.close(descriptor)  # the reader found it before it was locked, and deleted it


def _is_free(lock: Path) -> bool:
    """Return whether no process holds this lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)


def _remove_stale(parent: Path) -> None:
    """Delete the folders of those services of this user that have no living process."""
    with suppress(OSError):
        for folder in parent.glob(f"{_PREFIX}*"):
            if re.fullmatch(rf"{_PREFIX}\w+", folder.name) and _is_own_folder(folder):
                locks = list(folder.glob("*.lock"))
                if locks and all(map(_is_free, locks)):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_own_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and path.lstat().st_uid == os.geteuid()
