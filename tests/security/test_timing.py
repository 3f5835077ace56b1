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
    settings = {"TODO_RATE_LIMIT_ENABLED": "false", "TODO_PASSWORD_BCRYPT_COST": "11"}
    with served(tmp_path, **settings) as server:
        ada = new_person(server.url)
        with ada.http, ThreadPoolExecutor(STORM) as pool:
            ada.create()

            def worst() -> float:
                """Of 100 lists, the slowest but one."""
                return sorted(seconds(ada.list) for _ in range(100))[-2]

            ada.list()
            calm = min(worst() for _ in range(3))
            login = {"email": ada.email, "password": "not the right one"}
            storm = [
                pool.submit(httpx.post, f"{server.url}/api/auth/login", json=login, timeout=120)
                for _ in range(STORM)
            ]
            stormy = worst()
            assert not all(each.done() for each in storm)
            assert {each.result().status_code for each in storm} == {401}
    print(calm, stormy)
    assert stormy < 3 * calm
