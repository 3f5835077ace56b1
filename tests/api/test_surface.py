"""Response headers, CORS, the OpenAPI document, the docs page, health checks and the log."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import structlog
from structlog.typing import EventDict

from tests.support.issuers import Key, claims
from tests.support.postgres import create_database, drop_database, running_postgres
from tests.support.problems import problem
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate, postgres_settings
from tests.support.users import ApiUser
from todo_api.app import create_app

SCHEMAS = {
    "RegisterRequest",
    "RegisterResponse",
    "LoginRequest",
    "LoginResponse",
    "RefreshTokenRequest",
    "RefreshTokenResponse",
    "ChangePasswordRequest",
    "ForgotPasswordRequest",
    "ResetPasswordRequest",
    "UpdateProfileRequest",
    "UserProfileResponse",
    "TaskCreate",
    "TaskUpdate",
    "TaskPatch",
    "TaskUpdateStatus",
    "TaskResponse",
    "TaskListResponse",
    "TaskMove",
    "TaskOrderUpdate",
    "TaskOrderResponse",
    "Problem",
}


@pytest.fixture
def http(sqlite_server: RunningServer) -> Iterator[httpx.Client]:
    with sqlite_server.client() as client:
        yield client


@pytest.fixture
def ada(sqlite_server: RunningServer) -> Iterator[ApiUser]:
    user = sqlite_server.register("Ada")
    with user.http:
        yield user


class TestHeaders:
    @pytest.mark.parametrize("path", ["/healthz", "/nothing", "/api/x/tasks", "/openapi.json"])
    def test_every_response_has_security_headers(self, http: httpx.Client, path: str) -> None:
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        policy = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        assert headers["content-security-policy"] == policy
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in headers
        assert "server" not in headers

    def test_responses_over_tls_have_an_hsts_header(self, tmp_path: Path) -> None:
        app = create_app(embedded_settings(tmp_path))
        transport = httpx.ASGITransport(app)
        answer = run(transport, "https://todo.example.com/healthz")
        assert answer.headers["strict-transport-security"].startswith("max-age=")

    def test_a_response_has_the_id_of_its_request(self, http: httpx.Client) -> None:
        assert re.fullmatch("[0-9a-f]{32}", http.get("/healthz").headers["x-request-id"])
        answer = http.get("/nothing", headers={"X-Request-ID": "mine-1"})
        assert answer.headers["x-request-id"] == answer.json()["request_id"] == "mine-1"

    @pytest.mark.parametrize("sent", ["a" * 65, "two words", '"', "", "a\tb"])
    def test_a_request_id_that_could_forge_a_log_line_is_replaced(
        self, http: httpx.Client, sent: str
    ) -> None:
        answer = http.get("/healthz", headers={"X-Request-ID": sent})
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


class TestCors:
    def test_a_preflight_from_a_localhost_origin_is_allowed(self, http: httpx.Client) -> None:
        headers = {
            "Origin": "http://localhost:3000",
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization,content-type,x-other",
        }
        answer = http.options("/api/x/tasks/1", headers=headers)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "PATCH" in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"]

    def test_problems_have_cors_headers(self, http: httpx.Client) -> None:
        answer = http.get("/api/x/tasks", headers={"Origin": "http://localhost:5173"})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]

    def test_an_origin_that_is_not_allowed_gets_no_cors_headers(self, http: httpx.Client) -> None:
        answer = http.get("/healthz", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in answer.headers


class TestFrontEndSettings:
    def test_the_task_list_can_be_wrapped_in_an_envelope(self, tmp_path: Path) -> None:
        settings = embedded_settings(tmp_path).model_copy(update={"task_list_envelope": True})
        migrate(settings)
        with running_server(settings) as server:
            ada = server.register()
            with ada.http:
                task = ada.create()
                assert ada.http.get(ada.tasks()).json() == {"tasks": [task], "total": 1}
                schemas = ada.http.get("/openapi.json").json()["components"]["schemas"]
                assert set(schemas["TaskListResponse"]["properties"]) == {"tasks", "total"}

    def test_url_user_id_can_be_optional_and_must_be_correct_if_sent(self, tmp_path: Path) -> None:
        settings = embedded_settings(tmp_path).model_copy(update={"require_url_user_id": False})
        migrate(settings)
        with running_server(settings) as server:
            ada, bob = server.register(), server.register("Bob")
            with ada.http, bob.http:
                task = ada.create()
                path = f"/api/{ada.id}/tasks"
                assert ada.http.get(path).json() == [task]
                assert ada.http.get(path, params={"url_user_id": bob.id}).status_code == 404
                assert bob.http.get(path).status_code == 404
                document = ada.http.get("/openapi.json").json()
                assert not url_user_id_in(document)["required"]

    def test_two_services_in_one_process_share_nothing(self, tmp_path: Path) -> None:
        first, second = embedded_settings(tmp_path / "a"), embedded_settings(tmp_path / "b")
        migrate(first)
        migrate(second)
        with running_server(first) as one, running_server(second) as other:
            ada = one.register()
            with ada.http, other.client(Authorization=f"Bearer {ada.token}") as stranger:
                assert ada.list() == []
                assert stranger.get(ada.tasks()).status_code == 401


class TestOpenApi:
    @pytest.fixture
    def document(self, http: httpx.Client) -> dict[str, Any]:
        found: dict[str, Any] = http.get("/openapi.json").json()
        return found

    def test_the_openapi_document_keeps_its_schema_and_field_names(
        self, document: dict[str, Any]
    ) -> None:
        schemas = document["components"]["schemas"]
        assert set(schemas) >= SCHEMAS
        assert "HTTPValidationError" not in schemas
        assert schemas["TaskListResponse"]["type"] == "array"
        assert not any("default" in each for each in schemas["TaskPatch"]["properties"].values())
        assert list(schemas["TaskResponse"]["properties"]) == [
            *("id", "user_id", "title", "description", "completed"),
            *("created_at", "updated_at", "version"),
            *("status", "completed_at", "priority", "due_date", "tags"),
            "reminders",
            *("recurrence_rule", "recurrence_pattern", "recurrence_interval"),
            *("repeat_from", "next_id", "position", "parent_id"),
        ]

    def test_every_operation_has_an_id_a_summary_and_a_description(
        self, document: dict[str, Any]
    ) -> None:
        names = [operation["operationId"] for operation in operations(document)]
        assert sorted(names) == sorted(set(names))
        assert all(re.fullmatch("[a-z_]+", name) for name in names)
        assert all(re.fullmatch(r"[A-Z][^.]+", each["summary"]) for each in operations(document))
        assert all(
            re.fullmatch(r"[A-Z].*\.", each["description"], re.DOTALL)
            for each in operations(document)
        )

    def test_every_error_is_described_as_a_problem(self, document: dict[str, Any]) -> None:
        for operation in operations(document):
            for status, response in operation["responses"].items():
                if status >= "400" and operation["operationId"] not in {"readyz", "startupz"}:
                    assert list(response["content"]) == ["application/problem+json"]
                    schema = response["content"]["application/problem+json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/Problem"}

    def test_task_operations_require_a_token_and_url_user_id(
        self, document: dict[str, Any]
    ) -> None:
        for operation in operations(document):
            if operation["tags"] == ["tasks"]:
                assert operation["security"] == [{"accessToken": []}]
                assert {"401", "404", "422", "503"} <= set(operation["responses"])
        assert url_user_id_in(document)["required"]

    def test_operations_that_need_a_token_document_401_429_and_503(
        self, document: dict[str, Any]
    ) -> None:
        secured = [operation for operation in operations(document) if operation["security"]]
        assert len(secured) > 10
        for operation in secured:
            assert {"401", "429", "503"} <= set(operation["responses"]), operation["operationId"]

    def test_task_ids_are_described_as_positive_integers(self, document: dict[str, Any]) -> None:
        parameters = document["paths"]["/api/{user_id}/tasks/{task_id}"]["get"]["parameters"]
        [schema] = [each["schema"] for each in parameters if each["name"] == "task_id"]
        assert (schema["type"], schema["minimum"]) == ("integer", 1)


class TestDocs:
    def test_the_docs_page_loads_nothing_from_another_host(self, http: httpx.Client) -> None:
        page = http.get("/docs")
        assert page.status_code == 200
        addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page.text)
        assert len(addresses) >= 3
        for address in addresses:
            assert address.startswith("/")
            assert http.get(address).status_code == 200

    def test_the_policy_of_the_docs_page_allows_only_its_own_scripts(
        self, http: httpx.Client
    ) -> None:
        policy = http.get("/docs").headers["content-security-policy"]
        assert "script-src 'self' 'sha256-" in policy
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy.partition("style-src")[0]


class TestHealth:
    def test_the_service_is_alive_and_ready(self, server: RunningServer) -> None:
        with server.client() as http:
            assert http.get("/healthz").json() == {"status": "ok"}
            ready = http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json() == {"status": "ok", "dependencies": {"database": "ok"}}

    def test_the_service_is_not_ready_on_an_outdated_schema(self, postgres_url: str) -> None:
        url = create_database(postgres_url)
        with running_server(postgres_settings(url)) as server, server.client() as http:
            ready = http.get("/readyz")
            assert ready.status_code == 503
            assert "todo migrate" in ready.json()["dependencies"]["database"]
            assert ready.headers["retry-after"]
            assert http.get("/startupz").json() == ready.json()
            migrate(postgres_settings(url))
            assert http.get("/startupz").status_code == 200
            assert http.get("/readyz").status_code == 200
        drop_database(url)

    def test_the_service_is_alive_but_not_ready_without_its_database_and_recovers(self) -> None:
        with running_postgres() as postgres:
            settings = postgres_settings(postgres.url())
            migrate(settings)
            with running_server(settings) as server:
                ada = server.register()
                with ada.http:
                    postgres.stop()
                    assert ada.http.get("/healthz").status_code == 200
                    assert ada.http.get("/startupz").status_code == 503
                    assert ada.http.get("/readyz").status_code == 503
                    answer = ada.http.get(ada.tasks())
                    assert answer.status_code == 503
                    assert answer.headers["retry-after"]
                    assert problem(answer)["code"] == "unavailable"
                    postgres.start()
                    assert ada.list() == []
                    assert ada.http.get("/readyz").status_code == 200
                    postgres.stop()
                    # It has started, and to restart it would not help.
                    assert ada.http.get("/startupz").status_code == 200
                    assert ada.http.get("/readyz").status_code == 503


class TestLog:
    def test_a_request_is_logged_in_one_line(self, ada: ApiUser) -> None:
        with structlog.testing.capture_logs() as lines:
            ada.http.get(ada.tasks("/7"), headers={"X-Request-ID": "this-one"})
        [line] = requests(lines)
        assert line.pop("duration_ms") > 0
        assert line == {
            "event": "request",
            "log_level": "info",
            "method": "GET",
            "route": "/api/{user_id}/tasks/{task_id}",
            "status": 404,
            "user_id": ada.id,
        }

    def test_a_failed_login_is_logged(self, http: httpx.Client) -> None:
        with structlog.testing.capture_logs() as lines:
            http.post("/api/auth/login", json={"email": "nobody@example.com", "password": "x"})
            http.get("/api/x/tasks")
        reasons = [line["reason"] for line in lines if line["event"] == "authentication.failed"]
        assert reasons == ["invalid_credentials", "invalid_token"]

    def test_a_request_for_another_users_tasks_is_logged(self, ada: ApiUser) -> None:
        with structlog.testing.capture_logs() as lines:
            ada.http.get(ada.tasks_of("somebody-else"))
        [line] = [line for line in lines if line["event"] == "access.denied"]
        assert line["user_id"] == ada.id

    @pytest.mark.parametrize("method", ["OPTIONS", "GET"])
    def test_a_refused_origin_is_logged_with_the_setting_that_allows_it(
        self, http: httpx.Client, method: str
    ) -> None:
        headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
        with structlog.testing.capture_logs() as lines:
            http.request(method, "/api/x/tasks", headers=headers)
        assert [line for line in lines if line["event"] == "cors.refused"] == [
            {
                "event": "cors.refused",
                "log_level": "warning",
                "origin": "https://app.example.com",
                "setting": "TODO_CORS_ORIGINS",
            }
        ]

    def test_an_origin_in_the_log_is_bounded_and_printable(self, http: httpx.Client) -> None:
        with structlog.testing.capture_logs() as lines:
            http.get("/healthz", headers={b"Origin": b"http://\xff\x9b" + b"a" * 5000})
        [line] = [line for line in lines if line["event"] == "cors.refused"]
        assert line["origin"] == "http://??" + "a" * 191

    def test_allowed_origins_and_the_own_origin_are_not_logged_as_refused(
        self, http: httpx.Client
    ) -> None:
        own = f"http://{http.base_url.netloc.decode()}"
        with structlog.testing.capture_logs() as lines:
            for origin in ("http://localhost:3000", own):
                http.post("/api/auth/login", headers={"Origin": origin})
            # As a proxy passes it on that changes `Host`.
            rewritten = {"Origin": "https://todo.example.com", "Sec-Fetch-Site": "same-origin"}
            http.post("/api/auth/login", headers=rewritten)
        assert not [line for line in lines if line["event"] == "cors.refused"]

    def test_a_missing_url_user_id_is_logged_with_its_setting(self, ada: ApiUser) -> None:
        with structlog.testing.capture_logs() as lines:
            answer = ada.http.get(f"/api/{ada.id}/tasks")
        assert answer.status_code == 422
        [line] = [line for line in lines if line["event"] == "url_user_id.missing"]
        assert line["setting"] == "TODO_REQUIRE_URL_USER_ID"

    def test_an_unknown_issuer_is_logged_with_the_known_ones_and_the_settings(
        self, http: httpx.Client
    ) -> None:
        token = Key.generate("EdDSA").sign(claims("https://auth.example.com", "todo", sub="ada"))
        with structlog.testing.capture_logs() as lines:
            answer = http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert [line for line in lines if line["event"] == "external_token.unknown_issuer"] == [
            {
                "event": "external_token.unknown_issuer",
                "log_level": "warning",
                "issuer": "https://auth.example.com",
                "known": ("todo",),
                "settings": ("BETTER_AUTH_URL", "TODO_EXTERNAL_ISSUERS"),
            }
        ]
        assert token not in str(lines)

    @pytest.mark.parametrize(
        "payload", [b"{", b"[]", b"[" * 4000, b'{"iss": 5}', b'{"sub": "ada"}', b'{"iss": "todo"}']
    )
    def test_a_refused_token_without_an_unknown_issuer_is_not_logged_as_one(
        self, http: httpx.Client, payload: bytes
    ) -> None:
        token = f"e30.{urlsafe_b64encode(payload).rstrip(b'=').decode()}.e30"
        with structlog.testing.capture_logs() as lines:
            answer = http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401
        assert not [line for line in lines if "issuer" in line]

    def test_an_issuer_in_the_log_is_bounded_and_printable(self, http: httpx.Client) -> None:
        token = Key.generate("EdDSA").sign(claims("a\x1b\n" + "b" * 900, "todo", sub="ada"))
        with structlog.testing.capture_logs() as lines:
            http.get("/api/auth/me", headers={"Authorization": f"Bearer {token}"})
        [line] = [line for line in lines if line["event"] == "external_token.unknown_issuer"]
        assert line["issuer"] == "a??" + "b" * 197


def requests(lines: list[EventDict]) -> list[EventDict]:
    return [line for line in lines if line["event"] == "request"]


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def url_user_id_in(document: dict[str, Any]) -> dict[str, Any]:
    parameters = document["paths"]["/api/{user_id}/tasks"]["get"]["parameters"]
    [found] = [parameter for parameter in parameters if parameter["name"] == "url_user_id"]
    return dict(found)


def run(transport: httpx.ASGITransport, url: str) -> httpx.Response:
    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(url)

    return anyio.run(get)
