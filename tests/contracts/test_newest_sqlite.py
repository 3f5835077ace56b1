"""The newest SQLite, which users may have and this interpreter has not, plans deletions well."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import apsw
import pytest

from tests.support.settings import embedded_settings, migrate

FEW, MANY = 10, 1_000
NOW = "2026-01-01 00:00:00.000000+00:00"


class _RolledBack(Exception):
    """Ends a transaction without a trace."""


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A connection of the newest SQLite to a migrated database, with foreign keys."""
    settings = embedded_settings(tmp_path)
    migrate(settings)
    with closing(apsw.Connection(str(settings.data_dir / "todo.db"))) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        yield connection


def with_tasks(connection: apsw.Connection, count: int) -> str:
    """Store an owner with so many tasks, and return their id."""
    owner = uuid4().hex
    connection.execute(
        "INSERT INTO users (id, name, version, created_at, updated_at) VALUES (?, 'Ada', 1, ?, ?)",
        (owner, NOW, NOW),
    )
    connection.executemany(
        "INSERT INTO tasks (owner_id, id, title, completed, version, created_at, updated_at)"
        " VALUES (?, ?, 'Buy milk', 0, 1, ?, ?)",
        [(owner, number, NOW, NOW) for number in range(1, count + 1)],
    )
    return owner


def steps_to_delete(connection: apsw.Connection, owner: str) -> int:
    """Return how many steps the virtual machine makes to delete a task of an owner."""
    steps = 0

    def count() -> bool:
        nonlocal steps
        steps += 1
        return False

    with pytest.raises(_RolledBack), connection:
        connection.set_progress_handler(count, 1)
        connection.execute("DELETE FROM tasks WHERE owner_id = ? AND id = 1", (owner,))
        connection.set_progress_handler(None)
        assert connection.changes() == 1
        raise _RolledBack
    return steps


def test_a_task_is_deleted_in_the_same_time_however_many_there_are(
    connection: apsw.Connection,
) -> None:
    few, many = (with_tasks(connection, count) for count in (FEW, MANY))
    assert steps_to_delete(connection, many) <= steps_to_delete(connection, few) + FEW


def test_only_the_expected_size_makes_it_so(connection: apsw.Connection) -> None:
    connection.execute("DELETE FROM sqlite_stat1")
    connection.execute("ANALYZE sqlite_schema")
    assert steps_to_delete(connection, with_tasks(connection, MANY)) > MANY
