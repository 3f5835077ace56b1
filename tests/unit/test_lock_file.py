"""The files that a command creates beside the database, also if root runs it for another user."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from todo_adapters.sql.sqlite import ConnectionWithTimeout
from todo_adapters.sql.sqlite_lock import DatabaseLock

NOBODY = 65534

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change owners")


def mode_of(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
def lock_file(tmp_path: Path) -> Path:
    return tmp_path / "todo.db-lock"


def test_a_new_lock_cannot_be_taken_by_other_users(tmp_path: Path, lock_file: Path) -> None:
    DatabaseLock(tmp_path / "todo.db").close()
    assert mode_of(lock_file) == 0o600


def test_the_lock_of_an_earlier_release_is_made_private(tmp_path: Path, lock_file: Path) -> None:
    lock_file.touch()
    lock_file.chmod(0o644)
    DatabaseLock(tmp_path / "todo.db").close()
    assert mode_of(lock_file) == 0o600


def test_a_lock_that_is_a_symbolic_link_is_refused_and_its_target_unchanged(
    tmp_path: Path, lock_file: Path
) -> None:
    target = tmp_path / "target"
    target.touch()
    target.chmod(0o644)
    lock_file.symlink_to(target)
    with pytest.raises(OSError, match="lock is a symbolic link"):
        DatabaseLock(tmp_path / "todo.db")
    assert mode_of(target) == 0o644


def test_a_lock_is_not_created_through_a_symbolic_link(tmp_path: Path, lock_file: Path) -> None:
    lock_file.symlink_to(tmp_path / "target")
    with pytest.raises(sqlite3.OperationalError, match="lock is a symbolic link"):
        ConnectionWithTimeout(str(tmp_path / "todo.db"))
    assert [file.name for file in tmp_path.iterdir()] == ["todo.db-lock"]


def test_a_lock_that_is_not_a_regular_file_is_refused(tmp_path: Path, lock_file: Path) -> None:
    os.mkfifo(lock_file, 0o600)
    with pytest.raises(OSError, match="not a regular file"):
        DatabaseLock(tmp_path / "todo.db")


@only_root
@pytest.mark.parametrize("kind", ["symbolic link", "hard link"])
def test_root_gives_no_file_away_to_the_owner_of_the_data_folder(tmp_path: Path, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.touch()
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, NOBODY, NOBODY)
    if kind == "symbolic link":
        (data / "todo.db-lock").symlink_to(victim)
        with pytest.raises(OSError, match="symbolic link"):
            DatabaseLock(data / "todo.db")
    else:
        (data / "todo.db-lock").hardlink_to(victim)
        DatabaseLock(data / "todo.db").close()
    assert victim.stat().st_uid == 0


@only_root
def test_what_root_creates_belongs_to_the_owner_of_the_data_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    with closing(ConnectionWithTimeout(str(tmp_path / "todo.db"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE a (b)")
        files = {file.name: file.stat() for file in tmp_path.iterdir()}
    assert set(files) == {"todo.db", "todo.db-wal", "todo.db-shm", "todo.db-lock"}
    assert {found.st_uid for found in files.values()} == {NOBODY}
    assert {stat.S_IMODE(found.st_mode) for found in files.values()} == {0o600}
