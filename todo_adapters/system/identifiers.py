"""Identifiers: random ones, and those of tasks, which begin with the time."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

from todo_core.entities.session import SessionId
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId
from todo_core.ports.identifiers import Identifiers

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=2**24)  # 4.7 hours
_RANDOM_BITS = 36
_LARGEST_TASK_ID = 2**53 - 1

_low_bits = Random()  # noqa: S311 - they make ids distinct, and protect nothing
os.register_at_fork(after_in_child=_low_bits.seed)


class TimeOrderedIdentifiers(Identifiers):
    """Draws UUIDs of version 4 (RFC 9562). The id of a task is its time and 36 random bits.

    So databases store the tasks that an owner creates on one day next to each other. The time, in
    units of 4.7 hours since 2020, fits into the other 17 bits until 2089. It is so coarse because a
    new id must not be one that the owner deleted a moment ago: clients would see two tasks as one.
    """

    def user_id(self) -> UserId:
        return UserId(uuid4())

    def task_ids(self, count: int, *, created_at: datetime) -> Sequence[TaskId]:
        ticks = (created_at - _EPOCH) // _TICK
        first = (ticks << _RANDOM_BITS) + _low_bits.getrandbits(_RANDOM_BITS)
        # Of a time that does not fit, only the lower bits are used.
        first = 1 + first % (_LARGEST_TASK_ID - count)
        return [TaskId(first + index) for index in range(count)]

    def session_id(self) -> SessionId:
        return SessionId(uuid4())
