"""What a running service counts, as Prometheus reads it."""

import http.client
import socket
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.support.clients import client_of
from tests.support.event_streams import watching
from tests.support.metrics import Measured, Scrape, measured
from tests.support.processes import free_port
from tests.support.users import PASSWORD, ApiUser, register_user
from tests.support.waiting import until
from todo_api.exporter.server import serving_metrics

TASKS = "/api/{user_id}/tasks"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """A service in one process. Tests share it, so they compare scrapes."""
    smtp = f"smtp://127.0.0.1:{free_port()}"  # where no server listens
    folder = tmp_path_factory.mktemp("service")
    with measured(
        folder,
        TODO_SMTP_URL=smtp,
        TODO_LIMIT_EXPORT="1/minute",
        TODO_LIMIT_REGISTER="1000/minute",
        TODO_LIMIT_LOGIN_ADDRESS="1000/minute",
    ) as running:
        yield running


@pytest.fixture
def ada(service: Measured) -> Iterator[ApiUser]:
    user = register_user(service.url)
    with user.http:
        yield user


def requests(scrape: Scrape, method: str, route: str, status: int) -> float:
    return scrape.total("todo_http_requests_total", method=method, route=route, status=str(status))


def timed(scrape: Scrape, method: str, route: str) -> float:
    return scrape.total("todo_http_request_duration_seconds_count", method=method, route=route)


def test_requests_are_counted_and_timed_by_method_route_and_status(
    service: Measured, ada: ApiUser
) -> None:
    before = service.scrape()
    for _ in range(3):
        ada.create()
    for _ in range(2):
        assert ada.http.post(ada.tasks(), json={"title": ""}).status_code == 422
    after = service.scrape()
    for status, count in ((201, 3), (422, 2)):
        counted = requests(after, "POST", TASKS, status) - requests(before, "POST", TASKS, status)
        assert counted == count
    assert timed(after, "POST", TASKS) - timed(before, "POST", TASKS) == 5
    name = "todo_http_request_duration_seconds"
    buckets = after.matching(f"{name}_bucket", method="POST", route=TASKS)
    values = [each.value for each in sorted(buckets, key=lambda each: float(each.labels["le"]))]
    assert values == sorted(values)
    assert values[-1] == timed(after, "POST", TASKS)
    seconds = after.value(f"{name}_sum", method="POST", route=TASKS)
    assert 0 < seconds < 5 * 30


def test_what_a_client_makes_up_has_no_label_of_its_own(service: Measured) -> None:
    before = service.scrape()
    with client_of(service.url) as client:
        for number in range(5):
            assert client.get(f"/made-up-{number}").status_code == 404
            assert client.request("PROPFIND", f"/made-up-{number}").status_code == 404
    after = service.scrape()
    assert "made-up" not in after.text
    assert "PROPFIND" not in after.text
    for method in ("GET", "other"):
        counted = requests(after, method, "none", 404) - requests(before, method, "none", 404)
        assert counted == 5


def test_no_metric_names_a_user_a_task_or_an_address(service: Measured, ada: ApiUser) -> None:
    task = ada.create("A title that is nobody's business")
    ada.http.get(ada.tasks(f"/{task['id']}")).raise_for_status()
    ada.http.get(ada.tasks_of(str(uuid4())))
    text = service.scrape().text
    secrets = (ada.id, ada.email, ada.token, "nobody's business", "127.0.0.1", PASSWORD)
    assert [secret for secret in secrets if secret in text] == []
    labels = {key for sample in service.scrape().samples for key in sample.labels}
    assert labels == {
        *("method", "route", "status", "le", "kind", "operation", "event", "limit", "message"),
        *("result", "name", "pid", "version", "python", "database"),
    }


def test_requests_that_the_server_refuses_are_counted_by_their_code(service: Measured) -> None:
    def refused() -> float:
        name = "todo_http_refused_messages_total"
        return service.scrape().total(name, code="malformed_request")

    before = refused()
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"this is not HTTP\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")
    assert refused() == before + 1


def test_an_open_stream_of_events_is_counted_and_not_timed_for_as_long_as_it_is_open(
    service: Measured, ada: ApiUser
) -> None:
    route = f"{TASKS}/events"
    with watching(service.url, ada), watching(service.url, ada):
        until(lambda: service.scrape().value("todo_event_streams") == 2)
        assert service.scrape().value("todo_http_requests_in_flight") == 0
        time.sleep(1)
    until(lambda: service.scrape().value("todo_event_streams") == 0)
    until(lambda: requests(service.scrape(), "GET", route, 200) == 2)
    seconds = service.scrape().value(
        "todo_http_request_duration_seconds_sum", method="GET", route=route
    )
    assert seconds < 1


