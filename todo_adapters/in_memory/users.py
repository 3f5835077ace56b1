"""Users in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import EmailAddress, User, UserId
from todo_core.errors import EmailTaken, StaleVersion, UserNotFound
from todo_core.ports.repositories import UserRepository


class InMemoryUserRepository(UserRepository):
    """Accounts in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, user: User) -> None:
        with self._store.lock:
            self._require_free_email(user)
            self._store.users[user.id] = user

    def get(self, user_id: UserId) -> User:
        with self._store.lock:
            try:
                return self._store.users[user_id]
            except KeyError:
                raise UserNotFound from None

    def get_by_email(self, email: EmailAddress) -> User:
        with self._store.lock:
            for user in self._store.users.values():
                if user.email is not None and user.email.key == email.key:
                    return user
        raise UserNotFound

    def list(self, *, email_part: str, limit: int) -> Sequence[User]:
        with self._store.lock:
            users = list(self._store.users.values())
        if email_part:
            wanted = email_part.lower()
            users = [user for user in users if user.email and wanted in user.email.key]
        return sorted(users, key=lambda user: (user.created_at, user.id), reverse=True)[:limit]

    def time_zone(self, user_id: UserId) -> TimeZone:
        return self.get(user_id).time_zone

    def save(self, user: User) -> User:
        with self._store.lock:
            self.lock(user)
            self._require_free_email(user)
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
            self._remove_tasks(user.id)

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
            if user_id not in self._store.deleted_users:
                return False
            self._remove_tasks(user_id)
            del self._store.deleted_users[user_id]
            return True

    def _remove_tasks(self, user_id: UserId) -> None:
        store = self._store
        by_tasks = store.tasks, store.task_revisions, store.deleted_tasks, store.next_reminders
        for by_task in by_tasks:
            for key in [key for key in by_task if key[0] == user_id]:
                del by_task[key]
        store.owner_revisions.pop(user_id, None)
        store.purged_revisions.pop(user_id, None)
        store.kept_sizes.pop(user_id, None)

    def _remove_all_but_tasks(self, user: User) -> None:
        self.lock(user)
        store = self._store
        del store.users[user.id]
        store.password_resets.pop(user.id, None)
        for kept in [key for key in store.kept_responses if key[0] == user.id]:
            del store.kept_responses[kept]
        for fired in [key for key in store.fired_reminders if key[0] == user.id]:
            del store.fired_reminders[fired]
        for ticket in [each for each in store.stream_tickets.values() if each.user_id == user.id]:
            del store.stream_tickets[ticket.token_hash]
        for key in [key for key, each in store.identities.items() if each.user_id == user.id]:
            del store.identities[key]
        for session in [each for each in store.sessions.values() if each.user_id == user.id]:
            del store.sessions[session.id]

    def _require_free_email(self, user: User) -> None:
        if user.email is None:
            return
        for other in self._store.users.values():
            if (
                other.id != user.id
                and other.email is not None
                and other.email.key == user.email.key
            ):
                raise EmailTaken
