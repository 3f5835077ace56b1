"""A user with very many tasks sends their most expensive requests; another one hardly notices."""

import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from tests.security.greedy_user import greedy
from tests.support.command import Served, served
from tests.support.many_tasks import fill, half_of
from tests.support.proof import note
from tests.support.settings import environment_on, migrate, postgres_settings
from tests.support.users import ApiUser, register_user

TASKS = 200_000
CONNECTIONS = 32
SAMPLES = 500
ATTEMPTS = 3
FACTOR = 3

type Percentiles = Mapping[str, float]  # in seconds, by request


@pytest.mark.alone
@pytest.mark.proof
@pytest.mark.parametrize("storage", ["SQLite", "PostgreSQL"])
def test_a_large_account_delays_another_user_less_than_threefold(
    storage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {"TODO_RATE_LIMIT_ENABLED": "false"}
    database: str | Path = tmp_path / "todo-data" / "todo.db"
    if storage == "PostgreSQL":
        url: str = request.getfixturevalue("empty_postgres")
        migrate(postgres_settings(url))
        database = url
        environment |= environment_on(url)
    with served(tmp_path, **environment) as service:
        large, other = register_user(service.url, "Large"), register_user(service.url, "Other")
        with closing(large.http), closing(other.http):
            fill(database, large=UUID(large.id), tasks=TASKS, others=1000, tasks_of_others=16)
            factors = [slowdown(service, large, other) for _ in range(ATTEMPTS)]
    lowest = {name: min(each[name] for each in factors) for name in factors[0]}
    told = ", ".join(f"{name} {factor:.1f}" for name, factor in lowest.items())
    is_late = max(lowest.values()) >= FACTOR
    note("noisy neighbours", f"{storage}; another user's p99 grows to: {told}", failed=is_late)
    assert not is_late, factors


def slowdown(service: Served, large: ApiUser, other: ApiUser) -> Percentiles:
    """Return by which factor the requests of the large account slow down each of the other's."""
    paths = most_expensive(large)
    for path in paths:
        large.http.get(path).raise_for_status()
    alone = percentiles(other)
    with greedy(service.url, paths, large.token, connections=CONNECTIONS):
        busy = percentiles(other)
    return {name: busy[name] / alone[name] for name in alone}


def most_expensive(large: ApiUser) -> list[str]:
    """Return the paths of requests, each of which makes the service read or sort very much."""
    half = quote(half_of(TASKS).isoformat())
    tasks = str(large.tasks())
    return [
        deep_page(large),
        f"{tasks}&sort=updated_at&order=desc",
        f"{tasks}&created_before={half}&count=true",
        f"{tasks}&updated_after={half}&count=true",
        f"{tasks}&offset=10000",
        "/api/auth/me/export",
    ]


def deep_page(large: ApiUser) -> str:
    """Return the path of the page in the middle."""
    path = str(large.tasks())
    for _ in range(TASKS // 500 // 2):
        path = large.http.get(path).raise_for_status().links["next"]["url"]
    return path


def percentiles(user: ApiUser) -> Percentiles:
    """Return the 99th percentile of how long each request of an ordinary user takes."""
    task = user.tasks(f"/{user.create()['id']}")
    list_of_20 = user.tasks("", limit="20")
    calls: Mapping[str, Callable[[], httpx.Response]] = {
        "list": lambda: user.http.get(list_of_20),
        "get": lambda: user.http.get(task),
        "create": lambda: user.http.post(user.tasks(), json={"title": "Buy milk"}),
    }
    took: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(SAMPLES):
        for name, call in calls.items():
            began = time.perf_counter()
            call().raise_for_status()
            took[name].append(time.perf_counter() - began)
    return {name: statistics.quantiles(times, n=100)[98] for name, times in took.items()}
