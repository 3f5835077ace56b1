"""Traces of a service that is started with the variables of OpenTelemetry and nothing else."""

import secrets
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.clients import client_of
from tests.support.command import Served, served
from tests.support.otlp import (
    CLIENT,
    ERROR,
    INTERNAL,
    SERVER,
    Collector,
    ExportedSpan,
    collecting,
    exporting_to,
)
from tests.support.processes import free_port
from tests.support.settings import environment_on
from tests.support.users import PASSWORD, ApiUser, register_user
from tests.support.waiting import until
from todo_adapters.tracing.span_export import EXPORTED

UNLIMITED = {"TODO_RATE_LIMIT_ENABLED": "false"}


class Traced:
    """A running service, and the collector to which it exports."""

    def __init__(self, server: Served, collector: Collector) -> None:
        self.server = server
        self.collector = collector
        self.ada = register_user(server.url)

    def send(
        self, method: str, url: httpx.URL | str, *, sampled: bool = True, **options: Any
    ) -> tuple[httpx.Response, str]:
        """Send a request of Ada's in a new trace of hers, and return the response and its id."""
        trace_id = secrets.token_hex(16)
        headers = {
            "traceparent": f"00-{trace_id}-{'c' * 16}-{'01' if sampled else '00'}",
            **options.pop("headers", {}),
        }
        return self.ada.http.request(method, url, headers=headers, **options), trace_id

    def tree(self, trace_id: str) -> dict[str, Any]:
        """Return the names of the spans of a trace, each with those below it."""
        return {(root := self.collector.server_span(trace_id)).name: self._below(root)}

    def _below(self, parent: ExportedSpan) -> dict[str, Any]:
        return {each.name: self._below(each) for each in self.collector.children(parent)}

    def log_of(self, trace_id: str) -> Sequence[Mapping[str, Any]]:
        """Return the log lines of a trace."""
        return [line for line in self.server.lines() if line.get("trace_id") == trace_id]


@contextmanager
def traced(folder: Path, *options: str, **settings: str) -> Iterator[Traced]:
    with (
        collecting() as collector,
        served(folder, *options, **{**exporting_to(collector), **UNLIMITED, **settings}) as server,
    ):
        found = Traced(server, collector)
        try:
            yield found
        finally:
            found.ada.http.close()


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    with traced(tmp_path_factory.mktemp("sqlite")) as found:
        yield found


@pytest.fixture(scope="module")
def on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, shared_postgres: str
) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("postgresql")
    with traced(folder, **environment_on(shared_postgres)) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest) -> Traced:
    found: Traced = request.getfixturevalue(f"on_{request.param}")
    return found


