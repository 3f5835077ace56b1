"""Tasks in SQL of which an observer learns the writes.

A write in a unit of work is told when that commits, and not at all if it is rolled back.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import override

from todo_adapters.sql.database import Database, SqlExecutor
from todo_adapters.sql.tasks import SqlTaskRepository
from todo_adapters.sql.unit_of_work import BeginSqlUnitOfWork, SqlUnitOfWork
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import UserId
from todo_core.ports.repositories import UNLIMITED
from todo_core.ports.unit_of_work import UnitOfWork

CREATED = "created"
UPDATED = "updated"
DELETED = "deleted"
RESTORED = "restored"
ERASED = "erased"

type Observer = Callable[[str], None]
"""Is told the operation that has written a task."""


class ObservedTaskRepository(SqlTaskRepository):
    """Tells of each write what it did. Expired tasks that the clean-up erases are not told."""

    def __init__(self, executor: SqlExecutor, observe: Observer) -> None:
        super().__init__(executor)
        self._observe = observe

    @override
    def add(self, task: Task, *, most: int = UNLIMITED) -> None:
        super().add(task, most=most)
        self._observe(CREATED)

    @override
    def save(
        self, task: Task, *, loaded: Task | None = None, completes_alone: bool = False
    ) -> Task:
        saved = super().save(task, loaded=loaded, completes_alone=completes_alone)
        self._observe(UPDATED)
        return saved

    @override
    def remove(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        permanently: bool = False,
        version: int | None = None,
    ) -> None:
        super().remove(
            task_id,
            owner_id=owner_id,
            expires_at=expires_at,
            permanently=permanently,
            version=version,
        )
        self._observe(DELETED)

    @override
    def restore(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        now: datetime,
        most: int,
        parent_id: TaskId | None = None,
    ) -> Task:
        restored = super().restore(
            task_id, owner_id=owner_id, now=now, most=most, parent_id=parent_id
        )
        self._observe(RESTORED)
        return restored

    @override
    def erase(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        version: int | None = None,
    ) -> None:
        super().erase(task_id, owner_id=owner_id, expires_at=expires_at, version=version)
        self._observe(ERASED)


class BeginObservedUnitOfWork(BeginSqlUnitOfWork):
    """Begins units of work in SQL, and tells which tasks each has written once it has committed."""

    def __init__(self, database: Database, observe: Observer) -> None:
        super().__init__(database)
        self._observe = observe

    @override
    @contextmanager
    def _begin(self) -> Iterator[UnitOfWork]:
        written: list[str] = []
        with self._database.transaction() as transaction:
            tasks = ObservedTaskRepository(transaction, written.append)
            yield SqlUnitOfWork(transaction, tasks)
        for operation in written:
            self._observe(operation)
