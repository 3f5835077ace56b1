"""Filling a database with very many tasks, in seconds."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from uuid import UUID

import psycopg

from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_core.entities.user import UserId

type Value = UUID | int | str | bool | datetime | None

DESCRIPTION = "What has to be done, in some more words, as users write them."
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""When the first task of each owner was created. A minute later comes the next one."""

_USER_COLUMNS = ("id", "name", "version", "created_at", "updated_at")
_OWNER_COLUMNS = ("owner_id", "revision", "total", "completed")
_TASK_COLUMNS = (
    *("owner_id", "id", "title", "description", "completed"),
    *("version", "created_at", "updated_at", "revision"),
)


def half_of(tasks: int) -> datetime:
    """Return the time at which the first half of so many tasks of one owner was created."""
    return FIRST + timedelta(minutes=tasks // 2, seconds=30)


def fill(dsn: str | Path, *, large: UUID, tasks: int, others: int, tasks_of_others: int) -> None:
    """Give an existing user very many tasks, and create other users with some tasks each.

    Every third task is completed. The database is the file of SQLite, or a URL of PostgreSQL.
    """
    random = Random(tasks)  # noqa: S311 - the same data each time
    ids = sorted(UUID(int=random.getrandbits(128), version=4) for _ in range(others))
    totals = {large: tasks} | dict.fromkeys(ids, tasks_of_others)
    users = ((each, "Somebody", 1, FIRST, FIRST) for each in ids)
    owners = ((each, total, total, len(range(0, total, 3))) for each, total in totals.items())
    rows = chain.from_iterable(
        _tasks(owner, totals[owner], random) for owner in sorted(totals, key=str)
    )
    tables: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Value]]]] = {
        "users": (_USER_COLUMNS, users),
        "task_owners": (_OWNER_COLUMNS, owners),
        "tasks": (_TASK_COLUMNS, rows),
    }
    if isinstance(dsn, Path):
        _fill_sqlite(dsn, tables)
    else:
        _fill_postgresql(dsn, tables)


def _tasks(owner: UUID, count: int, random: Random) -> Iterator[Sequence[Value]]:
    """Yield tasks in the order of their creation, which is that of their ids."""
    identifiers = TimeOrderedIdentifiers()
    for number in range(count):
        created_at = FIRST + timedelta(minutes=number)
        [task_id] = identifiers.task_ids(UserId(owner), 1, created_at=created_at)
        updated_at = created_at + timedelta(minutes=random.randrange(count))
        title, completed = f"Task {number} of many", number % 3 == 0
        yield (
            *(owner, task_id, title, DESCRIPTION, completed),
            *(1 + completed, created_at, updated_at, number + 1),
        )


def _fill_sqlite(
    file: Path, tables: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Value]]]]
) -> None:
    with closing(sqlite3.connect(file)) as database, database:
        for table, (columns, rows) in tables.items():
            places = ", ".join("?" * len(columns))
            database.executemany(
                f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})",
                ([_in_sqlite(value) for value in row] for row in rows),
            )


def _in_sqlite(value: Value) -> int | str | None:
    if isinstance(value, UUID):
        return value.hex
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def _fill_postgresql(
    url: str, tables: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Value]]]]
) -> None:
    with psycopg.connect(url, autocommit=True) as database:
        for table, (columns, rows) in tables.items():
            with database.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        # As the server would do by itself, some minutes later.
        database.execute("VACUUM ANALYZE")