class TestSpans:
    def test_a_request_is_a_tree_of_request_use_case_and_statements(self, service: Traced) -> None:
        answer, trace_id = service.send("GET", service.ada.tasks())
        assert answer.status_code == 200
        assert service.tree(trace_id) == {
            "GET /api/{user_id}/tasks": {"ListTasks": {"SELECT tasks": {}}}
        }
        root = service.collector.server_span(trace_id)
        [use_case] = service.collector.children(root)
        [statement] = service.collector.children(use_case)
        assert (root.kind, use_case.kind, statement.kind) == (SERVER, INTERNAL, CLIENT)

    def test_the_span_of_a_request_continues_the_trace_of_its_caller(self, service: Traced) -> None:
        _, trace_id = service.send("GET", service.ada.tasks())
        assert service.collector.server_span(trace_id).parent_id == "c" * 16
        assert {span.trace_id for span in service.collector.trace(trace_id)} == {trace_id}

    def test_a_request_without_a_caller_begins_a_trace(self, service: Traced) -> None:
        service.ada.http.get("/api/auth/me").raise_for_status()
        until(lambda: any(span.name == "GET /api/auth/me" for span in service.collector.spans))
        root = next(span for span in service.collector.spans if span.name == "GET /api/auth/me")
        assert root.parent_id == ""
        assert service.tree(root.trace_id) == {
            "GET /api/auth/me": {"ReadProfile": {"GetProfile": {"SELECT users": {}}}}
        }

    def test_attributes_follow_the_semantic_conventions(self, service: Traced) -> None:
        answer, trace_id = service.send("GET", service.ada.tasks("/4711"))
        assert answer.status_code == 404
        root = service.collector.server_span(trace_id)
        assert root.attributes == {
            "http.request.method": "GET",
            "http.response.status_code": 404,
            "http.route": "/api/{user_id}/tasks/{task_id}",
            "network.protocol.version": "1.1",
            "url.scheme": "http",
        }
        [use_case] = service.collector.children(root)
        assert use_case.attributes == {"error.type": "todo_core.errors.TaskNotFound"}
        [statement] = service.collector.children(use_case)
        text = statement.attributes["db.query.text"]
        assert statement.attributes == {
            "db.system.name": "postgresql" if "%(" in text else "sqlite",
            "db.operation.name": "SELECT",
            "db.collection.name": "tasks",
            "db.query.text": text,
        }
        assert text.startswith("SELECT tasks.id")
        assert "4711" not in text
        # To be told that there is no such task is no failure of the service.
        assert ERROR not in (root.status, use_case.status, statement.status)

    def test_a_write_with_an_idempotency_key_has_the_span_of_the_write(
        self, service: Traced
    ) -> None:
        answer, trace_id = service.send(
            "POST",
            service.ada.tasks(),
            json={"title": "Buy milk"},
            headers={"Idempotency-Key": secrets.token_hex()},
        )
        assert answer.status_code == 201
        root = service.collector.server_span(trace_id)
        [once] = service.collector.children(root)
        below = service.collector.children(once)
        assert once.name == "WriteOnce"
        assert {"BEGIN", "CreateTask", "COMMIT"} <= {span.name.split()[0] for span in below}
        [create] = (span for span in below if span.name == "CreateTask")
        assert "INSERT tasks" in {span.name for span in service.collector.children(create)}

    def test_hashing_on_another_thread_belongs_to_the_same_trace(self, service: Traced) -> None:
        login = {"email": service.ada.email, "password": "wrong but long enough"}
        answer, trace_id = service.send("POST", "/api/auth/login", json=login)
        assert answer.status_code == 401
        assert service.tree(trace_id) == {
            "POST /api/auth/login": {"LogIn.admit": {}, "LogIn": {"SELECT users": {}}}
        }

    def test_an_unknown_path_has_a_span_that_does_not_contain_it(self, service: Traced) -> None:
        answer, trace_id = service.send("GET", "/no-such-page?no-such-query=1")
        assert answer.status_code == 404
        assert service.tree(trace_id) == {"GET": {}}
        assert b"no-such" not in b"".join(service.collector.bodies)

    def test_every_attribute_of_every_span_is_one_of_the_list(self, service: Traced) -> None:
        found = Counter(name for span in service.collector.spans for name in span.attributes)
        assert found.keys() <= EXPORTED
        assert len(found) >= 9

    def test_background_jobs_have_no_spans(self, service: Traced) -> None:
        roots = {span.name for span in service.collector.spans if span.parent_id == ""}
        assert {"POST /api/auth/register", "POST /api/auth/login"} <= roots
        assert not {name for name in roots if name.partition(" ")[0] not in ("GET", "POST")}

    def test_the_resource_names_the_service_and_its_process(self, service: Traced) -> None:
        resource = service.collector.spans[0].resource
        assert resource["service.name"] == "todo"
        assert resource["service.version"] == "0.1.0"
        assert resource["service.instance.id"]


