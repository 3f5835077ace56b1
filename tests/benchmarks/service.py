"""The service, and other applications on the same framework to compare it with.

The latter run under the same server program with the same options.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from tests.benchmarks.contenders import (
    BASIC_OPERATIONS,
    CHANGED_TASKS,
    NEW_TASK,
    PASSWORD,
    STATES,
    TASKS,
    TITLES,
    WORKERS,
    Contender,
    Name,
    Operation,
    log_in,
    only,
)
from tests.benchmarks.load import Endpoint, Request, contains, create_and_delete, repeat, rotate
from tests.benchmarks.processes import (
    BenchmarkFailed,
    Command,
    Server,
    clean_environment,
    running,
)
from tests.benchmarks.setup import TODO, Setup
from tests.support.processes import free_port

_REPOSITORY = Path(__file__).parents[2]
_APPLICATIONS = f"{__package__}.applications"
_HAND_WRITTEN = {
    Name.HAND_WRITTEN: "hand_written_fastapi",
    Name.STARLETTE: "hand_written_starlette",
}
_UNREACHED_LIMITS = {"TODO_RATE_LIMIT_ENABLED": "true", "TODO_LIMIT_TASKS": "100000000/minute"}


@dataclass(frozen=True, slots=True)
class User:
    """A user of the service."""

    id: str
    email: str
    token: str

    def path(self, task: str = "") -> str:
        """Return the path of this user's tasks, or of what follows it."""
        return f"/api/{self.id}/tasks{task}?url_user_id={self.id}"


@dataclass(frozen=True, slots=True)
class Data:
    """The users of the service, and the ids of the tasks that are read and changed."""

    reader: User
    creator: User
    changer: User
    visitor: User
    read_task: int
    changed_tasks: list[int]

    @classmethod
    def create(cls, client: httpx.Client) -> "Data":
        """Register the users, and create their tasks."""
        names = ("reader", "creator", "changer", "visitor")
        reader, creator, changer, visitor = (_register(client, name) for name in names)
        read_task = [_create_task(client, reader) for _ in range(TASKS)][-1]
        changed_tasks = [_create_task(client, changer) for _ in range(CHANGED_TASKS)]
        return cls(reader, creator, changer, visitor, read_task, changed_tasks)

    def endpoints(self, url: str) -> dict[Operation, Endpoint]:
        """Return the endpoints of a server with this URL."""
        reader, creator, changer = self.reader, self.creator, self.changer
        create = Request(f"{url}{creator.path()}", "POST", creator.token, NEW_TASK)
        complete, rename = (
            [f"{url}{changer.path(f'/{task}{suffix}')}" for task in self.changed_tasks]
            for suffix in ("/complete", "")
        )
        login = {"email": self.visitor.email, "password": PASSWORD}
        return {
            Operation.LIST: repeat(
                Request(f"{url}{reader.path()}", token=reader.token),
                lambda answer: len(answer) == TASKS,
            ),
            Operation.READ: repeat(
                Request(f"{url}{reader.path(f'/{self.read_task}')}", token=reader.token),
                lambda answer: bool(answer["id"] == self.read_task),
            ),
            Operation.CREATE: repeat(create, contains(NEW_TASK), status=201),
            Operation.COMPLETE: rotate(complete, STATES, token=changer.token),
            Operation.RENAME: rotate(rename, TITLES, token=changer.token),
            Operation.CREATE_AND_DELETE: create_and_delete(
                create,
                lambda task: f"{url}{creator.path(f'/{task}')}",
                contains(NEW_TASK),
                status=201,
            ),
            Operation.LOGIN: log_in(
                Request(f"{url}/api/auth/login", "POST", body=login), "access_token"
            ),
        }


def _register(client: httpx.Client, name: str) -> User:
    """Register a user, and log them in."""
    email = f"{name}@example.com"
    credentials = {"email": email, "password": PASSWORD}
    client.post("/api/auth/register", json={"name": name, **credentials}).raise_for_status()
    login = client.post("/api/auth/login", json=credentials).raise_for_status().json()
    return User(login["user"]["id"], email, login["access_token"])


