"""The files of SQLite databases: copied while they are written to, checked, and replaced.

A copy is made in a private folder and gets its name when it is complete and on the disk, so that no
file with that name is ever half a database.
"""

import os
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from todo_adapters.sql.sqlite_lock import DatabaseLock, lock
from todo_adapters.system.files import give_to_owner_of

IN_STREAM = Path("-")
"""Standard input or output, in place of a file."""

_HEADER = b"SQLite format 3\x00"
_HEADER_OF_POSTGRESQL = b"PGDMP"
_OF_THIS_SERVICE = frozenset({"alembic_version", "users"})
_SUFFIXES = ("-wal", "-shm", "-journal", "-lock")
"""Of the names of the files that belong to a database."""

_PRIVATE = 0o600
_ACCESS_OF_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@contextmanager
def private_folder(path: Path) -> Iterator[Path]:
    """Make a folder that only this process uses, and delete it with its contents at the end.

    What is left of a process that was killed is deleted at the beginning.

    Raises:
        ValueError: if another process uses it, or another user has made it.
        OSError: if it cannot be made.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or found.st_mode & _ACCESS_OF_OTHERS:
            raise ValueError(f"{path} was made by another user. Delete it.")
        try:
            lock(descriptor, alone=True)
        except TimeoutError:
            raise ValueError(f"Another process is writing to {path.parent}.") from None
        for left in path.iterdir():
            left.unlink()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def copy_online(source: Path, target: Path) -> None:
    """Copy a database as it is at this moment, while others read it and write to it.

    All pages are copied in one step: in its write-ahead log mode, SQLite lets others write
    meanwhile. If it were copied in several steps, each write in between would make it begin again.
    The copy is one file, without a write-ahead log.

    Raises:
        ValueError: if the database cannot be read.
        OSError: if the copy cannot be written.
    """
    _create(target)
    with DatabaseLock(source), closing(sqlite3.connect(source)) as database:
        try:
            database.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"The database at {source} cannot be read: {error}.") from None
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = OFF")  # the whole file is synchronized at the end
            try:
                database.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:
                raise OSError(
                    f"The database cannot be copied to {target.parent}: {error}."
                ) from None
            except sqlite3.DatabaseError as error:
                raise ValueError(f"The database at {source} is damaged: {error}.") from None
    synchronize(target)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that nobody writes to, with its write-ahead log if there is one.

    Raises:
        ValueError: if it is no SQLite database.
        OSError: if it cannot be read, or the copy cannot be written.
    """
    _create(target)
    with target.open("wb") as copy:
        if source == IN_STREAM:
            shutil.copyfileobj(sys.stdin.buffer, copy)
        else:
            with source.open("rb") as opened:
                shutil.copyfileobj(opened, copy)
            log = source.with_name(f"{source.name}-wal")
            if log.is_file():
                shutil.copyfile(log, target.with_name(f"{target.name}-wal"))
    with target.open("rb") as copied:
        header = copied.read(len(_HEADER))
    if header.startswith(_HEADER_OF_POSTGRESQL):
        raise ValueError(f"{source} is a dump of PostgreSQL, and DATABASE_URL is SQLite.")
    if header != _HEADER:
        raise ValueError(f"{source} is not a SQLite database, or is encrypted or compressed.")


def check(file: Path, name: Path) -> str:
    """Return the revision of the schema of a database of this service, after checking all of it.

    Raises:
        ValueError: if it is damaged, or belongs to another program. The message has this name.
    """
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        try:
            database.execute("PRAGMA journal_mode = DELETE")
            [problem] = database.execute("PRAGMA integrity_check(1)").fetchone()
            if problem != "ok":
                raise ValueError(f"{name} is damaged: {problem}.")
            tables = {
                table for [table] in database.execute("SELECT name FROM sqlite_master").fetchall()
            }
            if not tables >= _OF_THIS_SERVICE:
                raise ValueError(f"{name} is not a database of this service.")
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{name} is damaged: {error}.") from None
    if row is None:
        raise ValueError(f"{name} has no schema: its migration was not completed.")
    return str(row[0])


def publish(draft: Path, target: Path, *, overwrite: bool) -> None:
    """Give a complete file its name, or write it to standard output.

    Raises:
        ValueError: if there is such a file, which must not be overwritten.
        OSError: if it cannot be written.
    """
    if target == IN_STREAM:
        with draft.open("rb") as opened:
            shutil.copyfileobj(opened, sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    refuse_to_overwrite(target, overwrite=overwrite)
    draft.replace(target)
    synchronize(target.parent)


def refuse_to_overwrite(target: Path, *, overwrite: bool) -> None:
    """Check that this file may be written.

    Raises:
        ValueError: if there is one, which must not be overwritten.
    """
    if not overwrite and os.path.lexists(target):
        raise ValueError(f"{target} exists. Choose another name, or add --force.")


def refuse_to_replace_database(file: Path, target: Path) -> None:
    """Check that this target is not the database in this file, nor one of the files beside it.

    Raises:
        ValueError: if it is.
    """
    real = file.resolve()
    names = {f"{real.name}{suffix}" for suffix in ("", *_SUFFIXES)}
    resolved = target.resolve()
    if (resolved.parent == real.parent and resolved.name in names) or (
        target.exists() and target.samefile(file)
    ):
        raise ValueError(f"{target} belongs to the database itself. Choose another name.")


def replace(file: Path, draft: Path, *, now: datetime) -> Path | None:
    """Put another database in the place of this one, and return where this one is kept.

    It is None if there was none. At every moment, one of the two has the name.

    Raises:
        ValueError: if a program has the database open.
        OSError: if a file cannot be renamed.
    """
    with draft.open("rb") as opened:
        give_to_owner_of(file.parent, opened.fileno())
    synchronize(draft)
    kept = file.with_name(f"{file.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    refuse_to_overwrite(kept, overwrite=False)
    exists = file.exists()
    with _unused(file) if exists else nullcontext():
        _set_log_aside(file, kept)
        if exists:
            _keep(file, kept)
        draft.replace(file)
    synchronize(file.parent)
    return kept if exists else None


@contextmanager
def _unused(file: Path) -> Iterator[None]:
    """Keep other programs from opening the database; its write-ahead log is part of it then.

    If it is damaged, the log stays beside it.

    Raises:
        ValueError: if a program has it open.
    """
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as database:
        try:
            database.execute("PRAGMA journal_mode = DELETE").fetchone()
            database.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise ValueError(in_use(file)) from None
        except sqlite3.DatabaseError:
            pass  # it cannot be read, which is why it is replaced
        yield


def in_use(file: Path) -> str:
    """Return the message that this database is in use."""
    return (
        f"The database is in use. Stop the service, and any other program that has {file} open, and"
        " try again."
    )


def _keep(file: Path, kept: Path) -> None:
    """Give the file a second name, under which it stays."""
    try:
        kept.hardlink_to(file)
    except OSError:  # a file system without such links
        file.rename(kept)


def _set_log_aside(file: Path, kept: Path) -> None:
    """Rename the write-ahead log of a damaged database: it must not be applied to another."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists():
        log.rename(kept.with_name(f"{kept.name}-wal"))
    file.with_name(f"{file.name}-shm").unlink(missing_ok=True)


def synchronize(path: Path) -> None:
    """Wait until the file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create(file: Path) -> None:
    """Create an empty file that only its owner may read."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE))
