"""Fresh identifiers."""

from abc import abstractmethod
from typing import Protocol

from todo_core.entities.session import SessionId
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId


class Identifiers(Protocol):
    """Draws identifiers that tell nothing about when, or how many, others were drawn.

    Consecutive numbers would let everyone count what everyone else does.
    """

    @abstractmethod
    def user_id(self) -> UserId:
        """A new user's id; it never comes twice."""

    @abstractmethod
    def task_id(self) -> TaskId:
        """A new task's id, from 1 to 2**53 - 1; on rare occasions one that is in use."""

    @abstractmethod
    def session_id(self) -> SessionId:
        """A new session's id; it never comes twice."""
