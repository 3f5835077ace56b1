"""Password resets in memory."""

from datetime import datetime

from todo_adapters.in_memory.store import InMemoryStore
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, InvalidResetToken
from todo_core.ports.repositories import PasswordResetRepository


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
