"""Storing very many tasks without a request for each."""

import sqlite3
from contextlib import closing
from pathlib import Path


def store_tasks(folder: Path, owner: str, count: int) -> int:
    """Store long tasks of this owner, and return the approximate size of their list in bytes.

    The folder is that of a `todo serve` with an embedded database.
    """
    with closing(sqlite3.connect(folder / "todo-data" / "todo.db")) as database, database:
        database.executemany(
            "INSERT INTO tasks (id, owner_id, title, description, completed, version,"
            " created_at, updated_at) VALUES (?, ?, ?, ?, 0, 1, ?, ?)",
            (
                (
                    number,
                    owner.replace("-", ""),
                    "t" * 200,
                    "d" * 1000,
                    *["2026-01-01 00:00:00.000000+00:00"] * 2,
                )
                for number in range(1, count + 1)
            ),
        )
    return count * 1500