def test_a_request_that_waits_for_changes_is_counted_and_not_timed(
    service: Measured, ada: ApiUser
) -> None:
    route = f"{TASKS}/changes"
    earlier = timed(service.scrape(), "GET", route)
    since = ada.http.get(ada.tasks("/changes")).json()["next"]
    # It is counted after its response was sent.
    until(lambda: timed(service.scrape(), "GET", route) == earlier + 1)
    before = service.scrape()
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(ada.http.get, ada.tasks("/changes", since=since, wait="2"))
        until(lambda: service.scrape().value("todo_long_polls") == 1)
        assert poll.result().status_code == 200
    after = service.scrape()
    assert requests(after, "GET", route, 200) - requests(before, "GET", route, 200) == 1
    assert timed(after, "GET", route) == timed(before, "GET", route)


def test_tasks_are_counted_when_they_are_committed(service: Measured, ada: ApiUser) -> None:
    operations = ("created", "updated", "deleted", "restored", "erased")

    def written() -> dict[str, float]:
        scrape = service.scrape()
        return {
            each: scrape.value("todo_tasks_written_total", operation=each) for each in operations
        }

    before = written()
    first, second = ada.create(), ada.create()
    path = ada.tasks(f"/{first['id']}")
    ada.http.put(path, json={"title": "Another title"}).raise_for_status()
    ada.http.delete(path).raise_for_status()
    ada.http.post(ada.tasks(f"/{first['id']}/restore")).raise_for_status()
    ada.http.delete(path).raise_for_status()
    ada.http.delete(ada.tasks(f"/{first['id']}", permanent="true")).raise_for_status()
    bulk = [{"create": {"title": "No. 3"}}, {"complete": {"id": second["id"]}}]
    ada.http.post(ada.tasks("/bulk"), json={"operations": bulk}).raise_for_status()
    # The first operation takes effect only if the second does.
    impossible = [bulk[0], {"complete": {"id": 10**15}}]
    assert ada.http.post(ada.tasks("/bulk"), json={"operations": impossible}).is_client_error
    after = written()
    assert {each: after[each] - before[each] for each in operations} == {
        "created": 3,
        "updated": 2,
        "deleted": 2,
        "restored": 1,
        "erased": 1,
    }


def test_limits_and_events_of_the_security_log_are_counted(service: Measured, ada: ApiUser) -> None:
    def counted() -> list[float]:
        scrape = service.scrape()
        return [
            scrape.value("todo_rate_limited_total", limit="export"),
            scrape.value("todo_security_events_total", event="account.exported"),
            scrape.value("todo_security_events_total", event="login.failed"),
            scrape.value("todo_rate_limited_total", limit="login_account"),
        ]

    before = counted()
    with client_of(service.url) as client:
        wrong = {"email": ada.email, "password": "a wrong password"}
        statuses = [client.post("/api/auth/login", json=wrong).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    export = [ada.http.get("/api/auth/me/export").status_code for _ in range(3)]
    assert export == [200, 429, 429]
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 1, 5, 1]


def test_attempts_to_send_emails_are_counted(service: Measured, ada: ApiUser) -> None:
    def failed() -> float:
        name = "todo_email_attempts_total"
        return service.scrape().value(name, message="PasswordResetEmail", result="failed")

    before = failed()
    with client_of(service.url) as client:
        client.post("/api/auth/forgot-password", json={"email": ada.email}).raise_for_status()
    until(lambda: failed() > before)


def test_background_jobs_are_counted_and_tell_whether_the_database_responds(
    service: Measured, ada: ApiUser
) -> None:
    scrape = service.scrape()
    assert scrape.value("todo_database_up") == 1
    jobs = {"session check", "clean-up", "checkpoint", "reminders", "reminder emails"}
    names = {each.labels["name"] for each in scrape.matching("todo_background_job_runs_total")}
    assert names == jobs
    newest = "todo_background_job_last_success_timestamp_seconds"
    assert {each.labels["name"] for each in scrape.matching(newest)} == jobs
    assert scrape.value("todo_background_job_interval_seconds", name="session check") == 2.5
    until(
        lambda: (
            service.scrape().value(
                "todo_background_job_runs_total", name="session check", result="succeeded"
            )
            >= 2
        )
    )
    assert time.time() - service.scrape().value(newest, name="session check") < 30


def test_the_state_of_the_process_is_published(service: Measured, ada: ApiUser) -> None:
    ada.list()
    until(lambda: service.scrape().matching("todo_process_resident_memory_bytes"))
    scrape = service.scrape()
    pid = str(service.service.process.pid)
    assert 20e6 < scrape.value("todo_process_resident_memory_bytes", pid=pid) < 400e6
    assert scrape.value("todo_process_open_fds", pid=pid) > 5
    assert scrape.value("todo_process_max_fds", pid=pid) >= 256
    assert scrape.value("todo_process_cpu_seconds_total") > 0
    assert scrape.value("todo_processes") == scrape.value("todo_process_starts_total") == 1
    assert scrape.value("todo_threads", kind="requests") == 10
    assert scrape.value("todo_threads", kind="hashing") == 2
    assert scrape.value("todo_database_connections_max") == 10
    [build] = scrape.matching("todo_build_info")
    assert (build.value, build.labels["version"]) == (1, "0.1.0")
    assert build.labels["database"] == "sqlite"


