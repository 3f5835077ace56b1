"""What must not show in the time of an answer, and who must not suffer from whom."""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.api.test_command import Served, served
from tests.running_server import new_person

SAMPLES = 300
STORM = 50
AS_MANY = httpx.Limits(max_connections=STORM)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A process of its own: threads of this one would take part in the measurement."""
    with served(tmp_path, TODO_RATE_LIMIT_ENABLED="false", TODO_PASSWORD_BCRYPT_COST="8") as server:
        yield server


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("login", {"password": "not the right one"}, 401),
        ("forgot-password", {}, 202),
    ],
)
def test_a_known_email_takes_as_long_as_an_unknown_one(
    server: Served, path: str, body: dict[str, str], status: int
) -> None:
    ada = new_person(server.url)
    ada.http.close()
    with httpx.Client(base_url=server.url, timeout=30) as http:

        def ask(email: str) -> float:
            began = time.perf_counter()
            answer = http.post(f"/api/auth/{path}", json={"email": email, **body})
            took = time.perf_counter() - began
            assert answer.status_code == status
            return took

        pairs = [(ask(ada.email), ask("nobody@example.com")) for _ in range(SAMPLES)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert abs(known - unknown) < 0.05 * max(known, unknown)


def test_a_storm_of_logins_does_not_keep_others_from_their_tasks(tmp_path: Path) -> None:
    settings = {"TODO_RATE_LIMIT_ENABLED": "false", "TODO_PASSWORD_BCRYPT_COST": "12"}
    with served(tmp_path, **settings) as server:
        ada = new_person(server.url)
        with (
            ada.http,
            # One client, with its connections: making them would cost more than the answers.
            httpx.Client(base_url=server.url, timeout=120, limits=AS_MANY) as http,
            ThreadPoolExecutor(STORM) as pool,
        ):
            ada.create()
            list(pool.map(lambda _: http.get("/healthz"), range(STORM)))
            calm = ninety_ninth([seconds(ada.list) for _ in range(300)])
            login = {"email": ada.email, "password": "not the right one"}
            storm = [pool.submit(http.post, "/api/auth/login", json=login) for _ in range(STORM)]
            time.sleep(0.3)
            stormy = ninety_ninth([seconds(ada.list) for _ in range(300)])
            assert not any(each.done() for each in storm[-10:])
            assert {each.result().status_code for each in storm} == {401}
    assert stormy < 3 * calm


def ninety_ninth(times: list[float]) -> float:
    """The 99th percentile."""
    return statistics.quantiles(times, n=100)[98]
