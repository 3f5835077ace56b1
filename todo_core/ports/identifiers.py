"""New identifiers."""

from abc import abstractmethod
from typing import Protocol

from todo_core.entities.session import SessionId
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId


class Identifiers(Protocol):
    """Generates random identifiers, which reveal nothing about others.

    Consecutive numbers would reveal how many tasks other users create.
    """

    @abstractmethod
    def user_id(self) -> UserId:
        """Return a unique id for a new user."""

    @abstractmethod
    def task_id(self) -> TaskId:
        """Return an id for a new task, from 1 to 2**53 - 1. In rare cases it is already in use."""

    @abstractmethod
    def session_id(self) -> SessionId:
        """Return a unique id for a new session."""
