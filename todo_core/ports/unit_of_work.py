"""Units of work: several writes that succeed or fail together."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Protocol

from todo_core.ports.repositories import (
    IdentityRepository,
    KeptResponseRepository,
    PasswordResetRepository,
    RevocationRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)


class UnitOfWork(Protocol):
    """The repositories on one transaction.

    They see what was written earlier in the same unit of work. It belongs to the thread
    that began it, and must not be used after it ended.
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
    def revocations(self) -> RevocationRepository:
        """The revoked sessions."""

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
    def kept_responses(self) -> KeptResponseRepository:
        """The responses to requests with an idempotency key."""

    @property
    @abstractmethod
    def tasks(self) -> TaskRepository:
        """The tasks."""


class BeginUnitOfWork(Protocol):
    """Begins units of work.

    ```
    with unit_of_work() as work:
        work.users.save(user)
        work.sessions.add(session)
    ```

    Leaving the block without an exception commits. An exception rolls everything back and
    propagates.
    """

    @abstractmethod
    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        """Begin a unit of work."""
