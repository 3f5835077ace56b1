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
_TICKS = 2**17
_IDS_OF_TICK = 2**36
_FIRST_BITS, _STEP_BITS = 35, 16
_MOST_OWNERS = 10_000
"""How many owners are remembered, which takes 2 MB."""

_random = Random()  # noqa: S311 - it makes ids distinct, and protects nothing
os.register_at_fork(after_in_child=_random.seed)


class TimeOrderedIdentifiers(Identifiers):
    """Draws UUIDs of version 4 (RFC 9562), and ids of tasks that begin with the time.

    The first 17 bits of the id of a task are its time, in units of 4.7 hours since 2020, which is
    enough until 2089. The other 36 are random for the first task that an owner creates in such a
    unit. Each of the next ones comes after a random gap of at most 65,536 ids, so that databases
    store it beside the one before, which is likely to be in memory.

    A new id must not be one that the owner deleted a moment ago: clients would see two tasks as
    one. The ids of an owner only increase while this process remembers the owner. For another
    process, the probability is one in 34 billion for each task that was deleted.
    """

    def __init__(self) -> None:
        self._last: dict[UserId, int] = {}

    def user_id(self) -> UserId:
        return UserId(uuid4())

    def task_ids(self, owner_id: UserId, count: int, *, created_at: datetime) -> Sequence[TaskId]:
        ticks = (created_at - _EPOCH) // _TICK % _TICKS
        start = ticks * _IDS_OF_TICK
        first = self._last.get(owner_id, 0) + 1 + _random.getrandbits(_STEP_BITS)
        if not start < first <= start + _IDS_OF_TICK - count:
            first = start + 1 + _random.getrandbits(_FIRST_BITS)
        if len(self._last) >= _MOST_OWNERS:
            self._last.clear()
        self._last[owner_id] = first + count - 1
        return [TaskId(first + index) for index in range(count)]

    def session_id(self) -> SessionId:
        return SessionId(uuid4())
