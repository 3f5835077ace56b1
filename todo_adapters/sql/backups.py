"""Backups of a SQLite database, and restoring one."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import make_url

from todo_adapters.sql.database import Database, open_database
from todo_adapters.sql.recovery import Recovery, recover
from todo_adapters.sql.schema import SqlSchema
from todo_adapters.sql.sqlite_files import (
    IN_STREAM,
    check,
    copy_file,
    copy_online,
    in_use,
    private_folder,
    publish,
    refuse_to_overwrite,
    refuse_to_replace_database,
    replace,
)
from todo_adapters.sql.sqlite_lock import DatabaseLock

_NAME = "todo.db"
_BACKUP_IN_FOLDER = re.compile(r"todo-\d{8}T\d{6}Z\.db")


def database_file(dsn: str) -> Path:
    """Return the file of the SQLite database at this URL."""
    return Path(str(make_url(dsn).database))


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made: its file, its size in bytes, and the revision of its schema.

    `removed` are the older backups that were deleted.
    """

    file: Path
    size: int
    revision: str
    removed: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """A restored database: the revision that the backup had, and where the one before it is kept.

    `recovery` says what followed, or is None if nothing was lost.
    """

    revision: str
    kept: Path | None
    recovery: Recovery | None


class SqliteBackups:
    """Makes backups of the database in this file, and restores them."""

    def __init__(self, file: Path, migrations: Path) -> None:
        self._file = file
        self._migrations = migrations

    def make(
        self, target: Path, *, now: datetime, overwrite: bool = False, keep: int | None = None
    ) -> Backup:
        """Make a backup while the service runs, and check all of it.

        It has everything that was acknowledged before this call. If `target` is a folder, the
        backup gets a name with the time; with `keep`, older ones are deleted then, so that so many
        are left. It may also be `IN_STREAM`.

        Raises:
            ValueError: if the database or the backup is damaged, or the target cannot be used.
            OSError: if the backup cannot be written.
        """
        if not self._file.is_file():
            raise ValueError(f"There is no database at {self._file}.")
        if keep is not None and not target.is_dir():
            raise ValueError("--keep needs a folder for the backups.")
        if target.is_dir():
            target /= f"todo-{now:%Y%m%dT%H%M%SZ}.db"
        if target != IN_STREAM:
            refuse_to_replace_database(self._file, target)
            refuse_to_overwrite(target, overwrite=overwrite)
        beside = self._file if target == IN_STREAM else target
        with private_folder(beside.parent / ".todo-backup") as folder:
            draft = folder / _NAME
            copy_online(self._file, draft)
            revision = check(draft, self._file)
            size = draft.stat().st_size
            publish(draft, target, overwrite=overwrite)
        removed = () if keep is None else _remove_older(target, keep=keep)
        return Backup(target, size, revision, removed)

    def restore(self, source: Path, *, now: datetime, nothing_lost: bool) -> Restored:
        """Put a backup in the place of the database, migrated to the newest schema.

        Raises:
            ValueError: if the backup is damaged, belongs to another program or to a newer release,
                or if the database is in use.
            OSError: if the backup cannot be read or the database cannot be written.
            Unavailable: if the database cannot be written.
        """
        file = self._file.resolve()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock_alone(), private_folder(file.parent / ".todo-restore") as folder:
            draft = folder / _NAME
            copy_file(source, draft)
            revision = check(draft, source)
            recovery = self._prepare(draft, revision, now=now, nothing_lost=nothing_lost)
            check(draft, source)
            kept = replace(file, draft, now=now)
        return Restored(revision, kept, recovery)

    @contextmanager
    def exclusive_database(self) -> Iterator[Database]:
        """Return the database, which no service can open until the end of the block.

        Raises:
            ValueError: if it is in use. A connection of this process counts too.
            OSError: if the file of its lock cannot be opened.
        """
        with self._lock_alone(), closing(_open(self._file, holds_lock=True)) as database:
            yield database

    def _lock_alone(self) -> DatabaseLock:
        try:
            return DatabaseLock(self._file, alone=True)
        except TimeoutError:
            raise ValueError(in_use(self._file)) from None

    def _prepare(
        self, draft: Path, revision: str, *, now: datetime, nothing_lost: bool
    ) -> Recovery | None:
        with closing(_open(draft)) as database:
            schema = SqlSchema(database, self._migrations)
            if revision not in [known.id for known in schema.history()]:
                raise ValueError(
                    f"The backup is of a newer release: its schema has the revision {revision}, and"
                    f" the newest one here is {schema.newest}. Restore it with that release."
                )
            if revision != schema.newest:
                schema.migrate()
            return None if nothing_lost else recover(database, now=now)


def _open(file: Path, *, holds_lock: bool = False) -> Database:
    return open_database(
        f"sqlite:///{quote(str(file))}", pool_size=2, pool_timeout=1, holds_lock=holds_lock
    )


def _remove_older(newest: Path, *, keep: int) -> tuple[Path, ...]:
    """Delete the oldest backups beside this one, so that so many are left with it."""
    others = sorted(
        file
        for file in newest.parent.iterdir()
        if _BACKUP_IN_FOLDER.fullmatch(file.name) and file.is_file() and file != newest
    )
    removed = others[: max(0, len(others) + 1 - keep)]
    for file in removed:
        file.unlink()
    return tuple(removed)
