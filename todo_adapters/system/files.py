"""Private files in a folder that may belong to another user, if root runs a command.

That user controls the names in the folder, so a file is never opened through a symbolic link, and
only a file that was just created is given away.
"""

import errno
import os
import stat
from pathlib import Path

_ACCESS_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def create_private(file: Path) -> int:
    """Create a file that only the owner of its folder may use, and return its descriptor.

    Raises:
        FileExistsError: if there is one, or a symbolic link with this name.
        OSError: if it cannot be created.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        give_to_owner_of(file.parent, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_existing(file: Path) -> int:
    """Open a regular file for reading, and return its descriptor.

    Raises:
        OSError: if it is a symbolic link or not a regular file, or cannot be opened.
    """
    try:
        # A FIFO would otherwise block until it has a writer.
        descriptor = os.open(
            file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        )
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(f"{file} is a symbolic link; replace it with a regular file") from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{file} is not a regular file")
    return descriptor


def can_be_used_by_others(descriptor: int) -> bool:
    """Return whether the mode of an open file gives access to users other than its owner."""
    return bool(os.fstat(descriptor).st_mode & _ACCESS_OF_OTHERS)


def give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Make the owner of the folder that of an open file too, if this process may do so.

    Otherwise the service could not use what root has created for it. The file must be one that
    this process has created.
    """
    owner = folder.stat()
    if owns_everything() and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def owns_everything() -> bool:
    """Return whether this process runs as root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0