def _create_task(client: httpx.Client, owner: User) -> int:
    answer = client.post(
        owner.path(), headers={"Authorization": f"Bearer {owner.token}"}, json=NEW_TASK
    ).raise_for_status()
    task_id: int = answer.json()["id"]
    return task_id


def create_data(setup: Setup) -> Data:
    """Run the service once to create the data in its database, which must be empty."""
    with _running(service_command(setup), setup) as server:
        return Data.create(server.client)


def service_command(
    setup: Setup, *, workers: int = 1, settings: Mapping[str, str] = MappingProxyType({})
) -> Command:
    """Return the command of the service, by default with rate limits off and all else default."""
    port = free_port()
    return Command(
        arguments=[TODO, "serve", "--port", str(port), "--workers", str(workers)],
        port=port,
        ready_path="/healthz",
        environment=clean_environment({**setup.settings, **settings}),
    )


def running_service(setup: Setup) -> AbstractContextManager[Server]:
    """Run the service in one process, whatever its database contains."""
    return _running(service_command(setup), setup)


@contextmanager
def service(setup: Setup, data: Data) -> Iterator[Contender]:
    """Run the service in one process."""
    with _running(service_command(setup), setup) as server:
        yield Contender(Name.SERVICE, server, data.endpoints(server.url))


@contextmanager
def service_with_workers(setup: Setup, data: Data, workers: int = WORKERS) -> Iterator[Contender]:
    """Run the service in several processes."""
    with _running(service_command(setup, workers=workers), setup) as server:
        yield Contender(Name.WORKERS, server, data.endpoints(server.url))


@contextmanager
def service_with_limits(setup: Setup, data: Data) -> Iterator[Contender]:
    """Run the service with limits for tasks that are never reached."""
    with _running(service_command(setup, settings=_UNREACHED_LIMITS), setup) as server:
        endpoints = data.endpoints(server.url)
        yield Contender(Name.LIMITED, server, only(BASIC_OPERATIONS, endpoints))


@contextmanager
def hand_written(setup: Setup, data: Data, original: Contender) -> Iterator[Sequence[Contender]]:
    """Run the hand-written endpoints on both frameworks.

    Raises:
        BenchmarkFailed: if a response differs from that of the service in a single byte.
    """
    with ExitStack() as stack:
        contenders = []
        for name, module in _HAND_WRITTEN.items():
            command = _uvicorn_command(module, "/ready", setup.settings)
            server = stack.enter_context(_running(command, setup))
            endpoints = only(BASIC_OPERATIONS, data.endpoints(server.url))
            for operation in (Operation.LIST, Operation.READ):
                _require_same_content(original.endpoints[operation], endpoints[operation])
            contenders.append(Contender(name, server, endpoints))
        yield contenders


def _require_same_content(one: Endpoint, other: Endpoint) -> None:
    if (wanted := one.answer().content) != (given := other.answer().content):
        raise BenchmarkFailed(f"The answers should be the same:\n{wanted!r}\n{given!r}")


@contextmanager
def bare_endpoint(setup: Setup) -> Iterator[Contender]:
    """Run an endpoint that does nothing, for every operation."""
    with _running(_uvicorn_command("bare", "/", {}), setup) as server:
        endpoint = repeat(Request(f"{server.url}/"), lambda answer: bool(answer == {"ok": True}))
        yield Contender(Name.BARE, server, dict.fromkeys(BASIC_OPERATIONS, endpoint))


def _running(command: Command, setup: Setup) -> AbstractContextManager[Server]:
    return running(command, core=setup.layout.server_core, folder=setup.folder)


def _uvicorn_command(module: str, ready_path: str, settings: Mapping[str, str]) -> Command:
    """Return the command for an application of this package, with the options of `todo serve`."""
    port = free_port()
    return Command(
        arguments=[
            *(sys.executable, "-m", "uvicorn", f"{_APPLICATIONS}.{module}:app"),
            *("--app-dir", _REPOSITORY, "--port", str(port)),
            *("--no-access-log", "--no-server-header", "--no-proxy-headers"),
        ],
        port=port,
        ready_path=ready_path,
        environment=clean_environment(settings),
    )
