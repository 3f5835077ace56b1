"""Tasks in memory."""

from collections.abc import Sequence
from dataclasses import replace

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.task import Task, TaskId
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
            if task.id in self._store.tasks:
                raise IdTaken
            self._store.tasks[task.id] = task

    def list(self, owner_id: UserId, *, completed: bool | None = None) -> Sequence[Task]:
        with self._store.lock:
            owned = [
                task
                for task in self._store.tasks.values()
                if task.owner_id == owner_id and completed in (None, task.completed)
            ]
        return sorted(owned, key=lambda task: (task.created_at, task.id), reverse=True)

    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        with self._store.lock:
            task = self._store.tasks.get(task_id)
        if task is None or task.owner_id != owner_id:
            raise TaskNotFound
        return task

    def save(self, task: Task) -> Task:
        with self._store.lock:
            stored = self._store.tasks.get(task.id)
            if stored is None or stored.owner_id != task.owner_id or stored.version != task.version:
                raise StaleVersion
            saved = replace(task, created_at=stored.created_at, version=task.version + 1)
            self._store.tasks[task.id] = saved
            return saved

    def remove(self, task_id: TaskId, *, owner_id: UserId) -> None:
        with self._store.lock:
            self.get(task_id, owner_id=owner_id)
            del self._store.tasks[task_id]

    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        with self._store.lock:
            owned = [each.id for each in self._store.tasks.values() if each.owner_id == owner_id]
            for task_id in owned[:limit]:
                del self._store.tasks[task_id]
            return len(owned[:limit])
