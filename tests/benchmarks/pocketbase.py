"""PocketBase with the same data and the same rules, as an alternative to the service.

It is a single binary that includes SQLite. It runs with default settings: with its request log,
like the service, and without rate limits, which are off by default.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.benchmarks.contenders import (
    CHANGED_TASKS,
    NEW_TASK,
    PASSWORD,
    STATES,
    TASKS,
    TITLES,
    Contender,
    Name,
    Operation,
    log_in,
)
from tests.benchmarks.load import Endpoint, Request, contains, create_and_delete, repeat, rotate
from tests.benchmarks.processes import Command, Server, clean_environment, running
from tests.benchmarks.setup import Setup
from tests.support.processes import free_port

BCRYPT_COST = 10
"""The cost of its hashes of passwords (the default of its password fields)."""

_PROGRAM = Path(sys.executable).with_name("pocketbase")
_ADMIN_EMAIL = "admin@example.com"
_RECORDS = "/api/collections/tasks/records"
_OWNERS_ONLY = "owner = @request.auth.id"
_TASKS_COLLECTION = {
    "name": "tasks",
    "type": "base",
    "fields": [
        {
            "name": "owner",
            "type": "relation",
            "collectionId": "_pb_users_auth_",
            "cascadeDelete": True,
            "required": True,
            "maxSelect": 1,
        },
        {"name": "title", "type": "text", "required": True, "max": 200},
        {"name": "description", "type": "text", "max": 1000},
        {"name": "completed", "type": "bool"},
        {"name": "created", "type": "autodate", "onCreate": True},
        {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
    ],
    "indexes": ["CREATE INDEX idx_tasks_owner_created ON tasks (owner, created)"],
    "listRule": _OWNERS_ONLY,
    "viewRule": _OWNERS_ONLY,
    "updateRule": _OWNERS_ONLY,
    "deleteRule": _OWNERS_ONLY,
    "createRule": f'@request.auth.id != "" && {_OWNERS_ONLY}',
}


@contextmanager
def pocketbase(setup: Setup) -> Iterator[Contender]:
    """Run PocketBase. Its list does not count all records (skipTotal)."""
    core = setup.layout.server_core
    with running(_command(setup.folder), core=core, folder=setup.folder) as server:
        yield Contender(Name.POCKETBASE, server, _endpoints(server))


def _endpoints(server: Server) -> dict[Operation, Endpoint]:
    """Create the data, and return the endpoint for each operation."""
    client = server.client
    _create_collection(client)
    names = ("reader", "creator", "changer", "visitor")
    reader, creator, changer, visitor = (_register(client, name) for name in names)
    task = [_create_task(client, reader) for _ in range(TASKS)][-1]
    changed_tasks = [_create_task(client, changer) for _ in range(CHANGED_TASKS)]
    records = f"{server.url}{_RECORDS}"
    changed_records = [f"{records}/{changed}" for changed in changed_tasks]
    create = Request(records, "POST", creator.token, {"owner": creator.id, **NEW_TASK})
    login = {"identity": visitor.email, "password": PASSWORD}
    return {
        Operation.LIST: repeat(
            Request(f"{records}?perPage={TASKS}&sort=-created&skipTotal=1", token=reader.token),
            lambda answer: len(answer["items"]) == TASKS,
        ),
        Operation.READ: repeat(
            Request(f"{records}/{task}", token=reader.token),
            lambda answer: bool(answer["id"] == task),
        ),
        Operation.CREATE: repeat(create, contains(NEW_TASK)),
        Operation.COMPLETE: rotate(changed_records, STATES, token=changer.token),
        Operation.RENAME: rotate(changed_records, TITLES, token=changer.token),
        Operation.CREATE_AND_DELETE: create_and_delete(
            create, lambda record: f"{records}/{record}", contains(NEW_TASK), status=200
        ),
        Operation.LOGIN: log_in(
            Request(f"{server.url}{_login_path('users')}", "POST", body=login), "token"
        ),
    }


@dataclass(frozen=True, slots=True)
class _User:
    id: str
    email: str
    token: str


def _command(folder: Path) -> Command:
    """Return its command for a new database with an administrator in this folder."""
    data = folder / "pb_data"
    subprocess.run(
        [_PROGRAM, "superuser", "upsert", _ADMIN_EMAIL, PASSWORD, "--dir", data],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    port = free_port()
    return Command(
        arguments=[_PROGRAM, "serve", "--http", f"127.0.0.1:{port}", "--dir", data],
        port=port,
        ready_path="/api/health",
        environment=clean_environment({}),
    )


def _create_collection(client: httpx.Client) -> None:
    """Create a collection of tasks that only their owner can access, with an index for the list."""
    administrator = _log_in(client, "_superusers", _ADMIN_EMAIL)
    client.post(
        "/api/collections",
        headers={"Authorization": f"Bearer {administrator.token}"},
        json=_TASKS_COLLECTION,
    ).raise_for_status()


def _register(client: httpx.Client, name: str) -> _User:
    """Register a user, and log them in."""
    email = f"{name}@example.com"
    client.post(
        "/api/collections/users/records",
        json={"email": email, "password": PASSWORD, "passwordConfirm": PASSWORD},
    ).raise_for_status()
    return _log_in(client, "users", email)


def _log_in(client: httpx.Client, collection: str, email: str) -> _User:
    login = client.post(
        _login_path(collection), json={"identity": email, "password": PASSWORD}
    ).raise_for_status()
    return _User(login.json()["record"]["id"], email, login.json()["token"])


def _login_path(collection: str) -> str:
    return f"/api/collections/{collection}/auth-with-password"


def _create_task(client: httpx.Client, owner: _User) -> str:
    answer = client.post(
        _RECORDS,
        headers={"Authorization": f"Bearer {owner.token}"},
        json={"owner": owner.id, **NEW_TASK},
    ).raise_for_status()
    task_id: str = answer.json()["id"]
    return task_id
