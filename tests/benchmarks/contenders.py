"""What it is to take part: to do the same three things, for the same two people.

One person has twenty tasks, whose list is read, and one of them by itself.
Another gets all of the tasks that are created, so that the list stays as long
as it is.
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
    """What is measured."""

    LIST = f"list {TASKS} tasks"
    READ = "read a task"
    CREATE = "create a task"


class Name(StrEnum):
    """What the contenders are called."""

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
