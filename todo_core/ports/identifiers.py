"""New identifiers."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from todo_core.entities.session import SessionId
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId


class Identifiers(Protocol):
    """Generates identifiers, which reveal nothing about what others do.

    Consecutive numbers, for example, would reveal how many tasks other users create.
    """

    @abstractmethod
    def user_id(self) -> UserId:
        """Return a unique id for a new user."""

    @abstractmethod
    def task_ids(self, owner_id: UserId, count: int, *, created_at: datetime) -> Sequence[TaskId]:
        """Return ids for new tasks of one owner, in ascending order, from 1 to 2**53 - 1.

        In rare cases one of them is already in use.
        """

    @abstractmethod
    def session_id(self) -> SessionId:
        """Return a unique id for a new session."""
