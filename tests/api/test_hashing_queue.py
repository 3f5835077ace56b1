"""Which requests wait for the few threads that hash passwords, and which do not."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Semaphore
from typing import override

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.users import PASSWORD, ApiUser
from tests.support.waiting import SOON_SECONDS, until
from todo_adapters.security.passwords import PasslibPasswordHasher
from todo_api.runtime.threads import WorkerThreads
from todo_core.entities.user import Password

ATTACKER, STRANGER = "203.0.113.9", "192.0.2.1"
ATTACKER_V6 = "2001:db8:1:2::{}"


class GatedPasswordHasher(PasslibPasswordHasher):
    """A password hasher that, after `close`, hashes only as often as `allow` permits."""

    def __init__(self) -> None:
        super().__init__(cost=4)
        self._is_open = True
        self._passes = Semaphore(0)
        self.waiting = 0

    def close(self) -> None:
        self._is_open = False

    def allow(self, count: int = 1) -> None:
        self._passes.release(count)

    def open(self) -> None:
        self._is_open = True
        self._passes.release(1000)

    @override
    def verify(self, password: Password, password_hash: str | None) -> bool:
        self._wait()
        return super().verify(password, password_hash)

    @override
    def hash(self, password: Password) -> str:
        self._wait()
        return super().hash(password)

    def _wait(self) -> None:
        if not self._is_open:
            self.waiting += 1
            assert self._passes.acquire(timeout=SOON_SECONDS)


@pytest.fixture
def gate() -> GatedPasswordHasher:
    return GatedPasswordHasher()


@pytest.fixture
def server(tmp_path: Path, gate: GatedPasswordHasher) -> Iterator[RunningServer]:
    """A service with one hashing thread, behind a proxy that forwards the client address."""
    settings = embedded_settings(tmp_path).model_copy(
        update={
            "rate_limit_enabled": True,
            "limit_login_address": "3/minute",
            "limit_login_account": "100/minute",
            "limit_register": "1/minute",
            "limit_reset_password": "1/minute",
            "limit_reauthentication": "1/minute",
            "password_hashing_threads": 1,
            "trusted_proxies": ("127.0.0.1",),
        }
    )
    migrate(settings)
    with running_server(settings, passwords=gate) as server:
        yield server


@pytest.fixture
def ada(server: RunningServer) -> Iterator[ApiUser]:
    user = server.register()
    with closing(user.http):
        yield user


@pytest.fixture
def pool(gate: GatedPasswordHasher) -> Iterator[ThreadPoolExecutor]:
    """Threads for requests that wait. They are released at the end of every test."""
    with ThreadPoolExecutor(16) as pool:
        yield pool
        gate.open()


def log_in(server: RunningServer, address: str, email: str = "ada@example.com") -> httpx.Response:
    with server.client(**{"X-Forwarded-For": address}) as http:
        return http.post(
            "/api/auth/login",
            json={"email": email, "password": "not the right one"},
            timeout=SOON_SECONDS,
        )


def busy(
    gate: GatedPasswordHasher, pool: ThreadPoolExecutor, request: Callable[[], httpx.Response]
) -> Future[httpx.Response]:
    """Occupy the only hashing thread with this request."""
    gate.close()
    future = pool.submit(request)
    until(lambda: gate.waiting == 1)
    return future


def require_refusal(response: httpx.Response, rule: str) -> None:
    assert response.status_code == 429, response.text
    assert problem(response)["code"] == "rate_limited"
    assert int(response.headers["Retry-After"]) > 0
    assert response.headers["RateLimit"].startswith(f'"{rule}"')


def test_a_login_over_its_limit_is_refused_without_waiting_for_a_hashing_thread(
    server: RunningServer, gate: GatedPasswordHasher, pool: ThreadPoolExecutor
) -> None:
    first = busy(gate, pool, lambda: log_in(server, STRANGER))
    waiting = [pool.submit(log_in, server, ATTACKER_V6.format(number)) for number in range(4)]
    until(lambda: any(each.done() for each in waiting))
    [refused] = [each.result() for each in waiting if each.done()]
    require_refusal(refused, "login_address")
    require_refusal(log_in(server, ATTACKER_V6.format("ffff")), "login_address")
    assert not first.done()
    gate.open()
    assert sorted(each.result().status_code for each in [first, *waiting]) == [401] * 4 + [429]


def test_a_login_during_a_flood_from_another_address_waits_for_one_hash(
    server: RunningServer, gate: GatedPasswordHasher, pool: ThreadPoolExecutor
) -> None:
    hashing_threads: WorkerThreads = server.app.state.hashing_threads
    flood = [busy(gate, pool, lambda: log_in(server, ATTACKER))]
    flood += [pool.submit(log_in, server, ATTACKER) for _ in range(2)]
    until(lambda: hashing_threads.waiting == 2)
    honest = pool.submit(log_in, server, STRANGER)
    until(lambda: hashing_threads.waiting == 3)
    gate.allow(2)
    assert honest.result(timeout=SOON_SECONDS).status_code == 401
    until(lambda: flood[0].done())
    assert not any(each.done() for each in flood[1:])


@pytest.mark.parametrize(
    ("path", "body", "rule"),
    [
        ("register", {"name": "Bob", "email": "b@example.com", "password": PASSWORD}, "register"),
        ("reset-password", {"token": "none", "new_password": PASSWORD}, "reset_password"),
    ],
)
def test_a_client_over_an_address_limit_is_refused_while_the_hashing_threads_are_busy(
    server: RunningServer,
    gate: GatedPasswordHasher,
    pool: ThreadPoolExecutor,
    path: str,
    body: dict[str, str],
    rule: str,
) -> None:
    first = busy(gate, pool, lambda: log_in(server, STRANGER))

    def request() -> httpx.Response:
        with server.client(**{"X-Forwarded-For": ATTACKER}) as http:
            return http.post(f"/api/auth/{path}", json=body, timeout=SOON_SECONDS)

    waiting = [pool.submit(request) for _ in range(2)]
    until(lambda: any(each.done() for each in waiting))
    [refused] = [each.result() for each in waiting if each.done()]
    require_refusal(refused, rule)
    assert not first.done()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "change-password", {"current_password": "wrong", "new_password": "another one"}),
        ("PATCH", "me", {"email": "new@example.com", "current_password": "wrong"}),
        ("DELETE", "me", {"current_password": "wrong"}),
    ],
)
def test_a_user_over_the_reauthentication_limit_is_refused_while_the_hashing_threads_are_busy(
    gate: GatedPasswordHasher,
    ada: ApiUser,
    pool: ThreadPoolExecutor,
    method: str,
    path: str,
    body: dict[str, str],
) -> None:
    def request() -> httpx.Response:
        return ada.http.request(method, f"/api/auth/{path}", json=body, timeout=SOON_SECONDS)

    first = busy(gate, pool, request)
    require_refusal(request(), "reauthentication")
    assert not first.done()
    gate.open()
    assert first.result().status_code == 422


def test_a_change_that_needs_no_password_does_not_wait_for_a_hashing_thread(
    server: RunningServer, gate: GatedPasswordHasher, ada: ApiUser, pool: ThreadPoolExecutor
) -> None:
    first = busy(gate, pool, lambda: log_in(server, STRANGER))
    for body in ({"name": "Ada Lovelace"}, {"name": "Ada King", "email": ada.email}):
        response = ada.http.patch("/api/auth/me", json=body, timeout=SOON_SECONDS)
        assert response.status_code == 200
        assert response.json()["name"] == body["name"]
    assert not first.done()


def test_an_invalid_registration_does_not_wait_for_a_hashing_thread(
    server: RunningServer, gate: GatedPasswordHasher, pool: ThreadPoolExecutor
) -> None:
    first = busy(gate, pool, lambda: log_in(server, STRANGER))
    with server.client() as http:
        body = {"name": "", "email": "none", "password": "short"}
        response = http.post("/api/auth/register", json=body, timeout=SOON_SECONDS)
    assert response.status_code == 422
    assert not first.done()
