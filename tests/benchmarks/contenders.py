"""Contenders: servers with the same three operations for the same two users.

One user has twenty tasks, of which the list and a single task are read. The other user creates the
new tasks, so that the length of the list does not change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.benchmarks.load import Endpoint
from tests.benchmarks.processes import Server

SQLITE = "SQLite"
POSTGRESQL = "PostgreSQL"

TASKS = 20
NEW_TASK = {"title": "Buy milk", "description": "Two litres, the fresh kind"}
PASSWORD = "a rather long sentence"


class Operation(StrEnum):
    """An operation that is measured."""

    LIST = f"list {TASKS} tasks"
    READ = "read a task"
    CREATE = "create a task"


class Name(StrEnum):
    """The name of a contender."""

    SERVICE = "todo"
    LIMITED = "with limits"
    BARE = "bare endpoint"
    HAND_WRITTEN = "hand-written"
    POCKETBASE = "PocketBase"


@dataclass(frozen=True, slots=True)
class Contender:
    """A running server, and its endpoint for each operation."""

    name: Name
    server: Server
    endpoints: Mapping[Operation, Endpoint]
