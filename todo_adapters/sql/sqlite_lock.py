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

_PAUSE_SECONDS = 0.02
_WITHOUT_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
"""The errors of file systems that have no such locks. SQLite's own are all that there is then."""


class DatabaseLock:
    """The lock of the database in this file, held from its creation until `close`.

    The operating system releases it if the process is killed.

    Raises:
        OSError: if the file of the lock cannot be created.
        TimeoutError: if another process does not release the lock in this time.
    """

    def __init__(self, file: Path, *, alone: bool = False, timeout: float = 0.0) -> None:
        real = file.resolve()
        path = real.with_name(f"{real.name}-lock")
        self._file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o666), "rb", buffering=0)
        try:
            give_to_owner_of(real.parent, self._file.fileno())
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


def give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Make the owner of the folder that of an open file too, if this process may do so.

    Otherwise the service could not use what root has created for it.
    """
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
