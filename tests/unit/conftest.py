"""The use cases on in-memory adapters: no database, no clock, no network."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.in_memory.repositories import InMemoryTaskRepository, InMemoryUserRepository
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.unit_of_work import InMemoryUnitOfWork
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.keys import KeyRing
from todo_adapters.security.passwords import PasslibPasswordHasher
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.system.identifiers import RandomIdentifiers
from todo_core.entities.user import PasswordPolicy, User
from todo_core.use_cases.accounts import GetUser, LogIn, RegisterUser
from todo_core.use_cases.tasks import (
    CreateTask,
    DeleteTask,
    GetTask,
    ListTasks,
    ToggleCompletion,
    UpdateTask,
)

PASSWORD = "a rather long sentence"


@dataclass
class World:
    """Everything that a use case needs, and all of them."""

    clock: ManualClock = field(default_factory=ManualClock)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    identifiers: RandomIdentifiers = field(default_factory=RandomIdentifiers)
    passwords: PasslibPasswordHasher = field(default_factory=lambda: PasslibPasswordHasher(cost=4))
    key_ring: KeyRing = field(default_factory=lambda: KeyRing.of("a secret " * 4))

    def __post_init__(self) -> None:
        self.users = InMemoryUserRepository(self.store)
        self.tasks = InMemoryTaskRepository(self.store)
        self.access_tokens = JoseAccessTokens(
            self.key_ring, issuer="todo", audience="todo", lifetime=timedelta(hours=1)
        )
        self.register_user = RegisterUser(
            self.users,
            self.passwords,
            PasswordPolicy(min_length=8, common=frozenset({"password1"})),
            self.identifiers,
            self.clock,
        )
        self.log_in = LogIn(
            self.users,
            InMemoryUnitOfWork(self.store),
            self.passwords,
            self.access_tokens,
            HmacRefreshTokens(self.key_ring),
            timedelta(days=90),
            self.identifiers,
            self.clock,
        )
        self.get_user = GetUser(self.users)
        self.create_task = CreateTask(self.tasks, self.identifiers, self.clock)
        self.list_tasks = ListTasks(self.tasks)
        self.get_task = GetTask(self.tasks)
        self.update_task = UpdateTask(self.tasks, self.clock)
        self.toggle_completion = ToggleCompletion(self.tasks, self.clock)
        self.delete_task = DeleteTask(self.tasks)

    def person(self, email: str = "ada@example.com") -> User:
        """Somebody who registered."""
        return self.register_user(name="Ada", email=email, password=PASSWORD)


@pytest.fixture
def world() -> World:
    return World()
