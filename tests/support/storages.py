"""The three kinds of storage, which are all held to the same contract."""

from dataclasses import dataclass

from todo_adapters.in_memory.repositories import (
    InMemoryIdentityRepository,
    InMemoryPasswordResetRepository,
    InMemorySessionRepository,
    InMemoryTaskRepository,
    InMemoryUserRepository,
)
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.unit_of_work import InMemoryUnitOfWork
from todo_api.container import Container
from todo_core.ports.repositories import (
    IdentityRepository,
    PasswordResetRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)
from todo_core.ports.unit_of_work import UnitOfWork


@dataclass(frozen=True)
class Storage:
    """One kind of storage."""

    users: UserRepository
    sessions: SessionRepository
    identities: IdentityRepository
    password_resets: PasswordResetRepository
    tasks: TaskRepository
    unit_of_work: UnitOfWork


def storage_in_memory() -> Storage:
    store = InMemoryStore()
    return Storage(
        InMemoryUserRepository(store),
        InMemorySessionRepository(store),
        InMemoryIdentityRepository(store),
        InMemoryPasswordResetRepository(store),
        InMemoryTaskRepository(store),
        InMemoryUnitOfWork(store),
    )


def storage_of(container: Container) -> Storage:
    return Storage(
        container.users(),
        container.sessions(),
        container.identities(),
        container.password_resets(),
        container.tasks(),
        container.unit_of_work(),
    )
