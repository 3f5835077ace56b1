"""A real Prometheus reads the service: every query of the dashboard has data, every alert fires.

Each condition that an alert is about is provoked on a service in two processes on PostgreSQL. The
rules are those in the folder `deploy`, but for how long a condition must last.
"""

import json
import os
import re
import resource
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from tests.support.clients import client_of
from tests.support.event_streams import watching
from tests.support.metrics import Measured, measured
from tests.support.postgres import create_database, drop_database
from tests.support.processes import free_port
from tests.support.prometheus import Prometheus, promtool, running_prometheus
from tests.support.settings import environment_on
from tests.support.users import PASSWORD, ApiUser, register_user
from tests.support.waiting import until

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
RULE_TESTS = DEPLOY / "prometheus" / "alerts_test.yml"
CONFIGURATION = DEPLOY / "prometheus" / "prometheus.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"

SECONDS = 90.0
"""How long something may take to be seen."""

POOL = 2
ONLY_WHEN_STOPPED = {"TodoDown", "TodoReplicaDown"}


def alerts() -> set[str]:
    """Return the names of the alerts."""
    return set(re.findall(r"- alert: (\w+)", RULES.read_text()))


def dashboard_queries() -> list[str]:
    """Return the queries of the dashboard, with its variables replaced as Grafana does."""
    dashboard = json.loads(DASHBOARD.read_text())
    variables = {"$job": "todo", "$instance": ".*", "$__rate_interval": "4m"}
    queries = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            query = target["expr"]
            for name, value in variables.items():
                query = query.replace(name, value)
            queries.append(query)
    return queries


@pytest.mark.proof
class TestFiles:
    def test_promtool_accepts_the_rules_and_the_configuration(self) -> None:
        for outcome in (
            promtool("check", "rules", RULES),
            promtool("check", "config", CONFIGURATION),
        ):
            assert outcome.returncode == 0, outcome.stderr
        assert f"{len(alerts())} rules found" in promtool("check", "rules", RULES).stdout

    def test_the_tests_of_the_rules_pass(self) -> None:
        outcome = promtool("test", "rules", RULE_TESTS)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr

    def test_the_tests_of_the_rules_can_fail(self, tmp_path: Path) -> None:
        (tmp_path / RULE_TESTS.name).write_text(RULE_TESTS.read_text())
        rules = RULES.read_text().replace("> 0.02", "> 0.06")
        assert rules != RULES.read_text()
        (tmp_path / RULES.name).write_text(rules)
        outcome = promtool("test", "rules", tmp_path / RULE_TESTS.name)
        assert outcome.returncode != 0
        assert "TodoErrors" in outcome.stdout + outcome.stderr


@dataclass
class Observed:
    """A service that a Prometheus reads, and what is done to the service."""

    service: Measured
    prometheus: Prometheus
    database_url: str

    def has_fired(self, alert: str) -> bool:
        return alert in self.prometheus.has_fired()

    def wait_for(self, *names: str) -> None:
        for alert in names:
            until(lambda alert=alert: self.has_fired(alert), seconds=SECONDS)  # type: ignore[misc]  # a lambda

    def workers(self) -> list[int]:
        found = self.service.scrape().matching("todo_process_start_time_seconds")
        return sorted(int(each.labels["pid"]) for each in found)

    def wait_for_workers(self) -> None:
        until(lambda: len(self.workers()) == 2, seconds=SECONDS)

    @contextmanager
    def database(self) -> Iterator[psycopg.Connection]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            yield connection

    @contextmanager
    def without_table(self, table: str) -> Iterator[None]:
        with self.database() as connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO elsewhere".encode())
            try:
                yield
            finally:
                connection.execute(f"ALTER TABLE elsewhere RENAME TO {table}".encode())


