"""Stock tokens of Better Auth are accepted, as a front end that uses it sends them.

The tokens come from a real Better Auth. By default they are captured ones, and the clock is set to
the time of their capture; with `-m live` they come from a running one, and the clock is real.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.better_auth.capture import capture
from tests.better_auth.captured import Capture, FrontEndUser, captured
from tests.better_auth.running import running_better_auth
from tests.support.jwks_server import running_jwks_server
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate, on_postgresql, on_sqlite
from tests.support.users import PASSWORD
from todo_adapters.in_memory.clock import ManualClock

KINDS = ["jwks_token", "shared_secret_token"]


@dataclass(frozen=True)
class FrontEnd:
    """The service, and users with tokens of the Better Auth that it trusts."""

    server: RunningServer
    better_auth: Capture

    @property
    def ada(self) -> FrontEndUser:
        return self.better_auth.users[0]

    @property
    def bob(self) -> FrontEndUser:
        return self.better_auth.users[1]

    def client(self, token: str) -> httpx.Client:
        return self.server.client(Authorization=f"Bearer {token}")


@pytest.fixture(scope="module")
def live_better_auth() -> Iterator[Capture]:
    with running_better_auth() as better_auth:
        yield capture(better_auth)


@pytest.fixture(
    params=[
        "captured, sqlite",
        "captured, postgresql",
        pytest.param("live, sqlite", marks=pytest.mark.live),
        pytest.param("live, postgresql", marks=pytest.mark.live),
    ]
)
def front_end(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FrontEnd]:
    origin, database = request.param.split(", ")
    with ExitStack() as stack:
        if database == "sqlite":
            fresh = on_sqlite(tmp_path)
        else:
            fixtures = ("postgres_url", "migrated_template")
            fresh = on_postgresql(*map(request.getfixturevalue, fixtures))
        settings = stack.enter_context(fresh)
        if origin == "live":
            better_auth = request.getfixturevalue("live_better_auth")
            changes, clock = {"better_auth_url": better_auth.url}, None
        else:
            better_auth = captured()
            keys = stack.enter_context(running_jwks_server(better_auth.jwks))
            changes = {"better_auth_url": better_auth.url, "better_auth_jwks_url": keys.url}
            clock = ManualClock(better_auth.captured_at)
        secret = {"better_auth_secret": SecretStr(better_auth.secret)}
        trusting = settings.model_copy(update=changes | secret)
        server = stack.enter_context(running_server(trusting, clock=clock))
        yield FrontEnd(server, better_auth)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stock_token_is_accepted_by_the_whole_task_api(front_end: FrontEnd, kind: str) -> None:
    ada = front_end.ada
    tasks = f"/api/{ada.id}/tasks"
    query = {"url_user_id": ada.id}
    with front_end.client(getattr(ada, kind)) as http:
        assert http.get(tasks, params=query).json() == []
        created = http.post(tasks, params=query, json={"title": "Buy milk", "priority": "high"})
        assert created.status_code == 201
        task: dict[str, Any] = created.json()
        one = f"{tasks}/{task['id']}"
        assert http.get(created.headers["location"], params=query).json() == task
        assert http.get(one, params=query).json() == task
        put = http.put(one, params=query, json={"title": "Buy oat milk", "description": "2 l"})
        assert (put.json()["title"], put.json()["description"]) == ("Buy oat milk", "2 l")
        patched = http.patch(one, params=query, json={"description": None})
        assert patched.json()["description"] is None
        toggled = http.patch(f"{one}/complete", params=query)
        assert toggled.json()["completed"] is True
        assert http.get(tasks, params=query | {"completed": "true"}).json() == [toggled.json()]
        assert http.delete(one, params=query).status_code == 204
        assert http.get(tasks, params=query).json() == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_user_cannot_see_or_change_tasks_of_the_first(
    front_end: FrontEnd, kind: str
) -> None:
    ada, bob = front_end.ada, front_end.bob
    with front_end.client(getattr(ada, kind)) as hers, front_end.client(getattr(bob, kind)) as his:
        created = hers.post(
            f"/api/{ada.id}/tasks", params={"url_user_id": ada.id}, json={"title": "Buy milk"}
        )
        task = created.json()
        assert his.get(f"/api/{bob.id}/tasks", params={"url_user_id": bob.id}).json() == []
        for owner, claimed in (
            (ada.id, ada.id),
            (ada.id, bob.id),
            (bob.id, ada.id),
            (task["user_id"], bob.id),
            (bob.id.lower(), bob.id),
            (f"{bob.id}%00", bob.id),
        ):
            for path in ("", f"/{task['id']}"):
                answer = his.get(f"/api/{owner}/tasks{path}", params={"url_user_id": claimed})
                assert (answer.status_code, problem(answer)["code"]) == (404, "task_not_found")
        answer = his.delete(f"/api/{bob.id}/tasks/{task['id']}", params={"url_user_id": bob.id})
        assert answer.status_code == 404
        assert hers.get(f"/api/{ada.id}/tasks", params={"url_user_id": ada.id}).json() == [task]


def test_the_internal_id_of_an_external_user_is_accepted_in_the_path(front_end: FrontEnd) -> None:
    ada = front_end.ada
    with front_end.client(ada.jwks_token) as http:
        profile = http.get("/api/auth/me").json()
        for owner in (ada.id, profile["id"], profile["id"].upper()):
            for claimed in (ada.id, profile["id"]):
                answer = http.get(f"/api/{owner}/tasks", params={"url_user_id": claimed})
                assert answer.status_code == 200


def test_both_kinds_of_token_belong_to_the_same_user(front_end: FrontEnd) -> None:
    ada = front_end.ada
    profiles = []
    for kind in KINDS:
        with front_end.client(getattr(ada, kind)) as http:
            profiles.append(http.get("/api/auth/me").json())
    assert profiles[0] == profiles[1]
    assert (profiles[0]["name"], profiles[0]["email"]) == (ada.name, ada.email)


@pytest.mark.parametrize("kind", ["session_cache_token", "verification_token"])
def test_other_tokens_signed_by_better_auth_are_refused_as_access_tokens(
    front_end: FrontEnd, kind: str
) -> None:
    with front_end.client(getattr(front_end.ada, kind)) as http:
        answer = http.get("/api/auth/me")
    assert (answer.status_code, problem(answer)["code"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_own_accounts_are_not_linked_to_better_auth_accounts_by_email(front_end: FrontEnd) -> None:
    ada = front_end.ada
    registration = {"name": "Ada at home", "email": ada.email.upper(), "password": PASSWORD}
    with front_end.server.client() as http:
        http.post("/api/auth/register", json=registration).raise_for_status()
        login = http.post("/api/auth/login", json=registration).raise_for_status().json()
    own_id = login["user"]["id"]
    with front_end.client(login["access_token"]) as own, front_end.client(ada.jwks_token) as hers:
        query = {"url_user_id": own_id}
        own.post(f"/api/{own_id}/tasks", params=query, json={"title": "A secret"})
        assert hers.get(f"/api/{ada.id}/tasks", params={"url_user_id": ada.id}).json() == []
        profile = hers.get("/api/auth/me").json()
        assert profile["id"] != own_id
        assert (profile["name"], profile["email"]) == (ada.name, None)
        assert hers.get(f"/api/{own_id}/tasks", params=query).status_code == 404
        assert len(own.get(f"/api/{own_id}/tasks", params=query).json()) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        (
            "POST",
            "change-password",
            {"current_password": PASSWORD, "new_password": "another long sentence"},
            "no_password",
        ),
        ("PATCH", "me", {"email": "new@example.com", "current_password": PASSWORD}, "no_password"),
        ("PATCH", "me", {"email": "new@example.com"}, "no_password"),
        ("POST", "logout", None, "external_session"),
        ("DELETE", "sessions", None, "external_session"),
    ],
)
def test_operations_that_better_auth_manages_are_refused_with_a_reason(
    front_end: FrontEnd, method: str, path: str, body: object, code: str
) -> None:
    with front_end.client(front_end.ada.jwks_token) as http:
        answer = http.request(method, f"/api/auth/{path}", json=body)
    assert (answer.status_code, problem(answer)["code"]) == (409, code)


def test_an_account_without_a_password_cannot_log_in_or_be_reset(front_end: FrontEnd) -> None:
    ada = front_end.ada
    with front_end.client(ada.jwks_token) as http:
        http.get("/api/auth/me").raise_for_status()
    with front_end.server.client() as http:
        login = http.post("/api/auth/login", json={"email": ada.email, "password": PASSWORD})
        assert login.status_code == 401
        assert http.post("/api/auth/forgot-password", json={"email": ada.email}).status_code == 202


def test_a_deleted_external_account_is_not_created_again_by_an_old_token(
    front_end: FrontEnd,
) -> None:
    ada = front_end.ada
    with front_end.client(ada.jwks_token) as http:
        query = {"url_user_id": ada.id}
        http.post(f"/api/{ada.id}/tasks", params=query, json={"title": "Buy milk"})
        export = http.get("/api/auth/me/export").json()
        assert [each["subject"] for each in export["identities"]] == [ada.id]
        assert http.delete("/api/auth/me").status_code == 204
        assert http.get(f"/api/{ada.id}/tasks", params=query).status_code == 401
    with front_end.client(ada.shared_secret_token) as http:
        assert http.get("/api/auth/me").status_code == 401
    with front_end.server.container.database().engine.connect() as connection:
        tables = ("users", "identities", "tasks")
        counts = [
            connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            for table in tables
        ]
    assert counts == [0, 0, 0]


def test_32_concurrent_first_requests_create_one_account(front_end: FrontEnd) -> None:
    ada = front_end.ada

    def ask(number: int) -> tuple[int, str]:
        with front_end.client(getattr(ada, KINDS[number % 2])) as http:
            answer = http.post(
                f"/api/{ada.id}/tasks", params={"url_user_id": ada.id}, json={"title": f"{number}"}
            )
            return answer.status_code, answer.json()["user_id"]

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(ask, range(32)))
    assert len(set(answers)) == 1
    assert answers[0][0] == 201
    with front_end.client(ada.jwks_token) as http:
        tasks = http.get(f"/api/{ada.id}/tasks", params={"url_user_id": ada.id}).json()
        profile = http.get("/api/auth/me").json()
    assert len(tasks) == 32
    assert profile["email"] == ada.email
    with front_end.server.container.database().engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM identities").scalar_one() == 1


BROWSER = """
import { todoApi } from "./todo-api.mjs";

