"""What lists cost in a database of a million tasks, relative to one of ten thousand.

The proportions of both are the same: one owner has a fifth of the tasks, and each of many others
has sixteen. The requests are those of the large owner, one after the other. The two services are
measured in alternation.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep
from urllib.parse import quote
from uuid import UUID

import httpx
import psycopg

from tests.benchmarks.load import Endpoint, Measurement, Request, measure, repeat
from tests.benchmarks.processes import ProcessTree, Server
from tests.benchmarks.results import Ratio
from tests.benchmarks.service import Data, User, create_data, running_service
from tests.benchmarks.setup import Setup
from tests.docs.optional_indexes import optional_index
from tests.support.many_tasks import fill, half_of

type OpenSetup = Callable[[], AbstractContextManager[Setup]]

PAGE = 500
LISTS = 1.3
SEARCHES = 3.0
_EXPORTS_AT_ONCE = 3
_MEMORY_POLL_SECONDS = 0.02
_SLOW_CLIENT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class Size:
    """How many tasks a database has."""

    large_owner: int
    others: int
    tasks_of_others: int = 16

    def __str__(self) -> str:
        total = self.large_owner + self.others * self.tasks_of_others
        return f"{total:,} tasks of {self.others + 1:,} owners"


LARGE = Size(200_000, 50_000 - 1)
SMALL = Size(2_000, 500)


@dataclass(frozen=True, slots=True)
class _Database:
    """A running service on a filled database, and the owner of very many of its tasks."""

    setup: Setup
    server: Server
    data: Data
    owner: User
    size: Size

    @property
    def half(self) -> str:
        """A time as a query parameter, before and after which the owner created half."""
        return quote(half_of(self.size.large_owner).isoformat())

    def list(self, query: str = "") -> str:
        """Return the path of a list of the owner."""
        return f"{self.owner.path()}{query}"

    def middle(self) -> str:
        """Return the path of the page in the middle, which a cursor continues."""
        path = self.list()
        bearer = {"Authorization": f"Bearer {self.owner.token}"}
        for _ in range(self.size.large_owner // PAGE // 2):
            answer = self.server.client.get(path, headers=bearer).raise_for_status()
            path = answer.links["next"]["url"]
        return path

    def later_changes(self) -> str:
        """Return the path of the changes that follow the first half of them."""
        path = first = self.owner.path("/changes")
        bearer = {"Authorization": f"Bearer {self.owner.token}"}
        for _ in range(self.size.large_owner // PAGE // 2):
            answer = self.server.client.get(path, headers=bearer).raise_for_status()
            path = f"{first}&since={answer.json()['next']}"
        return path


@dataclass(frozen=True, slots=True)
class _Row:
    """A request that is measured, and the most that its ratio may be, if there is a maximum.

    A list has `tasks` tasks. The documented `index` is created before.
    """

    path: Callable[[_Database], str]
    maximum: float | None = LISTS
    tasks: int = PAGE
    index: str | None = None


def _list(query: str) -> Callable[[_Database], str]:
    return lambda database: database.list(query)


ROWS: Mapping[str, _Row] = {
    "first page": _Row(_Database.list),
    "middle page": _Row(_Database.middle),
    "completed": _Row(_list("&status=completed")),
    "pending": _Row(_list("&status=pending")),
    "created before": _Row(lambda database: database.list(f"&created_before={database.half}")),
    "updated after": _Row(lambda database: database.list(f"&updated_after={database.half}")),
    "oldest first": _Row(_list("&sort=created_at&order=asc")),
    "last updated first": _Row(_list("&sort=updated_at&order=desc")),
    "first updated first": _Row(_list("&sort=updated_at&order=asc")),
    "with the total": _Row(_list("&count=true")),
    "total of completed": _Row(_list("&status=completed&count=true")),
    "by title": _Row(_list("&sort=title&order=asc")),
    "search, common word": _Row(_list("&search=many"), SEARCHES),
    "search, rare word": _Row(_list("&search=Task+77+of"), SEARCHES, tasks=1),
    "all changes": _Row(lambda database: database.owner.path("/changes")),
    "later changes": _Row(_Database.later_changes),
    "statistics": _Row(lambda database: database.owner.path("/stats")),
    # Whatever a time chooses has to be counted.
    "total of a time": _Row(
        lambda database: database.list(f"&created_before={database.half}&count=true"), None
    ),
    "by title, with its index": _Row(_list("&sort=title&order=asc"), index="tasks_by_title"),
    "rare word, with its index": _Row(
        _list("&search=Task+77+of"), SEARCHES, tasks=1, index="tasks_search"
    ),
}
"""The requests, by name. To measure another one, add it here."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """The measurements of a request in the large database and in the small one, by round."""

    large: Sequence[Measurement]
    small: Sequence[Measurement]

    @property
    def ratio(self) -> Ratio:
        """How many times as much processor time it takes in the large one.

        Unlike the time that passes, this does not depend on what else the machine does.
        """
        return Ratio.of(
            _processor_time(large) / _processor_time(small)
            for large, small in zip(self.large, self.small, strict=True)
        )

    @property
    def milliseconds(self) -> tuple[float, float]:
        """The medians of the time that a request takes in the large one and in the small one."""
        large, small = (
            1000 / Measurement.median_of(rounds).requests_per_second
            for rounds in (self.large, self.small)
        )
        return large, small


def _processor_time(measured: Measurement) -> float:
    return measured.cpu_microseconds + measured.database_cpu_microseconds


@dataclass(frozen=True, slots=True)
class Scale:
    """The requests by name, and the memory of the service with the large database.

    `idle_megabytes` is its resident memory after other users' load, and the others are the most
    that it had while the large owner made these requests.
    """

    rounds: Mapping[str, Rounds]
    idle_megabytes: float
    megabytes: Mapping[str, float]


def measure_scale(open_setup: OpenSetup, *, seconds: int, rounds: int) -> Scale:
    """Fill two databases, and measure all requests in both."""
    with ExitStack() as stack:
        large, small = (
            stack.enter_context(_filled(stack.enter_context(open_setup()), size))
            for size in (LARGE, SMALL)
        )
        idle, megabytes = _memory(large, seconds)
        measured: dict[str, Rounds] = {}
        for name, row in ROWS.items():
            if row.index is not None:
                created = [_create_index(each.setup, row.index) for each in (large, small)]
                if not all(created):
                    continue
            endpoints = [(each, _endpoint(each, row)) for each in (large, small)]
            in_large: list[Measurement] = []
            in_small: list[Measurement] = []
            for _ in range(rounds):
                for (database, endpoint), found in zip(
                    endpoints, (in_large, in_small), strict=True
                ):
                    found.append(
                        measure(endpoint, database.server, database.setup, seconds=seconds)
                    )
            measured[name] = Rounds(in_large, in_small)
        return Scale(measured, idle, megabytes)


@contextmanager
def _filled(setup: Setup, size: Size) -> Iterator[_Database]:
    data = create_data(setup)
    owner = data.visitor
    fill(
        _database_of(setup),
        large=UUID(owner.id),
        tasks=size.large_owner,
        others=size.others,
        tasks_of_others=size.tasks_of_others,
    )
    with running_service(setup) as server:
        yield _Database(setup, server, data, owner, size)


def _database_of(setup: Setup) -> str | Path:
    """Return the URL of PostgreSQL, or the file of SQLite."""
    return setup.settings.get("DATABASE_URL") or Path(setup.settings["TODO_DATA_DIR"]) / "todo.db"


def _create_index(setup: Setup, name: str) -> bool:
    """Create an index as the documentation says, if it has one for this database."""
    database = _database_of(setup)
    kind = "sqlite" if isinstance(database, Path) else "postgresql"
    documented = optional_index(name, kind)
    if documented is None:
        return False
    opened: AbstractContextManager[sqlite3.Connection | psycopg.Connection] = (
        closing(sqlite3.connect(database))
        if isinstance(database, Path)
        else psycopg.connect(database, autocommit=True)
    )
    with opened as connection:
        for statement in documented:
            connection.execute(statement)
    return True


def _endpoint(database: _Database, row: _Row) -> Endpoint:
    path = row.path(database)
    url = httpx.URL(database.server.url).join(path)
    request = Request(str(url), token=database.owner.token)
    right = repeat(request, lambda answer: isinstance(answer, dict) or len(answer) == row.tasks)
    return replace(right, connections=1)


def _memory(database: _Database, seconds: int) -> tuple[float, Mapping[str, float]]:
    """Return the memory when idle, and the most while the large owner lists and exports."""
    url, owner = database.server.url, database.owner
    bearer = {"Authorization": f"Bearer {owner.token}"}

    def put_under_load(path: str, token: str) -> None:
        load = repeat(Request(f"{url}{path}", token=token), lambda answer: len(answer) > 0)
        measure(load, database.server, database.setup, seconds=seconds)

    def export(pause: float) -> None:
        with httpx.stream("GET", f"{url}/api/auth/me/export", headers=bearer, timeout=60) as answer:
            answer.raise_for_status()
            for _ in answer.iter_raw(64 * 1024):
                sleep(pause)

    def export_several(pause: float) -> None:
        with ThreadPoolExecutor(_EXPORTS_AT_ONCE) as pool:
            for each in [pool.submit(export, pause) for _ in range(_EXPORTS_AT_ONCE)]:
                each.result()

    put_under_load(database.data.reader.path(), database.data.reader.token)
    processes = database.server.processes
    idle = processes.resident_megabytes()
    return idle, {
        "lists": _largest(processes, lambda: put_under_load(database.list(), owner.token)),
        "one export": _largest(processes, lambda: export(0)),
        f"{_EXPORTS_AT_ONCE} exports": _largest(processes, lambda: export_several(0)),
        f"{_EXPORTS_AT_ONCE} exports read slowly": _largest(
            processes, lambda: export_several(_SLOW_CLIENT_SECONDS)
        ),
    }


def _largest(processes: ProcessTree, act: Callable[[], None]) -> float:
    """Return the most resident memory of the processes while this runs."""
    largest = processes.resident_megabytes()
    with ThreadPoolExecutor(1) as pool:
        acting = pool.submit(act)
        while not acting.done():
            sleep(_MEMORY_POLL_SECONDS)
            largest = max(largest, processes.resident_megabytes())
        acting.result()
    return largest