@pytest.fixture(scope="module")
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    url = create_database(postgres_url, template=migrated_template)
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def observed(
    tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> Iterator[tuple[Observed, Sequence[Any]]]:
    """A service to which everything has happened that an alert is about, and all rendered alerts.

    It still runs. Prometheus has no other target.
    """
    folder = tmp_path_factory.mktemp("observed")
    smtp = f"smtp://127.0.0.1:{free_port()}"  # where no server listens
    settings = environment_on(database_url) | {
        "TODO_RATE_LIMIT_ENABLED": "true",
        "TODO_LIMIT_EXPORT": "1/minute",
        "TODO_PASSWORD_BCRYPT_COST": "9",
        "TODO_PASSWORD_HASHING_THREADS": "1",
        "TODO_DATABASE_POOL_SIZE": str(POOL),
        "TODO_SESSION_CHECK_INTERVAL": "2s",
        "TODO_SMTP_URL": smtp,
        **{
            f"TODO_LIMIT_{name}": "100000/minute"
            for name in ("LOGIN_ACCOUNT", "LOGIN_ADDRESS", "REGISTER", "FORGOT_ADDRESS")
        },
    }
    with (
        measured(folder, "--workers", "2", **settings) as service,
        running_prometheus(folder, configuration(folder, service.port)) as prometheus,
    ):
        observed = Observed(service, prometheus, database_url)
        observed.wait_for_workers()
        until(lambda: prometheus.query("up == 1"), seconds=SECONDS)
        time.sleep(2)  # a few scrapes before anything happens
        rendered: list[Any] = []
        for provoke in (
            provoke_refused_and_limited_requests,
            provoke_failing_logins,
            provoke_reuse_of_a_refresh_token,
            provoke_failing_emails,
            provoke_a_lock_in_the_database,
            provoke_a_missing_table,
            provoke_failing_checks,
            provoke_a_late_event_loop,
            provoke_few_files,
            provoke_dying_workers,
        ):
            provoke(observed)
            rendered += prometheus.get("alerts")["alerts"]
        yield observed, rendered


def configuration(folder: Path, port: int) -> str:
    """Return the configuration in `deploy`, with short intervals and rules without patience."""
    rules = re.sub(r"for: \w+", "for: 0s", RULES.read_text()).replace("+ 300", "+ 1")
    (folder / RULES.name).write_text(rules)
    text = CONFIGURATION.read_text().replace("127.0.0.1:9464", f"127.0.0.1:{port}")
    return text.replace("interval: 15s", "interval: 1s")


def provoke_refused_and_limited_requests(observed: Observed) -> None:
    url = observed.service.url
    address = urlsplit(url)
    for _ in range(4):  # so that each worker gets one
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(b"this is not HTTP\r\n\r\n")
            connection.recv(1000)
    ada = register_user(url)
    with ada.http, watching(url, ada):
        task = ada.create()
        ada.http.delete(ada.tasks(f"/{task['id']}")).raise_for_status()
        ada.http.post(ada.tasks(f"/{task['id']}/restore")).raise_for_status()
        statuses = {ada.http.get("/api/auth/me/export").status_code for _ in range(4)}
    assert 429 in statuses


def provoke_failing_logins(observed: Observed) -> None:
    """Send more logins at the same time than are hashed soon, with a wrong password."""
    login = {"email": "nobody@example.com", "password": PASSWORD}

    def log_in(_: int) -> int:
        with client_of(observed.service.url) as client:
            return client.post("/api/auth/login", json=login).status_code

    deadline = time.monotonic() + SECONDS
    with ThreadPoolExecutor(60) as pool:
        while not (observed.has_fired("TodoHashingQueue") and observed.has_fired("TodoGuessing")):
            assert time.monotonic() < deadline, observed.prometheus.has_fired()
            assert set(pool.map(log_in, range(120))) <= {401, 503}


def provoke_reuse_of_a_refresh_token(observed: Observed) -> None:
    user = register_user(observed.service.url)
    login = {"email": user.email, "password": PASSWORD}
    with user.http:
        first = user.http.post("/api/auth/login", json=login).json()["refresh_token"]
        second = refresh(user, first).json()["refresh_token"]
        assert refresh(user, second).is_success
        assert refresh(user, first).status_code == 401
    observed.wait_for("TodoRefreshTokenReused")


def refresh(user: ApiUser, token: str) -> httpx.Response:
    return user.http.post("/api/auth/refresh", json={"refresh_token": token})


def provoke_failing_emails(observed: Observed) -> None:
    users = [register_user(observed.service.url) for _ in range(4)]
    for user in users:
        with user.http:
            answer = user.http.post("/api/auth/forgot-password", json={"email": user.email})
            assert answer.is_success
    observed.wait_for("TodoEmailsFail")


def provoke_a_lock_in_the_database(observed: Observed) -> None:
    """Lock the tasks, while more users create some than there are connections."""
    users = [register_user(observed.service.url) for _ in range(6 * POOL)]
    # A rate needs a value from before: the first durations of a route have none.
    first = users.pop()
    with first.http:
        assert first.create()
    time.sleep(3)
    fired = Event()

    def create(user: ApiUser) -> set[int]:
        found = set()
        with user.http:
            while not fired.is_set():
                found.add(user.http.post(user.tasks(), json={"title": "Wait"}).status_code)
        return found

    with ThreadPoolExecutor(len(users)) as pool, observed.database() as connection:
        try:
            with connection.transaction():
                connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
                creating = pool.map(create, users)
                observed.wait_for("TodoPoolExhausted")
        finally:
            fired.set()
        assert set().union(*creating) <= {201, 503}
    observed.wait_for("TodoSlow")


def provoke_a_missing_table(observed: Observed) -> None:
    user = register_user(observed.service.url)
    with user.http, observed.without_table("tasks"):
        deadline = time.monotonic() + SECONDS
        while not observed.has_fired("TodoErrors"):
            assert time.monotonic() < deadline
            assert user.http.get(user.tasks()).status_code in (500, 503)


def provoke_failing_checks(observed: Observed) -> None:
    with observed.without_table("revoked_sessions"):
        observed.wait_for("TodoDatabaseDown", "TodoJobStopped")


def provoke_a_late_event_loop(observed: Observed) -> None:
    worker = observed.workers()[0]
    os.kill(worker, signal.SIGSTOP)
    time.sleep(2.5)
    os.kill(worker, signal.SIGCONT)
    observed.wait_for("TodoEventLoopLate")


def provoke_few_files(observed: Observed) -> None:
    worker = observed.workers()[0]
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{worker}/fd").iterdir()))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 5, before[1]))
    observed.wait_for("TodoFilesExhausted")
    resource.prlimit(worker, resource.RLIMIT_NOFILE, before)


def provoke_dying_workers(observed: Observed) -> None:
    deadline = time.monotonic() + 2 * SECONDS
    while not observed.has_fired("TodoWorkersDie"):
        assert time.monotonic() < deadline
        for worker in observed.workers():
            os.kill(worker, signal.SIGKILL)
        until(lambda: not observed.workers(), seconds=SECONDS)
        observed.wait_for_workers()


@pytest.mark.proof
def test_every_query_of_the_dashboard_has_data(
    observed: tuple[Observed, Sequence[Any]],
) -> None:
    prometheus = observed[0].prometheus
    queries = dashboard_queries()
    assert len(queries) > 35
    until(lambda: prometheus.query("todo_threads > 0"), seconds=SECONDS)  # of the new workers
    assert [query for query in queries if not prometheus.query(query)] == []


@pytest.mark.proof
def test_prometheus_accepts_what_the_service_exposes(
    observed: tuple[Observed, Sequence[Any]],
) -> None:
    service, prometheus = observed[0].service, observed[0].prometheus
    [target] = prometheus.get("targets", state="active")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    outcome = promtool("check", "metrics", text=service.scrape().text)
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stderr == ""


@pytest.mark.proof
def test_the_variables_of_the_dashboard_find_the_replicas(
    observed: tuple[Observed, Sequence[Any]],
) -> None:
    [found] = observed[0].prometheus.query("todo_build_info")
    assert found["metric"]["job"] == "todo"
    assert found["metric"]["instance"] == f"127.0.0.1:{observed[0].service.port}"
    assert found["metric"]["database"] == "postgresql"


@pytest.mark.proof
def test_every_alert_fires_when_its_condition_is_provoked(
    observed: tuple[Observed, Sequence[Any]],
) -> None:
    running, rendered = observed
    # On a busy machine a scrape may take too long, so that these fire in between.
    assert running.prometheus.has_fired() | ONLY_WHEN_STOPPED == alerts()
    until(lambda: not ONLY_WHEN_STOPPED & running.prometheus.firing(), seconds=SECONDS)
    for alert in rendered:
        for text in alert["annotations"].values():
            assert "<error" not in text
            assert "<no value>" not in text
            assert "{{" not in text
    running.service.service.process.terminate()
    running.service.service.process.wait(timeout=60)
    until(lambda: running.prometheus.firing() >= ONLY_WHEN_STOPPED, seconds=SECONDS)