class TestLogLines:
    def test_every_line_within_a_request_has_the_ids_of_its_span(self, service: Traced) -> None:
        login = {"email": service.ada.email, "password": "wrong but long enough"}
        _, trace_id = service.send("POST", "/api/auth/login", json=login)
        until(lambda: "request" in {line["event"] for line in service.log_of(trace_id)})
        lines = {line["event"]: line["span_id"] for line in service.log_of(trace_id)}
        root = service.collector.server_span(trace_id)
        below = {span.name: span.span_id for span in service.collector.children(root)}
        assert lines == {
            "login.failed": below["LogIn"],
            "authentication.failed": root.span_id,
            "request": root.span_id,
        }

    def test_lines_outside_of_requests_have_none(self, service: Traced) -> None:
        started = [line for line in service.server.lines() if "startup" in line["event"]]
        assert len(started) == 2
        assert not any({"trace_id", "span_id"} & line.keys() for line in started)


class TestWorkers:
    def test_each_worker_exports_its_own_spans(self, tmp_path: Path) -> None:
        with traced(tmp_path, "--workers", "2") as service:
            resources: set[str] = set()
            trees = []
            while len(resources) < 2:
                service.ada.http.close()  # so that the next connection may be one to another worker
                service.ada = at(service.server.url, service.ada)
                answer, trace_id = service.send("GET", service.ada.tasks())
                assert answer.status_code == 200
                root = service.collector.server_span(trace_id)
                resources.add(root.resource["service.instance.id"])
                trees.append(service.tree(trace_id))
                assert len(trees) < 100
        expected: dict[str, Any] = {"GET /api/{user_id}/tasks": {"ListTasks": {"SELECT tasks": {}}}}
        assert trees == [expected] * len(trees)


class TestVariables:
    def test_the_variables_of_the_exporter_and_the_resource_are_honoured(
        self, tmp_path: Path
    ) -> None:
        with traced(
            tmp_path,
            OTEL_SERVICE_NAME="tasks",
            OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=staging,service.version=7",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20canary",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        ) as service:
            _, trace_id = service.send("GET", service.ada.tasks())
            resource = service.collector.server_span(trace_id).resource
        assert resource["service.name"] == "tasks"
        assert resource["service.version"] == "7"
        assert resource["deployment.environment.name"] == "staging"
        headers = service.collector.headers[0]
        assert headers["authorization"] == "Bearer canary"
        assert headers["content-encoding"] == "gzip"
        assert "canary" not in service.server.log.read_text()

    def test_without_propagators_a_request_begins_a_trace(self, tmp_path: Path) -> None:
        with traced(tmp_path, OTEL_PROPAGATORS="none") as service:
            _, trace_id = service.send("GET", service.ada.tasks())
            until(lambda: any(span.name.endswith("/tasks") for span in service.collector.spans))
        assert service.collector.trace(trace_id) == []


class TestSampling:
    def test_what_the_caller_does_not_sample_is_not_exported(self, on_sqlite: Traced) -> None:
        _, unsampled = on_sqlite.send("GET", on_sqlite.ada.tasks(), sampled=False)
        _, sampled = on_sqlite.send("GET", on_sqlite.ada.tasks())
        on_sqlite.collector.server_span(sampled)
        assert on_sqlite.collector.trace(unsampled) == []
        assert [line["event"] for line in on_sqlite.log_of(unsampled)] == ["request"]

    def test_a_sampler_that_drops_everything_exports_nothing(self, tmp_path: Path) -> None:
        with traced(tmp_path, OTEL_TRACES_SAMPLER="always_off") as service:
            _, trace_id = service.send("GET", service.ada.tasks())
            until(lambda: service.log_of(trace_id))
        assert service.collector.bodies == []

    @pytest.mark.parametrize(
        "switched_off", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_TRACES_EXPORTER": "none"}]
    )
    def test_traces_can_be_switched_off(self, tmp_path: Path, switched_off: dict[str, str]) -> None:
        with traced(tmp_path, **switched_off) as service:
            _, trace_id = service.send("GET", service.ada.tasks())
            request = service.server.lines()[-1]
        assert request["event"] != "telemetry.not_exported"
        assert service.log_of(trace_id) == []
        assert service.collector.bodies == []


