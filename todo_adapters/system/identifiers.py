"""Identifiers from the operating system's random source."""

import secrets
from uuid import uuid4

from todo_core.entities.session import SessionId
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId
from todo_core.ports.identifiers import Identifiers

_LARGEST_TASK_ID = 2**53 - 1


class RandomIdentifiers(Identifiers):
    """Draws UUIDs of version 4 (RFC 9562) and 53-bit integers.

    For an owner with a million tasks, a new id is already in use once in nine billion times.
    """

    def user_id(self) -> UserId:
        return UserId(uuid4())

    def task_id(self) -> TaskId:
        return TaskId(1 + secrets.randbelow(_LARGEST_TASK_ID))

    def session_id(self) -> SessionId:
        return SessionId(uuid4())
