"""The three kinds of storage, which are all held to the same contract."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from todo_adapters.in_memory.identities import InMemoryIdentityRepository
from todo_adapters.in_memory.kept_responses import InMemoryKeptResponseRepository
from todo_adapters.in_memory.password_resets import InMemoryPasswordResetRepository
from todo_adapters.in_memory.reminders import InMemoryReminderRepository
from todo_adapters.in_memory.revocations import InMemoryRevocationRepository
from todo_adapters.in_memory.sessions import InMemorySessionRepository
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.stream_tickets import InMemoryStreamTicketRepository
from todo_adapters.in_memory.tasks import InMemoryTaskRepository
from todo_adapters.in_memory.unit_of_work import BeginInMemoryUnitOfWork
from todo_adapters.in_memory.users import InMemoryUserRepository
from todo_api.container import Container
from todo_core.entities.user import EmailAddress, PersonName, User, UserId
from todo_core.ports.reminders import ReminderRepository
from todo_core.ports.repositories import (
    IdentityRepository,
    KeptResponseRepository,
    PasswordResetRepository,
    RevocationRepository,
    SessionRepository,
    StreamTicketRepository,
    TaskRepository,
    UserRepository,
)
from todo_core.ports.unit_of_work import BeginUnitOfWork


@dataclass(frozen=True)
class Storage:
    """The repositories and the unit of work of one kind of storage."""

    users: UserRepository
    sessions: SessionRepository
    revocations: RevocationRepository
    identities: IdentityRepository
    password_resets: PasswordResetRepository
    kept_responses: KeptResponseRepository
    stream_tickets: StreamTicketRepository
    tasks: TaskRepository
    reminders: ReminderRepository
    unit_of_work: BeginUnitOfWork


def stored_owner(storage: Storage, number: int, *, now: datetime) -> User:
    """Store and return a user, who differs from those with other numbers."""
    user = User.register(
        id=UserId(UUID(int=number)),
        name=PersonName("Ada"),
        email=EmailAddress(f"user{number}@example.com"),
        password_hash=None,
        now=now,
    )
    storage.users.add(user)
    return user


def storage_in_memory() -> Storage:
    store = InMemoryStore()
    return Storage(
        InMemoryUserRepository(store),
        InMemorySessionRepository(store),
        InMemoryRevocationRepository(store),
        InMemoryIdentityRepository(store),
        InMemoryPasswordResetRepository(store),
        InMemoryKeptResponseRepository(store),
        InMemoryStreamTicketRepository(store),
        InMemoryTaskRepository(store),
        InMemoryReminderRepository(store),
        BeginInMemoryUnitOfWork(store),
    )


def storage_of(container: Container) -> Storage:
    return Storage(
        container.users(),
        container.sessions(),
        container.revocations(),
        container.identities(),
        container.password_resets(),
        container.kept_responses(),
        container.stream_tickets(),
        container.tasks(),
        container.reminders(),
        container.unit_of_work(),
    )
