"""Writes with an `Idempotency-Key` take effect once, and are answered alike each time."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import Uuid, bindparam, text

from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import on_postgresql, on_sqlite
from tests.support.users import ApiUser, register_user
from todo_core.use_cases import once as use_case

type Body = dict[str, Any] | None  # JSON

CHANGES: dict[str, tuple[str, str, Body]] = {
    "put": ("PUT", "", {"title": "Buy oats"}),
    "patch": ("PATCH", "", {"title": "Buy oats"}),
    "complete": ("PATCH", "/complete", {"completed": True}),
    "toggle": ("PATCH", "/complete", None),
    "delete": ("DELETE", "", None),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)


def send(
    user: ApiUser, key: str, method: str, url: httpx.URL, body: object = None, **headers: str
) -> httpx.Response:
    return user.http.request(method, url, json=body, headers={"Idempotency-Key": key, **headers})


def create(user: ApiUser, key: str, title: str = "Buy milk") -> httpx.Response:
    return send(user, key, "POST", user.tasks(), {"title": title})


def change_task(
    user: ApiUser, key: str, task_id: int, change: tuple[str, str, Body], **headers: str
) -> httpx.Response:
    method, path, body = change
    return send(user, key, method, user.tasks(f"/{task_id}{path}"), body, **headers)


def require_replay(replay: httpx.Response, first: httpx.Response) -> None:
    assert first.is_success
    assert "idempotent-replayed" not in first.headers
    assert replay.headers["idempotent-replayed"] == "true"
    assert (replay.status_code, replay.content) == (first.status_code, first.content)
    for name in ("content-type", "content-length", "etag", "location"):
        assert replay.headers.get(name) == first.headers.get(name), name


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, problem(answer)["code"]


@dataclass(frozen=True)
class TwoProcesses:
    """A user, and clients of theirs at two processes of the service on one database in turn."""

    servers: tuple[RunningServer, RunningServer]
    closing: ExitStack
    ada: ApiUser

    def clients(self, count: int) -> list[ApiUser]:
        return [
            replace(self.ada, http=self.closing.enter_context(server.client(**self._token)))
            for server, _ in zip(cycle(self.servers), range(count), strict=False)
        ]

    @property
    def _token(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.ada.token}"}


@pytest.fixture(params=["sqlite", "postgresql"])
def processes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TwoProcesses]:
    """Two processes of the service on one database."""
    if request.param == "sqlite":
        database = on_sqlite(tmp_path)
    else:
        names = ("postgres_url", "migrated_template")
        database = on_postgresql(*map(request.getfixturevalue, names))
    with ExitStack() as closing:
        settings = closing.enter_context(database)
        one, other = (closing.enter_context(running_server(settings)) for _ in range(2))
        ada = register_user(one.url)
        closing.enter_context(ada.http)
        yield TwoProcesses((one, other), closing, ada)


def test_a_task_that_is_created_again_with_its_key_is_created_once(ada: ApiUser) -> None:
    first = create(ada, "a key")
    assert first.status_code == 400  # a space is not visible
    first = create(ada, "a-key")
    replay = create(ada, "a-key")
    require_replay(replay, first)
    assert first.headers["location"] == f"/api/{ada.id}/tasks/{first.json()['id']}"
    assert ada.list() == [first.json()]
    assert create(ada, "another").json()["id"] != first.json()["id"]


@changes
def test_a_change_that_is_sent_again_with_its_key_takes_effect_once(
    ada: ApiUser, change: tuple[str, str, Body]
) -> None:
    task = ada.create()
    first = change_task(ada, "k", task["id"], change)
    after = ada.list()
    require_replay(change_task(ada, "k", task["id"], change), first)
    require_replay(change_task(ada, "k", task["id"], change), first)
    assert ada.list() == after


@changes
def test_a_replay_is_the_first_response_whatever_happened_to_the_task_since(
    ada: ApiUser, change: tuple[str, str, Body]
) -> None:
    task = ada.create()
    first = change_task(ada, "k", task["id"], change, **{"If-Match": '"1"'})
    ada.http.patch(ada.tasks(f"/{task['id']}"), json={"title": "Buy flour"})
    require_replay(change_task(ada, "k", task["id"], change, **{"If-Match": '"1"'}), first)
    ada.http.delete(ada.tasks(f"/{task['id']}"))
    require_replay(change_task(ada, "k", task["id"], change, **{"If-Match": '"1"'}), first)
    assert ada.list() == []


def test_a_change_that_changes_nothing_is_replayed_too(ada: ApiUser) -> None:
    task = ada.create()
    first = change_task(ada, "k", task["id"], ("PATCH", "", {}))
    ada.http.patch(ada.tasks(f"/{task['id']}"), json={"title": "Buy flour"})
    require_replay(change_task(ada, "k", task["id"], ("PATCH", "", {})), first)
    assert first.json() == task


def test_a_long_response_is_replayed_and_kept_in_few_bytes(
    server: RunningServer, ada: ApiUser
) -> None:
    task = ada.create(description="é" * 1000)
    url, operation = ada.tasks("/bulk"), {"complete": {"id": task["id"]}}
    first = send(ada, "k", "POST", url, {"operations": [operation] * 500})
    require_replay(send(ada, "k", "POST", url, {"operations": [operation] * 500}), first)
    assert len(first.content) > 2**20
    [size] = server.container.database().values(
        text("SELECT length(response) FROM kept_responses WHERE user_id = :owner").bindparams(
            bindparam("owner", type_=Uuid)
        ),
        {"owner": UUID(ada.id)},
    )
    assert size < 50_000


def test_writes_with_new_keys_are_refused_when_much_is_kept_and_none_is_forgotten(
    ada: ApiUser, bob: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(use_case, "MAX_KEPT_BYTES", 10_000)
    firsts: dict[str, httpx.Response] = {}
    while (answer := create(ada, f"key-{len(firsts)}")).is_success:
        firsts[f"key-{len(firsts)}"] = answer
    assert 8 <= len(firsts) <= 12
    assert code_of(answer) == (429, "too_many_kept_responses")
    assert 86_000 < int(answer.headers["retry-after"]) <= 86_400
    task = firsts["key-0"].json()
    monkeypatch.setattr(use_case, "MAX_KEPT_BYTES", 1)  # so that no shorter response fits either
    for change in CHANGES.values():
        refused = change_task(ada, "another", task["id"], change)
        assert code_of(refused) == (429, "too_many_kept_responses")
    for key, first in firsts.items():
        require_replay(create(ada, key), first)
    monkeypatch.setattr(use_case, "MAX_KEPT_BYTES", 10_000)
    assert create(bob, "key-0").status_code == 201
    # What needs no key is not affected, and the refused writes have changed nothing.
    created = {each.json()["id"]: each.json() for each in firsts.values()}
    assert {each["id"]: each for each in ada.list()} == created
    ada.create("Buy oats")
    assert len(ada.list()) == len(firsts) + 1


def test_a_key_with_another_request_is_refused(ada: ApiUser) -> None:
    task, other = ada.create(), ada.create()
    before = ada.list()
    first = change_task(ada, "k", task["id"], ("PATCH", "/complete", {"completed": False}))
    assert first.json() == task
    for method, path, body in (
        ("PATCH", f"/{task['id']}/complete", {"completed": True}),
        ("PATCH", f"/{task['id']}/complete", None),
        ("PATCH", f"/{task['id']}", {"completed": False}),
        ("PATCH", f"/{other['id']}/complete", {"completed": False}),
        ("PUT", f"/{task['id']}", {"title": "Buy oats"}),
        ("DELETE", f"/{task['id']}", None),
        ("POST", "", {"title": "Buy oats"}),
    ):
        answer = send(ada, "k", method, ada.tasks(path), body)
        assert code_of(answer) == (422, "idempotency_key_reused")
    assert ada.list() == before
    require_replay(
        change_task(ada, "k", task["id"], ("PATCH", "/complete", {"completed": False})), first
    )


def test_a_refused_request_leaves_its_key_unused(ada: ApiUser, bob: ApiUser) -> None:
    task = ada.create()
    toggle = CHANGES["toggle"]
    assert create(ada, "k", "").status_code == 422
    assert code_of(change_task(ada, "k", bob.create()["id"], toggle)) == (404, "task_not_found")
    assert code_of(change_task(ada, "k", task["id"], toggle, **{"If-Match": '"7"'})) == (
        412,
        "stale_version",
    )
    assert ada.list() == [task]
    first = create(ada, "k")
    require_replay(create(ada, "k"), first)


def test_the_same_key_of_another_user_is_independent(ada: ApiUser, bob: ApiUser) -> None:
    key = str(uuid4())
    firsts = {user.id: create(user, key) for user in (ada, bob)}
    for user in (ada, bob):
        require_replay(create(user, key), firsts[user.id])
        assert user.list() == [firsts[user.id].json()]
    # With another request, ada is told that she has used it, and bob that he has not.
    assert create(ada, key, "Buy oats").status_code == 422
    task = ada.create()
    assert change_task(ada, "bobs", task["id"], CHANGES["toggle"]).is_success
    assert create(bob, "bobs").status_code == 201


def test_a_key_does_not_open_the_url_of_another_user(ada: ApiUser, bob: ApiUser) -> None:
    first = create(ada, "k")
    for key in ("k", "new", "", "a b"):
        answer = send(bob, key, "POST", bob.tasks_of(ada.id), {"title": "Buy milk"})
        assert code_of(answer) == (404, "task_not_found")
        stranger = httpx.post(
            bob.http.base_url.join(bob.tasks_of(ada.id)),
            json={"title": "Buy milk"},
            headers={"Idempotency-Key": key},
        )
        assert stranger.status_code == 401
    assert ada.list() == [first.json()]


@pytest.mark.parametrize(
    ("sent", "same"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", '"8e03978e-40d5-43dd-bc93-6894a57f9324"'),
        (r'"a\"b\\c"', r"a\"b\\c".replace("\\\\", "\\").replace('\\"', '"')),
        ("!#$%&'()*+,-./:;<=>?@[]^_`{|}~", '"!#$%&\'()*+,-./:;<=>?@[]^_`{|}~"'),
        ("x" * 255, f'"{"x" * 255}"'),
    ],
)
def test_a_key_means_the_same_with_and_without_quotes(ada: ApiUser, sent: str, same: str) -> None:
    first = create(ada, sent)
    require_replay(create(ada, same), first)
    assert len(ada.list()) == 1


@pytest.mark.parametrize(
    "key",
    [
        *("", '"', '""', '"a', "a b", '"a b"', '"a" b', '"a";b=1', '"a", "b"', r'"\a"'),
        *("x" * 256, f'"{"x" * 256}"', "é", "\x7f", "a\x01b", '"a"b"'),
    ],
)
def test_a_malformed_key_is_refused(ada: ApiUser, key: str) -> None:
    headers = [(b"Idempotency-Key", key.encode())]
    answer = ada.http.post(ada.tasks(), json={"title": "Buy milk"}, headers=headers)
    assert answer.status_code == 400
    if key not in {"\x7f", "a\x01b"}:  # these are not HTTP
        assert problem(answer)["code"] == "invalid_idempotency_key"
    assert ada.list() == []


def test_two_keys_are_refused(ada: ApiUser) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = ada.http.post(ada.tasks(), json={"title": "Buy milk"}, headers=headers)
    assert code_of(answer) == (400, "invalid_idempotency_key")
    assert ada.list() == []


def test_reads_ignore_a_key(ada: ApiUser) -> None:
    task = ada.create()
    for url in (ada.tasks(), ada.tasks("/stats"), ada.tasks(f"/{task['id']}")):
        for _ in range(2):
            answer = ada.http.get(url, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 200
            assert "idempotent-replayed" not in answer.headers


def test_a_replay_is_the_same_on_another_process(
    processes: TwoProcesses,
) -> None:
    ada, there = processes.clients(2)
    first = create(ada, "k")
    require_replay(create(there, "k"), first)
    assert code_of(create(there, "k", "Buy oats")) == (422, "idempotency_key_reused")
    deleted = change_task(there, "d", first.json()["id"], CHANGES["delete"])
    require_replay(change_task(ada, "d", first.json()["id"], CHANGES["delete"]), deleted)
    assert ada.list() == []


MATCHING: dict[str, tuple[str, str, str]] = {
    "completed": ("POST", "/complete?status=pending", "completed"),
    "deleted": ("DELETE", "?status=pending", "deleted"),
}
matching = pytest.mark.parametrize("change", MATCHING.values(), ids=MATCHING)


@matching
def test_a_change_of_all_that_match_takes_effect_once(
    processes: TwoProcesses, change: tuple[str, str, str]
) -> None:
    method, path, name = change
    ada, there = processes.clients(2)
    for number in range(3):
        create(ada, f"create-{number}")
    first = send(ada, "k", method, ada.tasks(path))
    assert first.json() == {name: 3}
    later = create(ada, "later").json()
    require_replay(send(there, "k", method, ada.tasks(path)), first)
    require_replay(send(there, '"k"', method, ada.tasks(path)), first)
    other = send(there, "k", method, ada.tasks(path.replace("pending", "all")))
    assert code_of(other) == (422, "idempotency_key_reused")
    assert code_of(send(ada, "a key", method, ada.tasks(path)))[1] == "invalid_idempotency_key"
    assert [each for each in ada.list() if not each["completed"]] == [later]
    assert send(there, "another", method, ada.tasks(path)).json() == {name: 1}


@matching
def test_of_concurrent_changes_of_all_that_match_each_task_is_changed_once(
    processes: TwoProcesses, change: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("todo_core.use_cases.bulk.BATCH_SIZE", 3)
    method, path, name = change
    ada, clients = processes.ada, processes.clients(8)
    repeats = {"due_date": "2999-01-01", "recurrence_rule": "daily"}
    for _ in range(10):
        ada.create(**repeats)

    def write(user: ApiUser) -> httpx.Response:
        return send(user, "k", method, ada.tasks(path))

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(write, clients))
    for each in answers:
        if each.is_success:
            assert each.json() == {name: 10}
        else:
            assert code_of(each) == (409, "idempotency_in_progress")
    again = write(ada)
    assert again.json() == {name: 10}
    assert write(ada).headers["idempotent-replayed"] == "true"
    open_tasks = [each for each in ada.list() if not each["completed"]]
    assert len(open_tasks) == (10 if name == "completed" else 0)  # those that follow


@pytest.mark.parametrize("name", ["create", *CHANGES])
def test_of_concurrent_requests_with_one_key_one_takes_effect(
    processes: TwoProcesses, name: str
) -> None:
    ada = processes.ada
    task = ada.create("The first")
    clients = processes.clients(20)

    def write(user: ApiUser) -> httpx.Response:
        if name == "create":
            return create(user, "k")
        return change_task(user, "k", task["id"], CHANGES[name])

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(write, clients))
    replays = [each for each in answers if "idempotent-replayed" in each.headers]
    refused = [each for each in answers if not each.is_success]
    [first] = [each for each in answers if each not in replays and each not in refused]
    for each in refused:
        assert code_of(each) == (409, "idempotency_in_progress")
        assert int(each.headers["retry-after"]) > 0
    for each in replays:
        require_replay(each, first)
    require_replay(write(clients[0]), first)
    counts = Counter(each["title"] for each in ada.list())
    if name == "create":
        assert counts == {"The first": 1, "Buy milk": 1}
    elif name == "delete":
        assert counts == {}
    else:
        assert [each["version"] for each in ada.list()] == [2]


def test_concurrent_requests_with_different_keys_all_take_effect(
    processes: TwoProcesses,
) -> None:
    ada = processes.ada
    task = ada.create()
    clients = processes.clients(20)

    def write(number: int) -> tuple[httpx.Response, httpx.Response]:
        user = clients[number]
        return (
            change_task(user, f"toggle-{number}", task["id"], CHANGES["toggle"]),
            create(user, f"create-{number}", str(number)),
        )

    with ThreadPoolExecutor(len(clients)) as pool:
        answers = [answer for pair in pool.map(write, range(20)) for answer in pair]
    assert [answer.status_code for answer in answers if not answer.is_success] == []
    assert len(ada.list()) == 21
    assert ada.http.get(ada.tasks(f"/{task['id']}")).json()["version"] == 21


def test_a_browser_may_read_whether_a_response_is_a_replay(ada: ApiUser) -> None:
    origin = {"Origin": "http://localhost:3000"}
    preflight = ada.http.options(
        ada.tasks(),
        headers={
            **origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
    )
    assert preflight.status_code == 200
    assert "idempotency-key" in preflight.headers["access-control-allow-headers"].lower()
    answer = ada.http.post(
        ada.tasks(), json={"title": "Buy milk"}, headers={**origin, "Idempotency-Key": "k"}
    )
    assert "idempotent-replayed" in answer.headers["access-control-expose-headers"].lower()
