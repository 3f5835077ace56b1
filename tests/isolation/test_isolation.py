"""Users cannot read, change, or learn the existence of data of other users."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import replace
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.event_streams import open_stream, refused_stream, ticket_of, watching
from tests.support.issuers import Key, claims, jwks
from tests.support.jwks_server import running_jwks_server
from tests.support.long_polls import long_poll, watchers_of
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_postgresql, on_sqlite
from tests.support.tasks import all_tasks
from tests.support.users import PASSWORD, ApiUser
from tests.support.world import World
from todo_adapters.in_memory.unit_of_work import BeginInMemoryUnitOfWork
from todo_api.container import Container
from todo_api.settings import ExternalIssuer
from todo_core.entities.due_date import DueDate
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest, KeptResponse
from todo_core.entities.rank import Rank
from todo_core.entities.tags import TagCount
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_operation import Completion, Deletion, Edit, TaskOperation
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import (
    InvalidCursor,
    QuotaExceeded,
    StaleVersion,
    TaskNotFound,
    TooManyKeptResponses,
)
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork

LATER = datetime(2099, 1, 1, tzinfo=UTC)
ISSUER, AUDIENCE = "https://a.example.com", "https://todo.example.com"


@dataclass(frozen=True)
class TrustingServer:
    """A server, and the key of an external issuer that it trusts."""

    server: RunningServer
    key: Key

    def client(self, subject: str) -> httpx.Client:
        """Return a client of the user with this subject."""
        token = self.key.sign(claims(ISSUER, AUDIENCE, sub=subject))
        return self.server.client(Authorization=f"Bearer {token}")


OPERATIONS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("GET", "", None),
    ("POST", "", {"title": "Mine now"}),
    ("GET", "?sort=due_date&due_after=2026-01-01&priority=high&tags=home&tags_any=a,b", None),
    ("GET", "?sort=-priority&has_due=false&overdue=false&count=true", None),
    ("GET", "/stats", None),
    ("GET", "/tags", None),
    ("POST", "", {"title": "Mine now", "due_date": "2026-01-01", "tags": ["mine"]}),
    ("GET", "/{task_id}", None),
    ("PUT", "/{task_id}", {"title": "Mine now"}),
    (
        "PATCH",
        "/{task_id}",
        {"due_date": "2026-01-01T12:00", "priority": "high", "tags": ["mine"], "status": "active"},
    ),
    ("PATCH", "/{task_id}", {"title": "Mine now"}),
    ("PATCH", "/{task_id}/complete", {"completed": True}),
    ("PATCH", "/{task_id}/complete", None),
    ("POST", "/{task_id}/move", {"before": "{task_id}"}),
    ("POST", "/{task_id}/move", {"after": "{task_id}"}),
    ("PATCH", "/reorder", {"task_ids": ["{task_id}"]}),
    ("POST", "", {"title": "Mine now", "parent_id": "{task_id}"}),
    ("POST", "/{task_id}/move", {"parent_id": None}),
    ("PATCH", "/{task_id}", {"parent_id": None}),
    ("GET", "?parent_id={task_id}&count=true", None),
    ("GET", "?parent_id=none&completed=false", None),
    ("POST", "/complete?parent_id={task_id}", None),
    ("DELETE", "?parent_id={task_id}", None),
    ("GET", "?sort=-position", None),
    ("DELETE", "/{task_id}", None),
    ("POST", "/bulk", {"operations": [{"create": {"title": "Mine now"}}]}),
    ("POST", "/complete?completed=false", None),
    ("DELETE", "?completed=false", None),
    ("POST", "/events/ticket", None),
    ("GET", "/changes", None),
    ("GET", "/changes?wait=30", None),
    ("DELETE", "/{task_id}?permanent=true", None),
]
ON_ONE_TASK = [
    *(operation for operation in OPERATIONS if operation[1].startswith("/{task_id}")),
    ("POST", "/{task_id}/restore", None),
]
WITHOUT_KEYS = {
    *("/complete?completed=false", "?completed=false"),
    *("/complete?parent_id={task_id}", "?parent_id={task_id}"),
    "/events/ticket",
}
WRITES = [
    operation
    for operation in OPERATIONS
    if operation[0] != "GET" and operation[1] not in WITHOUT_KEYS
]


def filled(body: dict[str, Any] | None, task_id: int) -> Any:
    """Return the body of an operation with the id of a task."""
    return json.loads(json.dumps(body).replace('"{task_id}"', str(task_id)))


def comparable_response(
    user: ApiUser, method: str, url: httpx.URL, body: dict[str, Any] | None
) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Send a request, and return all of its response that a client could compare."""
    answer = user.http.request(method, url, json=body, headers={"X-Request-ID": "same"})
    return comparable(answer)


