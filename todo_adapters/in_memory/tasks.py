"""Tasks in memory."""

from collections.abc import Sequence
from dataclasses import replace

from todo_adapters.in_memory.store import InMemoryStore, TaskKey
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_query import Found, Position, TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, IdTaken, StaleVersion, TaskNotFound
from todo_core.ports.repositories import TaskRepository


class InMemoryTaskRepository(TaskRepository):
    """Tasks in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, task: Task) -> None:
        with self._store.lock:
            if task.owner_id not in self._store.users:
                raise AccountGone
            if (task.owner_id, task.id) in self._store.tasks:
                raise IdTaken
            self._put(task)

    def page(
        self,
        owner_id: UserId,
        query: TaskQuery,
        *,
        limit: int,
        after: Position | None = None,
        offset: int = 0,
    ) -> Found:
        with self._store.lock:
            chosen = self._chosen(owner_id, query)
            revision = self._store.owner_revisions.get(owner_id, 0)
        if after is not None:
            chosen = [
                task
                for task in chosen
                if (
                    Position.of(task, query.order) < after
                    if query.descending
                    else Position.of(task, query.order) > after
                )
            ]
        found = chosen[offset : offset + limit]
        return Found(found, revision if found else 0)

    def count(self, owner_id: UserId, query: TaskQuery) -> int:
        return len(self._chosen(owner_id, query))

    def _chosen(self, owner_id: UserId, query: TaskQuery) -> Sequence[Task]:
        with self._store.lock:
            chosen = [
                task
                for task in self._store.tasks.values()
                if task.owner_id == owner_id and query.includes(task)
            ]
        return sorted(
            chosen, key=lambda task: Position.of(task, query.order), reverse=query.descending
        )

    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        with self._store.lock:
            task = self._store.tasks.get((owner_id, task_id))
        if task is None:
            raise TaskNotFound
        return task

    def save(self, task: Task) -> Task:
        with self._store.lock:
            stored = self._store.tasks.get((task.owner_id, task.id))
            if stored is None or stored.version != task.version:
                raise StaleVersion
            saved = replace(task, created_at=stored.created_at, version=task.version + 1)
            self._put(saved)
            return saved

    def remove(self, task_id: TaskId, *, owner_id: UserId, version: int | None = None) -> None:
        with self._store.lock:
            stored = self._store.tasks.get((owner_id, task_id))
            if version is not None and (stored is None or stored.version != version):
                raise StaleVersion
            if stored is None:
                raise TaskNotFound
            self._delete((owner_id, task_id))
            self._next_revision(owner_id)

    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        with self._store.lock:
            removed = [key for key in self._store.tasks if key[0] == owner_id][:limit]
            for key in removed:
                self._delete(key)
            return len(removed)

    def counts(self, owner_id: UserId) -> TaskCounts:
        with self._store.lock:
            owned = [task for task in self._store.tasks.values() if task.owner_id == owner_id]
            return TaskCounts(
                self._store.owner_revisions.get(owner_id, 0),
                total=len(owned),
                completed=sum(task.completed for task in owned),
            )

    def _put(self, task: Task) -> None:
        key = task.owner_id, task.id
        self._store.tasks[key] = task
        self._store.task_revisions[key] = self._next_revision(task.owner_id)

    def _delete(self, key: TaskKey) -> None:
        del self._store.tasks[key]
        del self._store.task_revisions[key]

    def _next_revision(self, owner_id: UserId) -> int:
        revision = self._store.owner_revisions.get(owner_id, 0) + 1
        self._store.owner_revisions[owner_id] = revision
        return revision
