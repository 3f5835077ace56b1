"""The service, and two applications on the same framework to compare it with.

They run under the same server program with the same options.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from tests.benchmarks.contenders import (
    NEW_TASK,
    PASSWORD,
    POSTGRESQL,
    SQLITE,
    TASKS,
    Contender,
    Name,
    Operation,
)
from tests.benchmarks.load import Endpoint
from tests.benchmarks.processes import BenchmarkFailed, Command, clean_environment, running
from tests.support.processes import free_port

_PROGRAM = Path(sys.executable).with_name("todo")
_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Storage:
    """A database, as the settings of the service that select it."""

    name: str
    settings: Mapping[str, str]

    @classmethod
    def sqlite(cls, folder: Path) -> "Storage":
        """Return the embedded database in this folder, which need not exist."""
        return cls(SQLITE, _settings_in(folder))

    @classmethod
    def postgresql(cls, folder: Path, url: str) -> "Storage":
        """Migrate an empty database on a server, and return it."""
        settings = _settings_in(folder) | {
            "DATABASE_URL": url,
            "TODO_JWT_SECRET": secrets.token_urlsafe(32),
        }
        subprocess.run(
            [_PROGRAM, "migrate"],
            check=True,
            capture_output=True,
            cwd=folder,
            env=clean_environment(settings),
        )
        return cls(POSTGRESQL, settings)

    def limited(self) -> "Storage":
        """The same database for a service with limits that are never reached."""
        return replace(
            self,
            settings={
                **self.settings,
                "TODO_RATE_LIMIT_ENABLED": "true",
                "TODO_LIMIT_TASKS": "100000000/minute",
            },
        )


def _settings_in(folder: Path) -> dict[str, str]:
    return {"TODO_DATA_DIR": str(folder / "todo-data"), "TODO_RATE_LIMIT_ENABLED": "false"}


def service_command(storage: Storage) -> Command:
    """Return the command of the service with default settings, except storage and rate limits."""
    port = free_port()
    return Command(
        arguments=[_PROGRAM, "serve", "--port", str(port)],
        port=port,
        ready_path="/healthz",
        environment=clean_environment(storage.settings),
    )


@contextmanager
def service(storage: Storage, *, core: int, folder: Path) -> Iterator[Contender]:
    """Run the service by its own command."""
    with running(service_command(storage), core=core, folder=folder) as server:
        reader, writer = (_register(server.client, name) for name in ("ada", "grace"))
        task = [_create_task(server.client, reader) for _ in range(TASKS)][-1]
        yield Contender(
            Name.SERVICE,
            server,
            {
                Operation.LIST: Endpoint(
                    f"{server.url}{reader.path()}",
                    lambda answer: len(answer) == TASKS,
                    token=reader.token,
                ),
                Operation.READ: Endpoint(
                    f"{server.url}{reader.path(f'/{task}')}",
                    lambda answer: bool(answer["id"] == task),
                    token=reader.token,
                ),
                Operation.CREATE: Endpoint(
                    f"{server.url}{writer.path()}",
                    lambda answer: NEW_TASK.items() <= answer.items(),
                    method="POST",
                    status=201,
                    token=writer.token,
                    body=json.dumps(NEW_TASK),
                ),
            },
        )


@dataclass(frozen=True, slots=True)
class _User:
    id: str
    token: str

    def path(self, task: str = "") -> str:
        """Return the path of this user's tasks, or of one of them."""
        return f"/api/{self.id}/tasks{task}?url_user_id={self.id}"


def _register(client: httpx.Client, name: str) -> _User:
    """Register a user, and log them in."""
    credentials = {"email": f"{name}@example.com", "password": PASSWORD}
    client.post("/api/auth/register", json={"name": name, **credentials}).raise_for_status()
    login = client.post("/api/auth/login", json=credentials).raise_for_status().json()
    return _User(login["user"]["id"], login["access_token"])


def _create_task(client: httpx.Client, owner: _User) -> int:
    answer = client.post(
        owner.path(), headers={"Authorization": f"Bearer {owner.token}"}, json=NEW_TASK
    ).raise_for_status()
    task_id: int = answer.json()["id"]
    return task_id


def limited(
    storage: Storage, original: Contender, *, core: int, folder: Path
) -> AbstractContextManager[Contender]:
    """Run the service again on its own database, with rate limits."""
    command = service_command(storage.limited())
    return _comparable_server(Name.LIMITED, command, original, core=core, folder=folder)


def hand_written(
    storage: Storage, original: Contender, *, core: int, folder: Path
) -> AbstractContextManager[Contender]:
    """Run the hand-written endpoints on the database of the service and with its tokens."""
    command = _uvicorn_command("hand_written", "/openapi.json", storage.settings)
    return _comparable_server(Name.HAND_WRITTEN, command, original, core=core, folder=folder)


@contextmanager
def _comparable_server(
    name: Name, command: Command, original: Contender, *, core: int, folder: Path
) -> Iterator[Contender]:
    """Run another server with the same responses.

    Raises:
        BenchmarkFailed: if a response differs from that of the service in a single byte.
    """
    with running(command, core=core, folder=folder) as server:
        endpoints = {
            operation: replace(
                endpoint, url=endpoint.url.replace(original.server.url, server.url, 1)
            )
            for operation, endpoint in original.endpoints.items()
        }
        for operation in (Operation.LIST, Operation.READ):
            _require_same_content(original.endpoints[operation], endpoints[operation])
        yield Contender(name, server, endpoints)


def _require_same_content(one: Endpoint, other: Endpoint) -> None:
    if (wanted := one.answer().content) != (given := other.answer().content):
        raise BenchmarkFailed(f"The answers should be the same:\n{wanted!r}\n{given!r}")


@contextmanager
def bare_endpoint(*, core: int, folder: Path) -> Iterator[Contender]:
    """Run an endpoint that does nothing, for every operation."""
    with running(_uvicorn_command("bare", "/", {}), core=core, folder=folder) as server:
        endpoint = Endpoint(f"{server.url}/", lambda answer: bool(answer == {"ok": True}))
        yield Contender(Name.BARE, server, dict.fromkeys(Operation, endpoint))


def _uvicorn_command(module: str, ready_path: str, settings: Mapping[str, str]) -> Command:
    """Return the command for an application of this package, with the options of `todo serve`."""
    port = free_port()
    return Command(
        arguments=[
            *(sys.executable, "-m", "uvicorn", f"{__package__}.{module}:app"),
            *("--app-dir", _REPOSITORY, "--port", str(port)),
            *("--no-access-log", "--no-server-header", "--no-proxy-headers"),
        ],
        port=port,
        ready_path=ready_path,
        environment=clean_environment(settings),
    )
