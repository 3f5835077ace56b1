"""The repositories, on dictionaries."""

from collections.abc import Sequence
from dataclasses import replace

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.session import Session
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import Email, User, UserId
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    IdTaken,
    StaleVersion,
    TaskNotFound,
    UserNotFound,
)
from todo_core.ports.repositories import SessionRepository, TaskRepository, UserRepository


class InMemoryUserRepository(UserRepository):
    """Accounts in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, user: User) -> None:
        with self._store.lock:
            self._refuse_taken_email(user)
            self._store.users[user.id] = user

    def get(self, user_id: UserId) -> User:
        with self._store.lock:
            try:
                return self._store.users[user_id]
            except KeyError:
                raise UserNotFound from None

    def get_by_email(self, email: Email) -> User:
        with self._store.lock:
            for user in self._store.users.values():
                if user.email.key == email.key:
                    return user
        raise UserNotFound

    def save(self, user: User) -> User:
        with self._store.lock:
            stored = self._store.users.get(user.id)
            if stored is None or stored.version != user.version:
                raise StaleVersion
            self._refuse_taken_email(user)
            saved = replace(user, version=user.version + 1)
            self._store.users[user.id] = saved
            return saved

    def _refuse_taken_email(self, user: User) -> None:
        for other in self._store.users.values():
            if other.email.key == user.email.key and other.id != user.id:
                raise EmailTaken


class InMemorySessionRepository(SessionRepository):
    """Sessions in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, session: Session) -> None:
        with self._store.lock:
            if session.user_id not in self._store.users:
                raise AccountGone
            self._store.sessions[session.id] = session


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
