"""A lock beside the file of a SQLite database, which tells whether it may be replaced.

Every connection shares the lock, and a restore needs it alone. SQLite's own locks belong to the
file that is being replaced, so that a process that starts meanwhile could wait for one, get it when
the file has another name, and write to a database that nobody reads any more.
"""

import errno
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from todo_adapters.system.files import can_be_used_by_others, create_private, open_existing

_PAUSE_SECONDS = 0.02
_WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
"""The errors of file systems that have no such locks. SQLite's own are all that there is then."""


class DatabaseLock:
    """The lock of the database in this file, held from its creation until `close`.

    The operating system releases it if the process is killed. Only the owner of the file can take
    it: a user who can open the file for reading could keep the service from starting.

    Raises:
        OSError: if the file of the lock cannot be created or opened, or is a symbolic link.
        TimeoutError: if another process does not release the lock in this time.
    """

    def __init__(self, file: Path, *, alone: bool = False, timeout: float = 0.0) -> None:
        real = file.resolve()
        descriptor = _open(real.with_name(f"{real.name}-lock"))
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        try:
            lock(self._file.fileno(), alone=alone, timeout=timeout)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the lock."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _open(file: Path) -> int:
    """Open the file of a lock, and create it if there is none."""
    try:
        return create_private(file)
    except FileExistsError:
        descriptor = open_existing(file)
    found = os.fstat(descriptor)
    if found.st_uid == os.geteuid() and can_be_used_by_others(descriptor):
        os.fchmod(descriptor, 0o600)  # an earlier release has created it
    return descriptor


def lock(descriptor: int, *, alone: bool, timeout: float = 0.0) -> None:
    """Lock an open file or folder, shared or alone, until it is closed.

    Raises:
        TimeoutError: if another process does not release its lock in this time.
    """
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    deadline = time.monotonic() + timeout
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TimeoutError("another process does not release its lock") from None
            time.sleep(_PAUSE_SECONDS)
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            return
        else:
            return
