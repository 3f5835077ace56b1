"""Storing very many tasks without a request for each, and reading all of them at once."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.ports.repositories import TaskRepository

_MORE_THAN_ANY_TEST_STORES = 100_000


def all_tasks(tasks: TaskRepository, owner_id: UserId) -> Sequence[Task]:
    """Return all tasks of this owner, the newest first."""
    return tasks.page(owner_id, TaskQuery(), limit=_MORE_THAN_ANY_TEST_STORES).tasks


def revisions_of(tasks: TaskRepository, owner_id: UserId) -> Mapping[TaskId, int]:
    """Return the revision of the newest change of each task of this owner, or of its deletion."""
    found = tasks.changes(owner_id, after=None, limit=_MORE_THAN_ANY_TEST_STORES)
    return {change.id: change.revision for change in found.changes}


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
