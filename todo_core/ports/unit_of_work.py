"""Several writes that stand or fall together."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Protocol

from todo_core.ports.repositories import (
    IdentityRepository,
    PasswordResetRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)


class Work(Protocol):
    """The repositories within one unit of work: what they write is one transaction.

    They see what was written earlier in the same work. It belongs to the thread
    that began it, and is of no use after it ended.
    """

    @property
    @abstractmethod
    def users(self) -> UserRepository:
        """The accounts."""

    @property
    @abstractmethod
    def sessions(self) -> SessionRepository:
        """The sessions."""

    @property
    @abstractmethod
    def identities(self) -> IdentityRepository:
        """The identities."""

    @property
    @abstractmethod
    def password_resets(self) -> PasswordResetRepository:
        """The open password resets."""

    @property
    @abstractmethod
    def tasks(self) -> TaskRepository:
        """The tasks."""


class UnitOfWork(Protocol):
    """Begins works.

    ```
    with unit_of_work() as work:
        work.users.save(user)
        work.sessions.add(session)
    ```

    Leaving the block without an exception commits; an exception rolls all of it
    back and goes on its way.
    """

    @abstractmethod
    def __call__(self) -> AbstractContextManager[Work]:
        """Begin a work."""
