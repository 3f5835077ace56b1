"""The repositories, on dictionaries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import Email, User, UserId
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    IdTaken,
    InvalidResetToken,
    SessionNotFound,
    StaleVersion,
    TaskNotFound,
    UserNotFound,
)
from todo_core.ports.repositories import (
    PasswordResetRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)


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
            self.confirm(user)
            self._refuse_taken_email(user)
            saved = replace(user, version=user.version + 1)
            self._store.users[user.id] = saved
            return saved

    def confirm(self, user: User) -> None:
        with self._store.lock:
            stored = self._store.users.get(user.id)
            if stored is None or stored.version != user.version:
                raise StaleVersion

    def remove(self, user: User) -> None:
        with self._store.lock:
            self.confirm(user)
            store = self._store
            del store.users[user.id]
            store.password_resets.pop(user.id, None)
            for session in [each for each in store.sessions.values() if each.user_id == user.id]:
                del store.sessions[session.id]
            for task in [each for each in store.tasks.values() if each.owner_id == user.id]:
                del store.tasks[task.id]

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

    def get(self, session_id: SessionId) -> Session:
        with self._store.lock:
            try:
                return self._store.sessions[session_id]
            except KeyError:
                raise SessionNotFound from None

    def list(self, user_id: UserId) -> Sequence[Session]:
        with self._store.lock:
            owned = [each for each in self._store.sessions.values() if each.user_id == user_id]
        return sorted(owned, key=lambda session: session.refreshed_at, reverse=True)

    def save_refreshed(self, session: Session) -> None:
        with self._store.lock:
            stored = self._store.sessions.get(session.id)
            if stored is None or stored.generation != session.generation - 1:
                raise StaleVersion
            self._store.sessions[session.id] = session

    def end(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        with self._store.lock:
            session = self._store.sessions.get(session_id)
            if session is None or session.user_id != user_id:
                raise SessionNotFound
            del self._store.sessions[session_id]
            self._store.ended_sessions[session_id] = now

    def end_all(
        self, user_id: UserId, *, but: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        with self._store.lock:
            ending = [each.id for each in self.list(user_id) if each.id != but]
            for session_id in ending:
                self.end(session_id, user_id=user_id, now=now)
            return ending

    def ended_since(self, time: datetime) -> Sequence[SessionId]:
        with self._store.lock:
            ended = self._store.ended_sessions.items()
            return [session_id for session_id, ended_at in ended if ended_at >= time]

    def forget(self, *, expired: datetime, idle: datetime, ended: datetime, limit: int) -> int:
        with self._store.lock:
            over = [
                session.id
                for session in self._store.sessions.values()
                if session.expires_at < expired or session.refreshed_at < idle
            ][:limit]
            notes = self._store.ended_sessions.items()
            noted = [session_id for session_id, ended_at in notes if ended_at < ended][:limit]
            for session_id in over:
                del self._store.sessions[session_id]
            for session_id in noted:
                del self._store.ended_sessions[session_id]
            return len(over) + len(noted)


class InMemoryPasswordResetRepository(PasswordResetRepository):
    """Password resets in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def put(self, reset: PasswordReset) -> None:
        with self._store.lock:
            if reset.user_id not in self._store.users:
                raise AccountGone
            self._store.password_resets[reset.user_id] = reset

    def get(self, token_hash: str) -> PasswordReset:
        with self._store.lock:
            for reset in self._store.password_resets.values():
                if reset.token_hash == token_hash:
                    return reset
        raise InvalidResetToken

    def withdraw(self, user_id: UserId) -> None:
        with self._store.lock:
            self._store.password_resets.pop(user_id, None)

    def take(self, token_hash: str) -> PasswordReset:
        with self._store.lock:
            reset = self.get(token_hash)
            del self._store.password_resets[reset.user_id]
            return reset

    def forget(self, *, expired: datetime, limit: int) -> int:
        with self._store.lock:
            over = [
                reset.user_id
                for reset in self._store.password_resets.values()
                if reset.expires_at < expired
            ][:limit]
            for user_id in over:
                del self._store.password_resets[user_id]
            return len(over)


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
