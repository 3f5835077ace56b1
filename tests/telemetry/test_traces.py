"""Traces of a service that is started with the variables of OpenTelemetry and nothing else."""

import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

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
from tests.support.settings import environment_on
from tests.support.users import register_user
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
        served(folder, *options, **exporting_to(collector), **{**UNLIMITED, **settings}) as server,
    ):
        found = Traced(server, collector)
        with found.ada.http:
            yield found


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
