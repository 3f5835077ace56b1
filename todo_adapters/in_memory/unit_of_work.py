"""Units of work in memory."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from todo_adapters.in_memory.identities import InMemoryIdentityRepository
from todo_adapters.in_memory.kept_responses import InMemoryKeptResponseRepository
from todo_adapters.in_memory.password_resets import InMemoryPasswordResetRepository
from todo_adapters.in_memory.revocations import InMemoryRevocationRepository
from todo_adapters.in_memory.sessions import InMemorySessionRepository
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.tasks import InMemoryTaskRepository
from todo_adapters.in_memory.users import InMemoryUserRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork, UnitOfWork


class InMemoryUnitOfWork(UnitOfWork):
    """The repositories on one store, while the transaction holds its lock."""

    def __init__(self, store: InMemoryStore) -> None:
        self._users = InMemoryUserRepository(store)
        self._sessions = InMemorySessionRepository(store)
        self._revocations = InMemoryRevocationRepository(store)
        self._identities = InMemoryIdentityRepository(store)
        self._password_resets = InMemoryPasswordResetRepository(store)
        self._kept_responses = InMemoryKeptResponseRepository(store)
        self._tasks = InMemoryTaskRepository(store)

    @property
    def users(self) -> InMemoryUserRepository:
        return self._users

    @property
    def sessions(self) -> InMemorySessionRepository:
        return self._sessions

    @property
    def revocations(self) -> InMemoryRevocationRepository:
        return self._revocations

    @property
    def identities(self) -> InMemoryIdentityRepository:
        return self._identities

    @property
    def password_resets(self) -> InMemoryPasswordResetRepository:
        return self._password_resets

    @property
    def kept_responses(self) -> InMemoryKeptResponseRepository:
        return self._kept_responses

    @property
    def tasks(self) -> InMemoryTaskRepository:
        return self._tasks


class BeginInMemoryUnitOfWork(BeginUnitOfWork):
    """Begins units of work, one at a time."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        return self._begin()

    @contextmanager
    def _begin(self) -> Iterator[UnitOfWork]:
        with self._store.transaction():
            yield InMemoryUnitOfWork(self._store)