class TestEndOfProcess:
    def test_the_last_spans_are_exported_when_the_service_stops(self, tmp_path: Path) -> None:
        with traced(tmp_path, OTEL_BSP_SCHEDULE_DELAY="3600000") as service:
            _, trace_id = service.send("GET", service.ada.tasks())
            assert service.collector.spans == []
            service.server.process.terminate()
            service.server.process.wait(timeout=30)
            assert service.tree(trace_id) == {
                "GET /api/{user_id}/tasks": {"ListTasks": {"SELECT tasks": {}}}
            }

    def test_a_collector_that_does_not_respond_delays_the_stop_for_a_few_seconds(
        self, tmp_path: Path
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
            with served(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as server:
                register_user(server.url).http.close()
                began = time.monotonic()
                server.process.terminate()
                assert server.process.wait(timeout=30) == 0
                assert time.monotonic() - began < 8


class TestCollectorDown:
    def test_requests_are_answered_and_few_lines_are_logged(self, tmp_path: Path) -> None:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://user:canary@127.0.0.1:{free_port()}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_BSP_MAX_QUEUE_SIZE": "20",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "5",
        }
        with served(tmp_path, **settings, **UNLIMITED) as server:
            ada = register_user(server.url)
            with ada.http:
                deadline = time.monotonic() + 5
                answered = 0
                while time.monotonic() < deadline:
                    ada.http.get(ada.tasks()).raise_for_status()
                    answered += 1
        lines = [line for line in server.lines() if "opentelemetry" in line.get("logger", "")]
        assert answered > 20
        assert any("refused" in line["event"] for line in lines)
        assert len(lines) <= 4
        assert "canary" not in server.log.read_text()

    def test_spans_are_exported_again_when_the_collector_is_back(self, on_sqlite: Traced) -> None:
        on_sqlite.collector.status = 400
        _, lost = on_sqlite.send("GET", on_sqlite.ada.tasks())
        failures = "Failed to export spans batch"
        until(lambda: any(failures in line["event"] for line in on_sqlite.server.lines()))
        on_sqlite.collector.status = 200
        _, kept = on_sqlite.send("GET", on_sqlite.ada.tasks())
        on_sqlite.collector.server_span(kept)
        assert on_sqlite.collector.trace(lost) == []


class TestErrors:
    def test_a_failure_of_the_database_is_an_error_without_its_message(
        self, tmp_path: Path
    ) -> None:
        with traced(tmp_path) as service:
            with sqlite3.connect(tmp_path / "todo-data" / "todo.db") as database:
                database.execute("ALTER TABLE tasks RENAME TO moved")
            database.close()
            answer, trace_id = service.send("GET", service.ada.tasks("?search=canary-words"))
            assert answer.status_code == 503
            root = service.collector.server_span(trace_id)
            [use_case] = service.collector.children(root)
            [statement] = service.collector.children(use_case)
        assert [each.status for each in (root, use_case, statement)] == [ERROR] * 3
        assert root.attributes["error.type"] == "503"
        assert use_case.attributes["error.type"] == "todo_core.errors.Unavailable"
        assert statement.attributes["error.type"] == "sqlite3.OperationalError"
        assert {each.message for each in (root, use_case, statement)} == {""}
        assert b"canary-words" not in b"".join(service.collector.bodies)

    def test_a_violated_constraint_has_the_code_of_the_database(
        self, on_postgresql: Traced
    ) -> None:
        registration = {"name": "Ada", "email": on_postgresql.ada.email, "password": PASSWORD}
        answer, trace_id = on_postgresql.send("POST", "/api/auth/register", json=registration)
        assert answer.status_code == 409
        on_postgresql.collector.server_span(trace_id)
        [insert] = (
            each for each in on_postgresql.collector.trace(trace_id) if each.name == "INSERT users"
        )
        assert insert.attributes["error.type"] == "psycopg.errors.UniqueViolation"
        assert insert.attributes["db.response.status_code"] == "23505"


def at(url: str, user: ApiUser) -> ApiUser:
    """Return the user with a new connection."""
    return replace(user, http=client_of(url, Authorization=f"Bearer {user.token}"))