def comparable(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """Return all of a response that a client could compare."""
    headers = [(name, value) for name, value in answer.headers.multi_items() if name != "date"]
    return answer.status_code, answer.content, headers


@pytest.mark.parametrize(("method", "path", "body"), ON_ONE_TASK)
def test_another_users_task_has_the_same_response_as_a_missing_one(
    ada: ApiUser, bob: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    missing = bob.create()
    bob.http.delete(bob.tasks(f"/{missing['id']}", permanent="true")).raise_for_status()

    def answers(owner: str, task_id: int, **query: str) -> object:
        url = bob.tasks_of(owner, path.format(task_id=task_id), **query)
        return comparable_response(bob, method, url, filled(body, task_id))

    nobody = str(uuid4())
    expected = answers(bob.id, missing["id"])
    assert expected[0] == 404  # type: ignore[index]  # index 0 is the status
    assert answers(bob.id, task["id"]) == expected
    assert answers(ada.id, task["id"]) == expected
    assert answers(ada.id, missing["id"]) == expected
    assert answers(nobody, task["id"]) == expected
    assert answers(ada.id, task["id"], url_user_id=ada.id) == expected
    assert answers(bob.id, task["id"], url_user_id=ada.id) == expected
    assert answers(bob.id, task["id"], url_user_id=nobody) == expected
    assert answers(bob.id, 0) == expected
    assert answers(bob.id, 10**30) == expected
    assert ada.list() == [task]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_every_operation_succeeds_for_the_owner_of_a_task(
    ada: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    url = ada.tasks(path.format(task_id=task["id"]))
    assert ada.http.request(method, url, json=filled(body, task["id"])).is_success


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_the_idempotency_key_of_another_user_is_another_key(
    ada: ApiUser, bob: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    headers = {"Idempotency-Key": "a-key"}
    tasks = {user.id: user.create() for user in (ada, bob)}

    def send(user: ApiUser) -> httpx.Response:
        task_id = tasks[user.id]["id"]
        url = user.tasks(path.format(task_id=task_id))
        return user.http.request(method, url, json=filled(body, task_id), headers=headers)

    firsts = {user.id: send(user) for user in (ada, bob)}
    for user in (ada, bob, ada):
        replay = send(user)
        assert replay.content == firsts[user.id].content
        assert replay.is_success
        assert "idempotent-replayed" in replay.headers
        assert "idempotent-replayed" not in firsts[user.id].headers
        assert all(task["user_id"] == user.id for task in user.list())
    thief = bob.http.request(
        method,
        bob.tasks_of(ada.id, path.format(task_id=tasks[ada.id]["id"])),
        json=filled(body, tasks[ada.id]["id"]),
        headers=headers,
    )
    assert thief.status_code == 404


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_the_url_of_another_users_tasks_is_not_found(
    ada: ApiUser, bob: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    own = bob.create()
    for owner, task_id, claimed in (
        (ada.id, task["id"], bob.id),
        (ada.id, task["id"], ada.id),
        (ada.id, own["id"], bob.id),
        (bob.id, own["id"], ada.id),
        ("auth", own["id"], bob.id),
        ("*", own["id"], bob.id),
        (f"{bob.id}%20", own["id"], bob.id),
    ):
        url = bob.tasks_of(owner, path.format(task_id=task_id), url_user_id=claimed)
        answer = bob.http.request(method, url, json=filled(body, task_id))
        assert answer.status_code == 404
        assert problem(answer)["code"] == "task_not_found"
    assert ada.list() == [task]
    assert bob.list() == [own]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_a_task_request_without_url_user_id_is_refused(
    ada: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    url = f"/api/{ada.id}/tasks{path.format(task_id=task['id'])}"
    answer = ada.http.request(method, url, json=filled(body, task["id"]))
    assert answer.status_code == 422
    [error] = problem(answer)["errors"]
    assert (error["pointer"], error["code"]) == ("/url_user_id", "required")
    assert ada.list() == [task]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_a_task_request_without_a_token_is_refused(
    server: RunningServer, ada: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    with server.client() as stranger:
        url = ada.tasks(path.format(task_id=task["id"]))
        answer = stranger.request(method, url, json=filled(body, task["id"]))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert problem(answer)["code"] == "invalid_token"
    assert ada.list() == [task]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_every_operation_on_tasks_succeeds_without_an_owner_in_the_path(
    ada: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    url = f"/api/tasks{path.format(task_id=task['id'])}"
    assert ada.http.request(method, url, json=filled(body, task["id"])).is_success


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_the_alias_never_reaches_the_tasks_of_another_user(
    ada: ApiUser, bob: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    theirs, own = ada.create(), bob.create()

    def answer(query: str, task_id: int) -> httpx.Response:
        url = f"/api/tasks{path.format(task_id=task_id)}"
        url += query.replace("?", "&") if "?" in url else query
        return bob.http.request(method, url, json=filled(body, task_id))

    for task_id in (theirs["id"], own["id"]):
        for query in (f"?url_user_id={ada.id}", "?url_user_id=tasks"):
            denied = answer(query, task_id)
            assert denied.status_code == 404
            assert problem(denied)["code"] == "task_not_found"
        repeated = answer(f"?url_user_id={bob.id}&url_user_id={ada.id}", task_id)
        assert repeated.status_code == 422
    if path.startswith("/{task_id}"):
        for query in ("", f"?user_id={ada.id}", f"?owner_id={ada.id}"):
            assert answer(query, theirs["id"]).status_code == 404
    assert ada.list() == [theirs]
    assert bob.list() == [own]


@pytest.mark.parametrize(("method", "path", "body"), OPERATIONS)
def test_the_alias_requires_a_token(
    server: RunningServer, ada: ApiUser, method: str, path: str, body: dict[str, Any] | None
) -> None:
    task = ada.create()
    with server.client() as stranger:
        url = f"/api/tasks{path.format(task_id=task['id'])}"
        answer = stranger.request(method, url, json=filled(body, task["id"]))
    assert answer.status_code == 401
    assert ada.list() == [task]


SPELLINGS: list[Callable[[str], str]] = [
    str,
    str.upper,
    "urn:uuid:{}".format,
    "{{{}}}".format,
    lambda text: text.replace("-", ""),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def trusting_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrustingServer]:
    """A server that trusts an issuer whose users can choose their subject."""
    key = Key.generate("EdDSA")
    with ExitStack() as stack:
        if request.param == "sqlite":
            database = on_sqlite(tmp_path)
        else:
            names = ("postgres_url", "migrated_template")
            database = on_postgresql(*map(request.getfixturevalue, names))
        settings = stack.enter_context(database)
        keys = stack.enter_context(running_jwks_server(jwks(key)))
        trusted = ExternalIssuer(issuer=ISSUER, jwks_url=keys.url, audience=AUDIENCE)
        trusting = settings.model_copy(update={"external_issuers": (trusted,)})
        yield TrustingServer(stack.enter_context(running_server(trusting)), key)


def test_the_id_of_another_user_is_not_found_for_any_subject(
    trusting_server: TrustingServer,
) -> None:
    ada = trusting_server.server.register("Ada")
    with ada.http:
        task = ada.create()
        for spelling in SPELLINGS:
            subject = spelling(ada.id)
            with trusting_server.client(subject) as http:
                own_id = http.get("/api/auth/me").json()["id"]
                for owner in (subject, ada.id):
                    for method, path, body in OPERATIONS:
                        answer = http.request(
                            method,
                            httpx.URL(
                                f"/api/{owner}/tasks{path.format(task_id=task['id'])}"
                            ).copy_merge_params({"url_user_id": owner}),
                            json=filled(body, task["id"]),
                        )
                        assert answer.status_code == 404
                        assert problem(answer)["code"] == "task_not_found"
                mixed = http.get(f"/api/{own_id}/tasks", params={"url_user_id": subject})
                assert mixed.status_code == 404
                own = http.get(f"/api/{own_id}/tasks", params={"url_user_id": own_id})
                assert own.json() == []
        assert ada.list() == [task]


def test_a_subject_that_is_the_uuid_of_no_user_is_accepted_in_the_path(
    trusting_server: TrustingServer,
) -> None:
    for subject in (str(uuid4()), str(uuid4()).upper(), uuid4().hex):
        with trusting_server.client(subject) as http:
            tasks, query = f"/api/{subject}/tasks", {"url_user_id": subject}
            created = http.post(tasks, params=query, json={"title": "Buy milk"})
            assert created.status_code == 201
            assert http.get(tasks, params=query).json() == [created.json()]


def test_a_user_id_in_the_path_may_be_written_in_upper_case(ada: ApiUser) -> None:
    task = ada.create()
    url = ada.tasks_of(ada.id.upper(), url_user_id=ada.id.upper())
    assert ada.http.get(url).json() == [task]


def test_task_ids_do_not_reveal_how_many_tasks_other_users_have(ada: ApiUser, bob: ApiUser) -> None:
    ids = [user.create()["id"] for _ in range(10) for user in (ada, bob)]
    # An id is a time, and far from those of other owners by chance, so it counts nothing.
    steps = {abs(second - first) for first, second in pairwise(ids)}
    assert min(steps) > 1000
    assert len(steps) > len(ids) // 2


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_login_beyond_the_maximum_revokes_no_session_of_another_user(
    database: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with ExitStack() as stack:
        if database == "sqlite":
            settings = stack.enter_context(on_sqlite(tmp_path))
        else:
            url, template = map(request.getfixturevalue, ("postgres_url", "migrated_template"))
            settings = stack.enter_context(on_postgresql(url, template))
        settings = settings.model_copy(update={"max_sessions_per_user": 2})
        server = stack.enter_context(running_server(settings))
        bob = server.register("Bob")
        ada = server.register("Ada")
        stack.enter_context(bob.http)
        stack.enter_context(ada.http)
        login = {"email": ada.email, "password": PASSWORD}
        for _ in range(3):
            assert ada.http.post("/api/auth/login", json=login).status_code == 200
        assert ada.http.get("/api/auth/me").status_code == 401, "the first session is revoked"
        assert bob.http.get("/api/auth/me").status_code == 200
        assert len(bob.http.get("/api/auth/sessions").json()) == 1


def test_revoking_one_session_keeps_the_other_sessions_of_the_user(
    server: RunningServer, ada: ApiUser
) -> None:
    login = {"email": ada.email, "password": PASSWORD}
    with server.client() as http:
        tokens = [
            http.post("/api/auth/login", json=login).raise_for_status().json()["access_token"]
            for _ in range(2)
        ]
        bearers = [{"Authorization": f"Bearer {token}"} for token in tokens]
        [session] = [
            session["id"]
            for session in http.get("/api/auth/sessions", headers=bearers[0]).json()
            if session["current"]
        ]
        with capture_logs() as events:
            assert ada.http.delete(f"/api/auth/sessions/{session}").status_code == 204
        statuses = [http.get("/api/auth/me", headers=bearer).status_code for bearer in bearers]
    assert statuses == [401, 200]
    assert ada.http.get("/api/auth/me").status_code == 200
    [ended] = [event for event in events if event["event"] == "session.ended"]
    assert (ended["user_id"], ended["session_id"]) == (ada.id, session)


def test_revoking_other_sessions_affects_only_the_caller_and_is_logged_for_them(
    server: RunningServer, ada: ApiUser, bob: ApiUser
) -> None:
    with server.client() as http:
        login = {"email": ada.email, "password": PASSWORD}
        other = http.post("/api/auth/login", json=login).raise_for_status().json()["access_token"]
        with capture_logs() as events:
            assert ada.http.delete("/api/auth/sessions").status_code == 204
        bearer = {"Authorization": f"Bearer {other}"}
        assert http.get("/api/auth/me", headers=bearer).status_code == 401
    assert ada.http.get("/api/auth/me").status_code == 200
    assert bob.http.get("/api/auth/me").status_code == 200
    [revoked] = [event for event in events if event["event"] == "session.ended"]
    assert revoked["user_id"] == ada.id


def test_a_change_of_a_task_leaves_anothers_task_with_the_same_id(container: Container) -> None:
    todo = container.application()
    ada, bob = owners = [_new_owner(container, number) for number in range(2)]
    for number in range(1, 5):
        for owner in owners:
            container.tasks().add(_task(owner, number))
    before = todo.list_tasks(owner_id=bob).tasks
    todo.update_task(owner_id=ada, task_id=TaskId(1), title="Buy oats", completed=True)
    todo.delete_task(owner_id=ada, task_id=TaskId(2))
    todo.delete_task(owner_id=ada, task_id=TaskId(3), expected={1})
    assert todo.list_tasks(owner_id=bob).tasks == before
    assert todo.count_tasks(owner_id=bob).total == 4
    assert {task.id for task in todo.list_tasks(owner_id=ada).tasks} == {1, 4}
    container.tasks().remove_batch(ada, limit=9)
    assert todo.list_tasks(owner_id=bob).tasks == before
    assert todo.list_tasks(owner_id=ada).tasks == []


@pytest.mark.parametrize("is_in_memory", [False, True], ids=["sql", "in memory"])
def test_the_tags_days_and_time_zone_of_one_user_are_not_those_of_another(
    container: Container, is_in_memory: bool
) -> None:
    tasks: TaskRepository
    if is_in_memory:
        world = World()
        todo, tasks = world.application, world.tasks
        emails = (f"{name}@example.com" for name in ("first", "middle", "last"))
        first, middle, last = sorted(world.register(email).id for email in emails)
    else:
        todo, tasks = container.application(), container.tasks()
        first, middle, last = sorted(_new_owner(container, number) for number in range(3))
    owners = {first: "Pacific/Niue", middle: "UTC", last: "Pacific/Kiritimati"}
    for owner, zone in owners.items():
        todo.update_profile(user_id=owner, time_zone=zone)
        for number in (1, 2):
            tag = f"of {zone}"
            details: Any = {"due_date": "2000-01-01", "tags": ["common", tag]}
            tasks.add(_task(owner, number, zone=TimeZone(zone), **details))
        tasks.remove(TaskId(2), owner_id=owner, expires_at=LATER)

    noon = datetime(2000, 1, 1, 12)  # noqa: DTZ001 - a local time

    def require_own(owner: UserId, zone: str, tag: str) -> None:
        due = [TimeZone(zone).end_of(date(2000, 1, 1))]
        for deleted in (False, True):
            page = todo.list_tasks(owner_id=owner, query=TaskQuery(deleted=deleted))
            assert [task.due_date and task.due_date.at for task in page.tasks] == due
        tags = todo.list_tags(owner_id=owner)
        assert tags == [TagCount("common", 1), TagCount(tag, 1)]
        assert todo.count_tasks(owner_id=owner).overdue == 1
        local = TaskQuery(due_before=date(2000, 1, 2))
        assert len(todo.list_tasks(owner_id=owner, query=local).tasks) == 1
        created = todo.create_task(owner_id=owner, title="x", due_date="2000-01-01T12:00")
        assert created.due_date == DueDate(TimeZone(zone).moment(noon))
        operations: list[TaskOperation] = [Edit(created.id, {"due_date": "2000-01-01T12:00"})]
        assert todo.change_tasks(owner_id=owner, operations=operations) == [created]
        todo.delete_task(owner_id=owner, task_id=created.id, permanently=True)

    for owner, zone in owners.items():
        require_own(owner, zone, f"of {zone}")
    todo.update_profile(user_id=middle, time_zone="Asia/Kathmandu")
    for owner, zone in owners.items():
        require_own(owner, "Asia/Kathmandu" if owner == middle else zone, f"of {zone}")


def test_a_bulk_or_a_filter_leaves_anothers_tasks_with_the_same_ids(container: Container) -> None:
    todo = container.application()
    ada, bob = owners = [_new_owner(container, number) for number in range(2)]
    for number in range(1, 6):
        for owner in owners:
            container.tasks().add(_task(owner, number))
    before = todo.list_tasks(owner_id=bob).tasks
    operations: list[TaskOperation] = [
        Edit(TaskId(1), {"title": "Buy oats"}),
        Completion(TaskId(2)),
        Deletion(TaskId(3)),
    ]
    todo.change_tasks(owner_id=ada, operations=operations)
    assert todo.delete_matching_tasks(owner_id=ada, query=TaskQuery(completed=True)).count == 1
    assert todo.complete_matching_tasks(owner_id=ada, query=TaskQuery()).count == 3
    assert todo.list_tasks(owner_id=bob).tasks == before
    assert todo.count_tasks(owner_id=bob) == TaskCounts(5, total=5, completed=0)
    assert todo.count_tasks(owner_id=ada) == TaskCounts(12, total=3, completed=3)


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_task_next_to_another_users_has_the_same_response_as_next_to_a_missing_one(
    ada: ApiUser, bob: ApiUser, place: str
) -> None:
    theirs, own, missing = ada.create(), bob.create(), bob.create()
    bob.http.delete(bob.tasks(f"/{missing['id']}", permanent="true")).raise_for_status()
    url = bob.tasks(f"/{own['id']}/move")
    expected = comparable_response(bob, "POST", url, {place: missing["id"]})
    assert expected[0] == 404
    for task_id in (theirs["id"], 0, -1, 10**30):
        assert comparable_response(bob, "POST", url, {place: task_id}) == expected
    assert ada.list() == [theirs]
    assert bob.list() == [own]


def test_an_order_with_another_users_task_has_the_same_response_as_with_a_missing_one(
    ada: ApiUser, bob: ApiUser
) -> None:
    theirs, own, first, missing = ada.create(), bob.create(), bob.create(), bob.create()
    bob.http.delete(bob.tasks(f"/{missing['id']}", permanent="true")).raise_for_status()

    def answer(*task_ids: int) -> tuple[int, bytes, list[tuple[str, str]]]:
        return comparable_response(bob, "PATCH", bob.tasks("/reorder"), {"task_ids": task_ids})

    expected = answer(own["id"], missing["id"], first["id"])
    assert expected[0] == 404
    for task_id in (theirs["id"], 0, -1, 10**30):
        assert answer(own["id"], task_id, first["id"]) == expected
    assert ada.list() == [theirs]
    assert bob.list() == [first, own]


WITH_A_PARENT: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "", {"title": "New", "parent_id": "{task_id}"}),
    ("PATCH", "/{own}", {"parent_id": "{task_id}"}),
    ("PUT", "/{own}", {"title": "Changed", "parentId": "{task_id}"}),
    ("POST", "/{own}/move", {"parent_id": "{task_id}"}),
    ("POST", "/{own}/move", {"parent_id": "{task_id}", "after": "{own}"}),
    ("POST", "/bulk", {"operations": [{"create": {"title": "New", "parent_id": "{task_id}"}}]}),
    ("POST", "/bulk", {"operations": [{"update": {"id": "{own}", "parent_id": "{task_id}"}}]}),
]


@pytest.mark.parametrize(("method", "path", "body"), WITH_A_PARENT)
def test_another_users_task_as_a_parent_has_the_same_response_as_a_missing_one(
    ada: ApiUser, bob: ApiUser, method: str, path: str, body: dict[str, Any]
) -> None:
    theirs, own, parent, missing = ada.create(), bob.create(), bob.create(), bob.create()
    their_subtask = ada.create(parent_id=theirs["id"])
    subtask = bob.create(parent_id=parent["id"])
    bob.http.delete(bob.tasks(f"/{missing['id']}", permanent="true")).raise_for_status()
    before = ada.list(), bob.list()

    def answer(parent_id: int, **headers: str) -> tuple[int, bytes, list[tuple[str, str]]]:
        text = json.dumps(body).replace('"{own}"', str(own["id"]))
        sent = json.loads(text.replace('"{task_id}"', str(parent_id)))
        return comparable(
            bob.http.request(
                method,
                bob.tasks(path.format(own=own["id"])),
                json=sent,
                headers={"X-Request-ID": "same", **headers},
            )
        )

    expected = answer(missing["id"])
    assert expected[0] == 422
    assert b'"code":"invalid_parent"' in expected[1]
    for parent_id in (theirs["id"], their_subtask["id"], subtask["id"], 0, -1, 10**30):
        assert answer(parent_id) == expected
    if path != "/bulk":
        with_a_key = answer(missing["id"], **{"Idempotency-Key": "a-key"})
        assert answer(theirs["id"], **{"Idempotency-Key": "b-key"}) == with_a_key
    if path.startswith("/{own}"):
        stale = answer(missing["id"], **{"If-Match": '"7"'})
        assert stale[0] == 412
        assert answer(theirs["id"], **{"If-Match": '"7"'}) == stale
    assert (ada.list(), bob.list()) == before
    assert answer(parent["id"])[0] in {200, 201}


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", "/complete"), ("DELETE", "")])
def test_the_subtasks_of_another_users_task_are_none_like_those_of_a_missing_one(
    ada: ApiUser, bob: ApiUser, method: str, path: str
) -> None:
    theirs, own, missing = ada.create(), bob.create(), bob.create()
    their_subtask = ada.create(parent_id=theirs["id"])
    own_subtask = bob.create(parent_id=own["id"])
    bob.http.delete(bob.tasks(f"/{missing['id']}", permanent="true")).raise_for_status()

    def answer(parent_id: int) -> object:
        url = bob.tasks(path, parent_id=str(parent_id), count="true")
        status, content, headers = comparable_response(bob, method, url, None)
        # The tag of a list is one of the query too.
        return status, content, [each for each in headers if each[0] != "etag"]

    expected = answer(missing["id"])
    assert expected == answer(theirs["id"]) == answer(their_subtask["id"]) == answer(1)
    assert expected != answer(own["id"])
    assert ada.list() == [their_subtask, theirs]
    assert own_subtask["user_id"] == bob.id


@pytest.mark.parametrize("are_in_one_place", [False, True], ids=["apart", "in one place"])
@pytest.mark.parametrize("is_in_memory", [False, True], ids=["sql", "in memory"])
def test_a_move_or_an_order_leaves_anothers_tasks_with_the_same_ids(
    container: Container, is_in_memory: bool, are_in_one_place: bool
) -> None:
    if is_in_memory:
        world = World()
        todo = world.application
        tasks: TaskRepository = world.tasks
        owners = [world.register(f"user{number}@example.com").id for number in range(3)]
    else:
        todo, tasks = container.application(), container.tasks()
        owners = [_new_owner(container, number) for number in range(3)]
    ids = [TaskId(number) for number in range(1, 6)]
    for number in ids:
        position = Rank("a1" if are_in_one_place else f"a{number}")
        for owner in owners:
            tasks.add(replace(_task(owner, number), position=position))
    first, middle, last = sorted(owners)
    in_order = TaskQuery(order=TaskOrder.POSITION, descending=False)
    before = {owner: todo.list_tasks(owner_id=owner).tasks for owner in owners}
    todo.move_task(owner_id=middle, task_id=ids[4], before=ids[1])
    assert [task.id for task in tasks.page(middle, in_order, limit=9).tasks] == [1, 5, 2, 3, 4]
    todo.move_task(owner_id=middle, task_id=ids[0], after=ids[3])
    assert [task.id for task in tasks.page(middle, in_order, limit=9).tasks] == [5, 2, 3, 4, 1]
    assert all(task.owner_id == middle for task in todo.list_tasks(owner_id=middle).tasks)
    for owner in (first, last):
        assert todo.list_tasks(owner_id=owner).tasks == before[owner]
    todo.reorder_tasks(owner_id=first, task_ids=ids[::-1])
    assert [task.id for task in tasks.page(first, in_order, limit=9).tasks] == ids[::-1]
    assert todo.list_tasks(owner_id=last).tasks == before[last]
    assert [task.id for task in tasks.page(middle, in_order, limit=9).tasks] == [5, 2, 3, 4, 1]


def test_a_bulk_with_a_task_of_another_user_changes_nothing(ada: ApiUser, bob: ApiUser) -> None:
    theirs, own, missing = ada.create(), bob.create(), bob.create()
    bob.http.delete(bob.tasks(f"/{missing['id']}", permanent="true")).raise_for_status()
    for kind, fields in (("update", {"title": "Mine"}), ("complete", {}), ("delete", {})):
        for version in ({}, {"version": 1}, {"version": 7}):

            def answer(task_id: int, kind: str = kind, rest: Any = fields | version) -> object:
                operations = [
                    {"create": {"title": "New"}},
                    {"update": {"id": own["id"], "title": "Changed"}},
                    {kind: {"id": task_id, **rest}},
                    {"delete": {"id": own["id"]}},
                ]
                body = {"operations": operations}
                return comparable_response(bob, "POST", bob.tasks("/bulk"), body)

            expected = answer(missing["id"])
            assert expected[0] == 404  # type: ignore[index]  # index 0 is the status
            assert f'"/operations/2/{kind}"' in str(expected)
            for task_id in (theirs["id"], 0, -1, 10**30):
                assert answer(task_id) == expected
    assert ada.list() == [theirs]
    assert bob.list() == [own]


def test_tasks_of_others_are_not_counted_where_a_users_tasks_are_deleted(
    container: Container,
) -> None:
    tasks = container.tasks()
    owners = [_new_owner(container, number) for number in range(3)]
    middle = sorted(owners)[1]  # the tasks of one are stored before theirs, those of one after
    for owner in owners:
        for number in range(3):
            tasks.add(_task(owner, number + 10 * owners.index(owner) + 1))
    assert tasks.remove_batch(middle, limit=2) == 2
    assert tasks.remove_batch(middle, limit=2) == 1
    assert [len(all_tasks(tasks, owner)) for owner in sorted(owners)] == [3, 0, 3]


def test_a_refused_change_takes_no_revision_though_another_user_has_such_a_task(
    container: Container,
) -> None:
    tasks = container.tasks()
    ada, bob = (_new_owner(container, number) for number in range(2))
    tasks.add(_task(ada, 1))
    tasks.add(_task(bob, 2))
    with pytest.raises(StaleVersion):
        tasks.save(_task(bob, 1).with_completion(True, now=LATER))
    with pytest.raises(StaleVersion):
        tasks.remove(TaskId(1), owner_id=bob, expires_at=LATER, version=1)
    with pytest.raises(TaskNotFound):
        tasks.remove(TaskId(1), owner_id=bob, expires_at=LATER)
    assert tasks.counts(bob) == TaskCounts(revision=1, total=1, completed=0)
    assert tasks.counts(ada) == TaskCounts(revision=1, total=1, completed=0)


def test_the_trash_of_others_is_not_counted_where_a_users_trash_is_deleted(
    container: Container,
) -> None:
    tasks = container.tasks()
    owners = sorted(_new_owner(container, number) for number in range(3))
    assert tasks.counts(owners[1]) == TaskCounts(0, total=0, completed=0)
    for index, owner in enumerate(owners):
        for number in range(10 * index + 1, 10 * index + 4):
            tasks.add(_task(owner, number))
            tasks.remove(TaskId(number), owner_id=owner, expires_at=LATER)
        tasks.add(_task(owner, 10 * index + 4))
    assert tasks.counts(_new_owner(container, 3)) == TaskCounts(0, total=0, completed=0)
    assert [tasks.remove_batch(owners[1], limit=2) for _ in range(3)] == [2, 2, 0]
    trash = [tasks.count(owner, TaskQuery(deleted=True)) for owner in owners]
    assert trash == [3, 0, 3]


@pytest.fixture
def owners(container: Container) -> tuple[UserId, UserId, UserId]:
    """Three users in the order in which they are stored, with tasks and a trash of the same ids.

    Each of them has the tasks 1 and 2, and 3 to 5 in the trash.
    """
    first, second, third = sorted(_new_owner(container, number) for number in range(3))
    for number in range(1, 6):
        for owner in (first, second, third):
            container.tasks().add(_task(owner, number))
            if number > 2:
                container.tasks().remove(TaskId(number), owner_id=owner, expires_at=LATER)
    return first, second, third


type _State = tuple[Any, ...]


def _state(container: Container, owner: UserId) -> _State:
    """Return everything that is stored of a user's tasks."""
    tasks = container.tasks()
    return (
        tasks.changes(owner, after=None, limit=99),
        tasks.counts(owner),
        all_tasks(tasks, owner),
        tasks.page(owner, TaskQuery(deleted=True), limit=99).tasks,
    )


def test_a_change_of_the_trash_leaves_anothers_trash_with_the_same_ids(
    container: Container, owners: tuple[UserId, UserId, UserId]
) -> None:
    tasks, (first, middle, last) = container.tasks(), owners
    before = {owner: _state(container, owner) for owner in (first, last)}
    tasks.restore(TaskId(3), owner_id=middle, now=LATER, most=3)
    tasks.erase(TaskId(4), owner_id=middle, expires_at=LATER)
    tasks.remove(TaskId(1), owner_id=middle, expires_at=LATER, permanently=True)
    changes, counts, listed, trash = _state(container, middle)
    assert [(each.id, each.task is None) for each in changes.changes] == [
        *((2, False), (4, True), (5, True), (3, False), (1, True))
    ]
    assert counts == TaskCounts(10, total=2, completed=0)
    assert {task.id for task in listed} == {2, 3}
    assert [task.id for task in trash] == [5]
    assert {task.owner_id for task in [*listed, *trash]} == {middle}
    assert {owner: _state(container, owner) for owner in (first, last)} == before


def test_the_trash_of_another_user_is_neither_restored_nor_erased(
    container: Container, owners: tuple[UserId, UserId, UserId]
) -> None:
    tasks, (first, middle, last) = container.tasks(), owners
    tasks.restore(TaskId(3), owner_id=middle, now=LATER, most=9)
    tasks.erase(TaskId(4), owner_id=middle, expires_at=LATER)
    before = [_state(container, owner) for owner in owners]
    for number in (3, 4):
        with pytest.raises(TaskNotFound):
            tasks.restore(TaskId(number), owner_id=middle, now=LATER, most=9)
        with pytest.raises(TaskNotFound):
            tasks.erase(TaskId(number), owner_id=middle, expires_at=LATER)
        with pytest.raises(TaskNotFound):
            tasks.get_in_trash(TaskId(number), owner_id=middle)
        for version in (1, 2):
            with pytest.raises(StaleVersion):
                tasks.erase(TaskId(number), owner_id=middle, expires_at=LATER, version=version)
    with pytest.raises(QuotaExceeded):  # others' tasks do not count, and make no room either
        tasks.restore(TaskId(5), owner_id=middle, now=LATER, most=3)
    assert [_state(container, owner) for owner in owners] == before
    tasks.restore(TaskId(5), owner_id=middle, now=LATER, most=4)
    for owner in (first, last):
        assert tasks.restore(TaskId(3), owner_id=owner, now=LATER, most=3).owner_id == owner


def test_the_clean_up_of_one_users_trash_purges_nothing_of_another(
    container: Container, owners: tuple[UserId, UserId, UserId]
) -> None:
    tasks, (first, middle, last) = container.tasks(), owners
    for number in (1, 2):
        tasks.remove(TaskId(number), owner_id=middle, expires_at=LATER)
    before = {owner: _state(container, owner) for owner in (first, last)}
    assert tasks.purge_excess(most=3, limit=9) == 2
    changes, _, _, trash = _state(container, middle)
    assert [each.id for each in changes.changes] == [5, 1, 2]
    assert changes.purged_revision == 6  # each was added and removed before the next one
    assert {task.id for task in trash} == {1, 2, 5}
    assert {owner: _state(container, owner) for owner in (first, last)} == before
    tasks.erase(TaskId(1), owner_id=middle, expires_at=LATER - timedelta(days=1))
    assert tasks.purge_tombstones(now=LATER, limit=9) == 1
    assert {owner: _state(container, owner) for owner in (first, last)} == before
    assert tasks.remove_batch(middle, limit=9) == 2
    assert {owner: _state(container, owner) for owner in (first, last)} == before


def test_changes_continue_at_the_revision_of_their_own_user(
    container: Container, owners: tuple[UserId, UserId, UserId]
) -> None:
    todo, (first, middle, last) = container.application(), owners
    todo.create_task(owner_id=first, title="Buy oats")
    pages = {owner: todo.list_changes(owner_id=owner) for owner in owners}
    for owner in owners:
        for other in owners:
            if owner != other:
                with pytest.raises(InvalidCursor):
                    todo.list_changes(owner_id=owner, since=pages[other].next_token)
    todo.delete_task(owner_id=middle, task_id=TaskId(1))
    counts = {
        owner: len(todo.list_changes(owner_id=owner, since=page.next_token).changes)
        for owner, page in pages.items()
    }
    assert counts == {first: 0, middle: 1, last: 0}


@pytest.mark.parametrize("is_in_memory", [False, True], ids=["sql", "in memory"])
def test_what_is_kept_for_one_user_does_not_count_for_another(
    container: Container, owners: tuple[UserId, UserId, UserId], is_in_memory: bool
) -> None:
    if is_in_memory:
        world = World()
        begin: BeginUnitOfWork = BeginInMemoryUnitOfWork(world.store)
        emails = (f"{name}@example.com" for name in ("first", "middle", "last"))
        first, middle, last = (world.register(email).id for email in emails)
    else:
        begin, (first, middle, last) = container.unit_of_work(), owners
    day, response = timedelta(days=1), KeptResponse("a request", b"kept")

    def keep(owner: UserId, key: str, now: datetime) -> None:
        request = IdempotentRequest(owner, IdempotencyKey(key), response.fingerprint)
        with begin() as work:
            assert work.kept_responses.claim(request, now=now, kept_since=now - day) is None
            work.kept_responses.keep(
                request, response, now=now, kept_since=now - day, most=2 * response.size
            )

    began = {middle: LATER, last: LATER + day / 8, first: LATER + day / 4}
    for owner, now in began.items():
        keep(owner, "first", now)
    for owner in began:
        keep(owner, "second", LATER + day / 2)
    for owner, began_at in began.items():
        with pytest.raises(TooManyKeptResponses) as error:
            keep(owner, "third", LATER + day / 2)
        assert error.value.resets_in == began_at - (LATER - day / 2)
    if not is_in_memory:
        # The oldest one of all, and not those of others with the same key.
        assert container.kept_responses().purge(claimed_before=LATER + day / 16, limit=9) == 1
        requests = {
            owner: IdempotentRequest(owner, IdempotencyKey("first"), response.fingerprint)
            for owner in owners
        }
        with begin() as work:
            claimed = {
                owner: work.kept_responses.claim(
                    requests[owner], now=LATER + day / 2, kept_since=LATER - day / 2
                )
                for owner in sorted(owners)
            }
        assert claimed == {first: response, middle: None, last: response}
    keep(middle, "third", LATER + day * 9 / 8)
    for owner in (first, last):
        with pytest.raises(TooManyKeptResponses):
            keep(owner, "third", LATER + day * 9 / 8)


def test_changes_by_a_filter_are_those_of_the_caller(ada: ApiUser, bob: ApiUser) -> None:
    mine, theirs = ada.create(), bob.create()
    completed = ada.http.post(ada.tasks("/complete", completed="false"))
    assert completed.json() == {"completed": 1}
    assert [task["completed"] for task in ada.list()] == [True]
    deleted = ada.http.delete(ada.tasks(completed="true"))
    assert deleted.json() == {"deleted": 1}
    assert [task["id"] for task in ada.http.get(ada.tasks(deleted="true")).json()] == [mine["id"]]
    assert bob.list() == [theirs]


def test_a_restored_task_is_one_of_the_caller_whatever_keys_others_use(
    ada: ApiUser, bob: ApiUser
) -> None:
    key = {"Idempotency-Key": "a-key"}
    for user in (ada, bob):
        task = user.create()
        user.http.delete(user.tasks(f"/{task['id']}")).raise_for_status()
        url = user.tasks(f"/{task['id']}/restore")
        restored = user.http.post(url, headers=key)
        assert (restored.json()["id"], restored.json()["user_id"]) == (task["id"], user.id)
        assert user.http.post(url, headers=key).headers["idempotent-replayed"] == "true"
        assert [each["id"] for each in user.list()] == [task["id"]]


def test_the_trash_of_another_user_is_empty_in_memory_too() -> None:
    world = World()
    ada, bob = world.register().id, world.register("bob@example.com").id
    task = world.application.create_task(owner_id=ada, title="Buy milk")
    world.application.delete_task(owner_id=ada, task_id=task.id)
    with pytest.raises(TaskNotFound):
        world.application.restore_task(owner_id=bob, task_id=task.id)
    with pytest.raises(TaskNotFound):
        world.application.delete_task(owner_id=bob, task_id=task.id, permanently=True)
    assert world.application.list_tasks(owner_id=bob, query=TaskQuery(deleted=True)).tasks == []
    assert world.application.restore_task(owner_id=ada, task_id=task.id).version == 2


def _new_owner(container: Container, number: int) -> UserId:
    email = f"user{number}@example.com"
    register = container.application().register_user
    return register(name="User", email=email, password=PASSWORD).id


def _task(owner: UserId, number: int, **details: Any) -> Task:
    now = datetime.now(UTC)
    return Task.create(id=TaskId(number), owner_id=owner, title="Buy milk", now=now, **details)


STREAM_QUIET_SECONDS = 0.5


def test_another_users_change_never_wakes_a_stream(
    server: RunningServer, ada: ApiUser, bob: ApiUser
) -> None:
    with watching(server.url, ada) as of_ada, watching(server.url, bob) as of_bob:
        assert (of_ada.next().revision, of_bob.next().revision) == (0, 0)
        for revision in (1, 2):
            bob.create()
            assert of_bob.next().revision == revision
        assert of_ada.is_quiet(STREAM_QUIET_SECONDS)
        ada.create()
        assert of_ada.next().revision == 1
        assert of_bob.is_quiet(STREAM_QUIET_SECONDS)


def test_another_users_change_never_ends_a_wait(
    server: RunningServer, ada: ApiUser, bob: ApiUser
) -> None:
    since = ada.http.get(ada.tasks("/changes")).json()["next"]
    with long_poll(server, ada, since, wait=2) as of_ada:
        with long_poll(server, bob) as of_bob:
            bob.create()
            assert [each["revision"] for each in of_bob.answer().json()["changes"]] == [1]
        bob.create()
        assert of_ada.answered_at() - of_ada.sent_at >= 2
        answer = ada.http.get(ada.tasks("/changes", since=since), headers={"X-Request-ID": "same"})
        assert answer.json()["changes"] == []
        assert comparable(of_ada.answer()) == comparable(answer)


def test_a_wait_for_another_users_changes_is_not_found_at_once(
    server: RunningServer, ada: ApiUser, bob: ApiUser
) -> None:
    nobody = str(uuid4())
    since = ada.http.get(ada.tasks("/changes")).json()["next"]
    began = time.monotonic()
    answers = [
        comparable_response(
            bob,
            "GET",
            bob.tasks_of(owner, "/changes", url_user_id=claimed, since=since, wait="30"),
            None,
        )
        for owner, claimed in (
            *((ada.id, bob.id), (ada.id, ada.id), (bob.id, ada.id)),
            *((nobody, bob.id), (nobody, nobody), ("auth", bob.id)),
        )
    ]
    assert answers[0][0] == 404
    assert answers == [answers[0]] * len(answers)
    own = bob.http.get(bob.tasks("/changes", since=since, wait="30"))
    assert problem(own)["code"] == "invalid_cursor"
    assert time.monotonic() - began < STREAM_QUIET_SECONDS
    assert watchers_of(server, ada) == watchers_of(server, bob) == []


def test_a_change_is_not_reported_to_a_wait_of_a_revoked_session(
    server: RunningServer, ada: ApiUser
) -> None:
    login = {"email": ada.email, "password": PASSWORD}
    second = ada.http.post("/api/auth/login", json=login).json()["access_token"]
    with (
        long_poll(server, ada) as poll,
        server.client(Authorization=f"Bearer {second}") as other,
    ):
        ada.http.post("/api/auth/logout").raise_for_status()
        other.post(ada.tasks(), json={"title": "Buy milk"}).raise_for_status()
        assert poll.answer().status_code == 401
        assert problem(poll.answer())["code"] == "invalid_token"


def test_the_stream_of_another_user_is_not_found(
    server: RunningServer, ada: ApiUser, bob: ApiUser
) -> None:
    nobody = str(uuid4())
    answers = [
        comparable(
            refused_stream(
                bob.http,
                bob.tasks_of(owner, "/events", url_user_id=claimed),
                **{"X-Request-ID": "same"},
            )
        )
        for owner, claimed in (
            *((ada.id, bob.id), (ada.id, ada.id), (bob.id, ada.id)),
            *((nobody, bob.id), (nobody, nobody), ("auth", bob.id)),
        )
    ]
    assert answers[0][0] == 404
    assert answers == [answers[0]] * len(answers)
    assert refused_stream(bob.http, f"/api/{bob.id}/tasks/events").status_code == 422


def test_a_ticket_is_of_no_use_for_another_user(
    server: RunningServer, ada: ApiUser, bob: ApiUser
) -> None:
    ticket = ticket_of(ada)
    nobody = str(uuid4())
    with server.client() as stranger:
        for owner, claimed in ((bob.id, bob.id), (bob.id, ada.id), (nobody, ada.id)):
            url = bob.tasks_of(owner, "/events", url_user_id=claimed, ticket=ticket)
            answer = refused_stream(stranger, url)
            assert answer.status_code == 401
            assert problem(answer)["code"] == "invalid_token"
        url = ada.tasks_of(ada.id, "/events", url_user_id=bob.id, ticket=ticket_of(ada))
        assert refused_stream(stranger, url).status_code == 404
    ada.create()
    with open_stream(server.url, ada.tasks("/events", ticket=ticket)) as stream:
        stream.next()
        assert stream.next().revision == 1


def test_a_ticket_of_a_revoked_session_opens_no_stream(server: RunningServer, ada: ApiUser) -> None:
    ticket = ticket_of(ada)
    ada.http.post("/api/auth/logout").raise_for_status()
    with server.client() as http:
        assert refused_stream(http, ada.tasks("/events", ticket=ticket)).status_code == 401
    assert ada.http.post(ada.tasks("/events/ticket")).status_code == 401