// A browser knows where the page is from, and whose cookies it has.
const { FRONT_END, COOKIE, USER_ID } = process.env;
const network = globalThis.fetch;
globalThis.fetch = (url, init) =>
  url.startsWith("/")
    ? network(FRONT_END + url, { headers: { Cookie: COOKIE } })
    : network(url, init);

const user = { id: USER_ID };
const task = await todoApi(user, "/tasks", { method: "POST", body: { title: "Buy milk" } });
const done = await todoApi(user, `/tasks/${task.id}/complete`, { method: "PATCH" });
const listed = await todoApi(user, "/tasks");
const removed = await todoApi(user, `/tasks/${task.id}`, { method: "DELETE" });
const refused = await todoApi(user, `/tasks/${task.id}`).catch((error) => error.message);
console.log(JSON.stringify([done.completed, listed.length, removed ?? null, refused]));
"""


@pytest.mark.live
def test_the_fetch_wrapper_in_the_documentation_works(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "better-auth.md").read_text()
    [wrapper] = re.findall(r"```js\n(// todo-api\.js\n.*?)```", page, re.DOTALL)
    own = embedded_settings(tmp_path)
    migrate(own)
    with running_better_auth() as better_auth:
        settings = own.model_copy(update={"better_auth_url": better_auth.url})
        with running_server(settings) as server:
            ada = better_auth.sign_up("Ada", "ada@example.com")
            here = wrapper.replace("http://127.0.0.1:8000", server.url)
            (tmp_path / "todo-api.mjs").write_text(here)
            (tmp_path / "browser.mjs").write_text(BROWSER)
            printed = subprocess.run(
                ["node", "browser.mjs"],
                cwd=tmp_path,
                env={
                    "PATH": os.environ["PATH"],
                    "FRONT_END": better_auth.url,
                    "COOKIE": ada.cookie,
                    "USER_ID": ada.id,
                },
                check=True,
                capture_output=True,
                text=True,
                timeout=60,
            ).stdout
    assert json.loads(printed) == [True, 1, None, "This task does not exist."]
