"""The repositories, on dictionaries."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import Email, User, UserId
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    IdentityNotFound,
    IdentityTaken,
    IdTaken,
    InvalidResetToken,
    SessionNotFound,
    StaleVersion,
    TaskNotFound,
    UserNotFound,
)
from todo_core.ports.repositories import (
    IdentityRepository,
    PasswordResetRepository,
    RevocationRepository,
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
                if user.email is not None and user.email.key == email.key:
                    return user
        raise UserNotFound

    def save(self, user: User) -> User:
        with self._store.lock:
            self.lock(user)
            self._refuse_taken_email(user)
            saved = replace(user, version=user.version + 1)
            self._store.users[user.id] = saved
            return saved

    def lock(self, user: User) -> None:
        with self._store.lock:
            stored = self._store.users.get(user.id)
            if stored is None or stored.version != user.version:
                raise StaleVersion

    def remove(self, user: User) -> None:
        with self._store.lock:
            self._remove_all_but_tasks(user)
            store = self._store
            for task in [each for each in store.tasks.values() if each.owner_id == user.id]:
                del store.tasks[task.id]

    def mark_deleted(self, user: User, *, now: datetime) -> None:
        with self._store.lock:
            self._remove_all_but_tasks(user)
            self._store.deleted_users[user.id] = now

    def list_marked_deleted(self, *, limit: int) -> Sequence[UserId]:
        with self._store.lock:
            deleted = self._store.deleted_users
            return sorted(deleted, key=lambda user_id: deleted[user_id])[:limit]

    def purge(self, user_id: UserId) -> bool:
        with self._store.lock:
            if any(task.owner_id == user_id for task in self._store.tasks.values()):
                return False
            return self._store.deleted_users.pop(user_id, None) is not None

    def _remove_all_but_tasks(self, user: User) -> None:
        self.lock(user)
        store = self._store
        del store.users[user.id]
        store.password_resets.pop(user.id, None)
        for key in [key for key, each in store.identities.items() if each.user_id == user.id]:
            del store.identities[key]
        for session in [each for each in store.sessions.values() if each.user_id == user.id]:
            del store.sessions[session.id]

    def _refuse_taken_email(self, user: User) -> None:
        if user.email is None:
            return
        for other in self._store.users.values():
            if (
                other.id != user.id
                and other.email is not None
                and other.email.key == user.email.key
            ):
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

    def revoke(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        with self._store.lock:
            session = self._store.sessions.get(session_id)
            if session is None or session.user_id != user_id:
                raise SessionNotFound
            del self._store.sessions[session_id]
            self._store.revoked_sessions[session_id] = now

    def revoke_all(
        self, user_id: UserId, *, keep: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        with self._store.lock:
            revoked = [each.id for each in self.list(user_id) if each.id != keep]
            for session_id in revoked:
                self.revoke(session_id, user_id=user_id, now=now)
            return revoked

    def revoke_least_recent(
        self, user_id: UserId, *, keep: int, now: datetime
    ) -> Sequence[SessionId]:
        with self._store.lock:
            revoked = [each.id for each in self.list(user_id)[keep:]]
            for session_id in revoked:
                self.revoke(session_id, user_id=user_id, now=now)
            return revoked

    def purge(self, *, expired_before: datetime, idle_since: datetime, limit: int) -> int:
        with self._store.lock:
            purged = [
                session.id
                for session in self._store.sessions.values()
                if session.expires_at < expired_before or session.refreshed_at < idle_since
            ][:limit]
            for session_id in purged:
                del self._store.sessions[session_id]
            return len(purged)


class InMemoryRevocationRepository(RevocationRepository):
    """Revocations in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def revoke_external(self, session_id: SessionId, *, now: datetime) -> None:
        with self._store.lock:
            self._store.external_revocations[session_id] = now

    def external_revoked_at(self, session_id: SessionId) -> datetime | None:
        with self._store.lock:
            return self._store.external_revocations.get(session_id)

    def revoked_since(self, time: datetime) -> Sequence[SessionId]:
        with self._store.lock:
            store = self._store
            revoked = [*store.revoked_sessions.items(), *store.external_revocations.items()]
            return [session_id for session_id, revoked_at in revoked if revoked_at >= time]

    def purge(
        self, *, revoked_before: datetime, revoked_externally_before: datetime, limit: int
    ) -> int:
        with self._store.lock:
            store = self._store
            return _purge(store.revoked_sessions, revoked_before, limit) + _purge(
                store.external_revocations, revoked_externally_before, limit
            )


def _purge(revoked: dict[SessionId, datetime], before: datetime, limit: int) -> int:
    purged = [session_id for session_id, time in revoked.items() if time < before][:limit]
    for session_id in purged:
        del revoked[session_id]
    return len(purged)


class InMemoryIdentityRepository(IdentityRepository):
    """Identities in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, person: LinkedIdentity) -> None:
        with self._store.lock:
            if person.user_id not in self._store.users:
                raise AccountGone
            if _key(person.identity) in self._store.identities:
                raise IdentityTaken
            self._store.identities[_key(person.identity)] = person

    def get(self, identity: Identity) -> LinkedIdentity:
        with self._store.lock:
            try:
                return self._store.identities[_key(identity)]
            except KeyError:
                raise IdentityNotFound from None

    def list(self, user_id: UserId) -> Sequence[Identity]:
        with self._store.lock:
            people = self._store.identities.values()
            theirs = [each.identity for each in people if each.user_id == user_id]
        return sorted(theirs, key=lambda identity: identity.issued_at, reverse=True)

    def save(self, identity: Identity) -> None:
        with self._store.lock:
            person = self._store.identities.get(_key(identity))
            if person is None or person.identity.issued_at >= identity.issued_at:
                raise StaleVersion
            self._store.identities[_key(identity)] = replace(person, identity=identity)


def _key(identity: Identity) -> tuple[Issuer, Subject]:
    return identity.issuer, identity.subject


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

    def purge(self, *, expired_before: datetime, limit: int) -> int:
        with self._store.lock:
            purged = [
                reset.user_id
                for reset in self._store.password_resets.values()
                if reset.expires_at < expired_before
            ][:limit]
            for user_id in purged:
                del self._store.password_resets[user_id]
            return len(purged)


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