def test_logins_that_wait_for_their_turn_are_seen(tmp_path: Path) -> None:
    """A hash takes about a quarter of a second here, and there are eight logins for one thread."""
    with measured(
        tmp_path,
        TODO_PASSWORD_BCRYPT_COST="12",
        TODO_PASSWORD_HASHING_THREADS="1",
        TODO_RATE_LIMIT_ENABLED="false",
    ) as service:
        login = {"email": "ada@example.com", "password": PASSWORD}

        def log_in(_: int) -> int:
            with client_of(service.url) as client:
                return client.post("/api/auth/login", json=login).status_code

        with ThreadPoolExecutor(8) as pool:
            logins = pool.map(log_in, range(8))
            scrapes: list[Scrape] = []

            def is_seen() -> bool:
                scrapes.append(service.scrape())
                return scrapes[-1].value("todo_thread_calls_waiting", kind="hashing") > 2

            until(is_seen)
            assert scrapes[-1].value("todo_threads_busy", kind="hashing") == 1
            assert scrapes[-1].value("todo_http_requests_in_flight") > 2
            assert list(logins) == [401] * 8
        until(lambda: service.scrape().value("todo_thread_calls_waiting", kind="hashing") == 0)
        until(lambda: service.scrape().value("todo_http_requests_in_flight") == 0)


def test_a_database_that_does_not_respond_is_seen(tmp_path: Path) -> None:
    with measured(tmp_path, TODO_SESSION_CHECK_INTERVAL="1s") as service:
        until(lambda: service.scrape().value("todo_database_up") == 1)
        file = tmp_path / "todo-data" / "todo.db"
        with sqlite3.connect(file) as connection:
            connection.execute("ALTER TABLE revoked_sessions RENAME TO elsewhere")
        connection.close()
        until(lambda: service.scrape().value("todo_database_up") == 0)
        name, labels = "todo_background_job_runs_total", {"name": "session check"}
        assert service.scrape().value(name, **labels, result="failed") >= 1
        with sqlite3.connect(file) as connection:
            connection.execute("ALTER TABLE elsewhere RENAME TO revoked_sessions")
        connection.close()
        until(lambda: service.scrape().value("todo_database_up") == 1)


@pytest.mark.parametrize("path", ["/", "/metrics/", "/metricsx", "/healthz", "/api/auth/me"])
def test_the_server_of_the_metrics_has_no_other_path(service: Measured, path: str) -> None:
    answer = service.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/plain")


def test_the_api_has_no_metrics(service: Measured) -> None:
    assert httpx.get(f"{service.url}/metrics").status_code == 404


def test_metrics_are_read_only(service: Measured) -> None:
    with client_of(service.metrics_url) as client:
        assert client.post("/metrics").status_code == 501
        head = client.head("/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["server"] == "todo"


def test_the_format_is_the_one_that_the_client_prefers(service: Measured) -> None:
    answer = service.get("/metrics", Accept="application/openmetrics-text;version=1.0.0")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert service.get("/metrics").headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=x",
        "application/openmetrics-text;version=1",
        "application/openmetrics-text;version=1.0.0.0.0",
        "text/plain;version=x",
        "text/plain;version=1.x.0",
        ";=,;,=",
    ],
)
def test_a_preference_that_makes_no_sense_gets_the_metrics_as_text(
    service: Measured, accept: str
) -> None:
    answer = service.get("/metrics", Accept=accept)
    assert answer.status_code == 200
    assert Scrape.of(answer.text).value("todo_processes") == 1
    assert "Traceback" not in service.service.log.read_text()


@pytest.mark.parametrize("target", ["http://[", "http://[x]/metrics"])
def test_a_target_that_is_no_url_is_refused(service: Measured, target: str) -> None:
    address = urlsplit(service.metrics_url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert "Traceback" not in service.service.log.read_text()


def test_an_error_of_the_server_of_the_metrics_is_one_line_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("canary")

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr("todo_api.exporter.server._Exposition.render", fail)
    port = free_port()
    with serving_metrics("127.0.0.1", port), pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert caplog.messages == ["The metrics could not be served (RuntimeError)."]


def test_clients_that_are_slow_do_not_delay_others(service: Measured, ada: ApiUser) -> None:
    """There is room for eight connections, and each is cut after five seconds."""
    address = urlsplit(service.metrics_url)
    with ExitStack() as stack:
        for _ in range(7):
            slow = stack.enter_context(
                socket.create_connection((address.hostname, address.port), timeout=30)
            )
            slow.sendall(b"GET /metrics HTTP/1.1\r\n")  # and no more
        assert service.scrape().value("todo_processes") == 1
        for _ in range(20):  # more than there is room for
            extra = socket.create_connection((address.hostname, address.port), timeout=30)
            stack.enter_context(extra).sendall(b"GET ")
        began = time.monotonic()
        assert ada.http.get("/api/auth/me").status_code == 200
        assert time.monotonic() - began < 5
        until(lambda: is_served(service), seconds=30)


def is_served(service: Measured) -> bool:
    try:
        return bool(service.scrape().samples)
    except (httpx.TransportError, http.client.HTTPException):
        return False
