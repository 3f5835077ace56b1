"""Contenders: servers with the same operations for the same users.

One user has twenty tasks, of which the list and a single task are read. A second one creates new
tasks, and a third one changes 64 others, so that the length of the list does not change. A fourth
one logs in.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.benchmarks.load import Endpoint, Request, repeat
from tests.benchmarks.processes import Server

WORKERS = os.process_cpu_count() or 1

TASKS = 20
CHANGED_TASKS = 64
NEW_TASK = {"title": "Buy milk", "description": "Two litres, the fresh kind"}
TITLES = ({"title": "Buy bread"}, {"title": "Buy milk"})
STATES = ({"completed": True}, {"completed": False})
PASSWORD = "a rather long sentence"

LOGIN_CONNECTIONS = 4
"""Few, because a login takes a fifth of a second of a core or more."""

_LOGIN_DURATION_FACTOR = 2


class Operation(StrEnum):
    """An operation that is measured."""

    LIST = f"list {TASKS} tasks"
    READ = "read a task"
    CREATE = "create a task"
    COMPLETE = "complete a task"
    RENAME = "change a title"
    CREATE_AND_DELETE = "create and delete"
    LOGIN = "log in"


BASIC_OPERATIONS = (Operation.LIST, Operation.READ, Operation.CREATE)
"""The operations of every contender."""


class Name(StrEnum):
    """The name of a contender."""

    SERVICE = "todo"
    WORKERS = f"todo, {WORKERS} workers"
    LIMITED = "with limits"
    POCKETBASE = "PocketBase"
    HAND_WRITTEN = "hand-written"
    STARLETTE = "plain Starlette"
    BARE = "bare endpoint"


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server, and its endpoint for each of its operations."""

    name: Name
    server: Server
    endpoints: Mapping[Operation, Endpoint]


def log_in(request: Request, token_field: str) -> Endpoint:
    """Return the endpoint for a login, whose response contains a token."""
    return replace(
        repeat(request, lambda answer: token_field in answer),
        connections=LOGIN_CONNECTIONS,
        duration_factor=_LOGIN_DURATION_FACTOR,
    )


def only(
    operations: Iterable[Operation], endpoints: Mapping[Operation, Endpoint]
) -> dict[Operation, Endpoint]:
    """Return the endpoints for these operations."""
    return {operation: endpoints[operation] for operation in operations}
