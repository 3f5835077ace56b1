"""External issuers that are down or slow, limits on provisioning, and the cost of a cached user."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.issuers import Key, claims, jwks
from tests.support.jwks_server import JwksServer, running_jwks_server
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.statements import recorded_statements
from tests.support.waiting import until
from todo_adapters.issuers import jwks as room
from todo_api.settings import ExternalIssuer

ISSUER, AUDIENCE = "https://a.example.com", "https://todo.example.com"
KEY = Key.generate("EdDSA")


@pytest.fixture
def keys() -> Iterator[JwksServer]:
    with running_jwks_server(jwks(KEY)) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path, keys: JwksServer) -> Iterator[RunningServer]:
    own = embedded_settings(tmp_path)
    migrate(own)
    trusted = (ExternalIssuer(issuer=ISSUER, jwks_url=keys.url, audience=AUDIENCE),)
    with running_server(own.model_copy(update={"external_issuers": trusted})) as server:
        yield server


def token(subject: str = "auth0|ada", **others: object) -> str:
    return KEY.sign(claims(ISSUER, AUDIENCE, sub=subject, **others))


def list_tasks(server: RunningServer, bearer: str, subject: str = "auth0|ada") -> httpx.Response:
    with server.client(Authorization=f"Bearer {bearer}") as http:
        url = httpx.URL(f"/api/{subject}/tasks", params={"url_user_id": subject})
        return http.get(url)


def test_subjects_of_any_form_are_accepted_in_the_path(server: RunningServer) -> None:
    for subject in ("auth0|65f0", "1f3d2c4b-0000-4000-8000-00000000000F", "a b+ü", "x" * 255):
        assert list_tasks(server, token(subject), subject).json() == []


def test_without_the_issuer_the_service_starts_and_own_tokens_work(
    server: RunningServer, keys: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_RETRY_SECONDS", 0.2)
    keys.stop()
    ada = server.register("Ada")
    with ada.http:
        ada.create()
    answer = list_tasks(server, token())
    assert (answer.status_code, problem(answer)["code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    keys.start()
    time.sleep(0.25)
    assert list_tasks(server, token()).status_code == 200


def test_cached_users_are_served_while_the_issuer_is_down(
    server: RunningServer, keys: JwksServer
) -> None:
    known = token()
    assert list_tasks(server, known).status_code == 200
    keys.stop()
    assert list_tasks(server, known).status_code == 200
    assert list_tasks(server, token("a new user"), "a new user").status_code == 200


def test_provisioning_is_limited_and_existing_users_are_not(
    tmp_path: Path, keys: JwksServer
) -> None:
    own = embedded_settings(tmp_path)
    migrate(own)
    limits = {"rate_limit_enabled": True, "limit_provision_address": "3/minute"}
    trusted = (ExternalIssuer(issuer=ISSUER, jwks_url=keys.url, audience=AUDIENCE),)
    settings = own.model_copy(
        update={"external_issuers": trusted, "registration": "closed", **limits}
    )
    with running_server(settings) as server:
        answers = [list_tasks(server, token(f"user {n}"), f"user {n}") for n in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert problem(answers[-1])["code"] == "rate_limited"
        assert answers[-1].headers["ratelimit-policy"] == '"provision_address";q=3;w=60'
        assert list_tasks(server, token("user 0"), "user 0").status_code == 200


@pytest.mark.alone
def test_a_slow_issuer_delays_only_its_own_users(server: RunningServer, keys: JwksServer) -> None:
    keys.delay = 0.5
    ada = server.register("Ada")
    with ada.http, ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(list_tasks, server, token(f"{n}"), f"{n}") for n in range(20)]
        time.sleep(0.3)
        for _ in range(20):
            began = time.perf_counter()
            ada.list()
            assert time.perf_counter() - began < 0.5
        statuses = {each.result().status_code for each in waiting}
    assert statuses == {503}


def test_a_cached_user_needs_no_query_and_no_download(
    server: RunningServer, keys: JwksServer
) -> None:
    known = token()
    list_tasks(server, known)
    with recorded_statements(server.container.database().engine) as statements:
        for _ in range(10):
            assert list_tasks(server, known).status_code == 200
    # Besides, jobs in the background look for revoked sessions and deleted accounts.
    jobs = ("revoked_at >=", "deleted_at IS NOT NULL")
    queries = [each for each in statements if each.startswith("SELECT")]
    queries = [each for each in queries if not any(job in each for job in jobs)]
    assert queries == [each for each in queries if "FROM tasks" in each]
    assert len(queries) == 10
    assert keys.request_count == 1


def test_another_token_of_a_cached_user_needs_no_query(server: RunningServer) -> None:
    list_tasks(server, token())
    with recorded_statements(server.container.database().engine) as statements:
        assert list_tasks(server, token(exp=int(time.time()) + 60)).status_code == 200
    assert [each for each in statements if "identities" in each or "users" in each] == []


def test_an_account_deleted_in_another_process_is_refused_here(
    server: RunningServer,
) -> None:
    known = token()
    assert list_tasks(server, known).status_code == 200
    settings = server.container.settings()
    with (
        running_server(settings) as other,
        other.client(Authorization=f"Bearer {known}") as http,
    ):
        assert http.delete("/api/auth/me").status_code == 204
        assert list_tasks(other, known).status_code == 401
    until(lambda: list_tasks(server, known).status_code != 200, seconds=5)
    assert list_tasks(server, known).status_code == 401
    assert list_tasks(server, token(iat=int(time.time()) + 5)).status_code == 200
