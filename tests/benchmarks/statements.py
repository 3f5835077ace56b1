"""The cost of a statement, executed by `DriverStatement` and by SQLAlchemy itself, on SQLite.

Run it on one core: `taskset -c 0 python -m tests.benchmarks.statements`. The contenders alternate,
and the median of the rounds is printed.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from uuid import UUID

from tests.support.statements import TASKS_OF_OWNER
from todo_adapters.sql.database import Database, open_database
from todo_adapters.sql.statements import Parameters, Statement
from todo_adapters.sql.tables import TASKS, USERS, metadata
from todo_adapters.sql.tasks import GET

ADD = TASKS.insert()

TASKS_OF_THE_OWNER = 20
CALLS = 2000
ROUNDS = 9
OWNER, WRITER = UUID(int=1), UUID(int=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

type Execute = Callable[[Database, Statement, Parameters], object]


def by_the_driver(database: Database, statement: Statement, parameters: Parameters) -> object:
    execute = database.write if statement is ADD else database.rows
    return execute(statement, parameters)


def by_sqlalchemy(database: Database, statement: Statement, parameters: Parameters) -> object:
    with database.engine.connect() as connection:
        result = connection.execute(statement, dict(parameters))
        return result.all() if result.returns_rows else result.rowcount


CONTENDERS: dict[str, Execute] = {"DriverStatement": by_the_driver, "SQLAlchemy": by_sqlalchemy}


def task(task_id: int, owner_id: UUID) -> Parameters:
    return {
        "id": task_id,
        "owner_id": owner_id,
        "title": "Buy milk",
        "description": None,
        "completed": False,
        "version": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }


@contextmanager
def filled_database() -> Iterator[Database]:
    """Open a new database in which the owner has twenty tasks."""
    with TemporaryDirectory(prefix="todo-benchmark-") as folder:
        database = open_database(
            f"sqlite:///{Path(folder) / 'todo.db'}", pool_size=1, pool_timeout=1
        )
        metadata.create_all(database.engine)
        user = {"name": "Ada", "version": 1, "created_at": NOW, "updated_at": NOW}
        for user_id in (OWNER, WRITER):
            database.write(USERS.insert(), {"id": user_id} | user)
        database.write_many(ADD, [task(number + 1, OWNER) for number in range(TASKS_OF_THE_OWNER)])
        yield database
        database.close()


def measure(execute: Callable[[Parameters], object], parameters: Iterator[Parameters]) -> float:
    """Return the processor time per call, in microseconds."""
    execute(next(parameters))
    calls = [next(parameters) for _ in range(CALLS)]
    began = time.process_time()
    for each in calls:
        execute(each)
    return (time.process_time() - began) / CALLS * 1e6


def main() -> None:
    ids = count(TASKS_OF_THE_OWNER + 1)
    cases: dict[str, tuple[Statement, Callable[[], Parameters]]] = {
        "read a task": (GET, lambda: {"owner": OWNER, "task_id": 7}),
        "list twenty": (TASKS_OF_OWNER, lambda: {"owner": OWNER}),
        "insert a task": (ADD, lambda: task(next(ids), WRITER)),
    }
    with filled_database() as database:
        for case, (statement, parameters) in cases.items():
            measured: dict[str, list[float]] = {name: [] for name in CONTENDERS}
            for _ in range(ROUNDS):
                for name, results in measured.items():
                    execute = partial(CONTENDERS[name], database, statement)
                    results.append(measure(execute, iter(parameters, None)))
            for name, results in measured.items():
                sys.stdout.write(f"{case:14} {name:16} {median(results):6.1f} µs of CPU\n")


if __name__ == "__main__":
    main()
