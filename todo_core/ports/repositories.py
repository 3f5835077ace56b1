"""Where users, sessions and tasks are kept.

Each method is atomic by itself. Where several must stand or fall together, see
`todo_core.ports.unit_of_work`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol

from todo_core.entities.session import Session
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import Email, User, UserId


class UserRepository(Protocol):
    """The accounts."""

    @abstractmethod
    def add(self, user: User) -> None:
        """Store a new user.

        Of several who register one email at the same time exactly one succeeds.

        Raises:
            EmailTaken: if the email, compared by its `key`, belongs to an account.
        """

    @abstractmethod
    def get(self, user_id: UserId) -> User:
        """The user with this id.

        Raises:
            UserNotFound: if there is none.
        """

    @abstractmethod
    def get_by_email(self, email: Email) -> User:
        """The user with this email, compared by its `key`.

        Raises:
            UserNotFound: if there is none.
        """

    @abstractmethod
    def save(self, user: User) -> User:
        """Store a changed user, and return it with its version grown by one.

        Raises:
            StaleVersion: if the stored version is no longer `user.version`, or
                the user is gone.
            EmailTaken: if the new email belongs to another account.
        """


class SessionRepository(Protocol):
    """The sessions."""

    @abstractmethod
    def add(self, session: Session) -> None:
        """Store a new session.

        Raises:
            AccountGone: if its user does not exist (any more).
        """


class TaskRepository(Protocol):
    """The tasks. Every method takes the owner: another's task cannot be asked for."""

    @abstractmethod
    def add(self, task: Task) -> None:
        """Store a new task, under `task.owner_id`.

        Raises:
            IdTaken: if its id is in use, by whomever.
            AccountGone: if its owner does not exist (any more).
        """

    @abstractmethod
    def list(self, owner_id: UserId, *, completed: bool | None = None) -> Sequence[Task]:
        """All tasks of this owner, the newest first (by `created_at`, then by id).

        With `completed` given, only those that are, or only those that are not.
        An owner without tasks, or who does not exist, has an empty list.
        """

    @abstractmethod
    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        """The owner's task of this id.

        Raises:
            TaskNotFound: if this owner has no such task.
        """

    @abstractmethod
    def save(self, task: Task) -> Task:
        """Store a changed task, and return it with its version grown by one.

        Only title, description, completed and updated_at can change.

        Raises:
            StaleVersion: if `task.owner_id` has no task with this id whose stored
                version is `task.version`: changed since, removed, or never theirs.
        """

    @abstractmethod
    def remove(self, task_id: TaskId, *, owner_id: UserId) -> None:
        """Delete this owner's task for good.

        Raises:
            TaskNotFound: if this owner has no such task.
        """
