"""Accounts over HTTP after registration: sessions, passwords, profile, deletion and limits."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
import structlog

from tests.support.concurrency import at_once
from tests.support.problems import problem
from tests.support.replacing import replaced
from tests.support.servers import RunningServer, running_server
from tests.support.settings import embedded_settings, migrate
from tests.support.users import PASSWORD, ApiUser
from tests.support.waiting import until
from todo_adapters.in_memory.mail import InMemoryMailer
from todo_adapters.sql.tables import TASKS
from todo_api.container import Container
from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.mail import PasswordResetEmail
from todo_core.use_cases.cleanup import BATCH

NEW = "another long sentence"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def log_in(http: httpx.Client, user: ApiUser, password: str = PASSWORD) -> dict[str, Any]:
    body = {"email": user.email, "password": password}
    answer = http.post("/api/auth/login", json=body, headers={"User-Agent": FIREFOX})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@contextmanager
def dual_stack_listener() -> Iterator[socket.socket]:
    """Bind a loopback socket that reports IPv4 clients by IPv4-mapped addresses."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::ffff:127.0.0.1", 0))
        yield listener


def post_from(address: str, url: str, **headers: str) -> httpx.Response:
    """Request a password reset from this loopback address."""
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address)) as http:
        return http.post(url, json={"email": "x"}, headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def refresh(http: httpx.Client, token: str) -> httpx.Response:
    return http.post("/api/auth/refresh", json={"refresh_token": token})


class TestRefresh:
    def test_a_refresh_returns_new_tokens(self, http: httpx.Client, ada: ApiUser) -> None:
        first = log_in(http, ada)
        answer = refresh(http, first["refresh_token"])
        second = answer.json()
        assert answer.status_code == 200
        assert list(second) == ["access_token", "token_type", "expires_in", "refresh_token"]
        assert second["refresh_token"] != first["refresh_token"]
        me = http.get("/api/auth/me", headers=bearer(second["access_token"]))
        assert me.json()["email"] == ada.email

    @pytest.mark.parametrize("token", ["", "nonsense", "todo_rt_" + "A" * 70])
    def test_an_unknown_refresh_token_is_refused(self, http: httpx.Client, token: str) -> None:
        answer = refresh(http, token)
        assert answer.status_code == 401
        assert problem(answer)["code"] == "invalid_refresh_token"
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_16_concurrent_refreshes_get_one_successor_and_keep_the_session(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        refresh_session = server.container.application().refresh_session
        token = (
            server.container.application()
            .log_in(email=ada.email, password=PASSWORD)
            .tokens.refresh_token
        )
        with ThreadPoolExecutor(16) as pool:
            for _ in range(200):
                used = token
                successors = {
                    tokens.refresh_token
                    for tokens in pool.map(
                        lambda _, used=used: refresh_session(refresh_token=used), range(16)
                    )
                }
                assert len(successors) == 1
                [token] = successors
                assert token != used


class TestSessions:
    def test_sessions_are_listed_with_device_and_address(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        token = log_in(http, ada)["access_token"]
        sessions = http.get("/api/auth/sessions", headers=bearer(token)).json()
        assert len(sessions) == 2
        assert list(sessions[0]) == [
            *("id", "device", "address", "current", "created_at", "last_used_at", "expires_at")
        ]
        assert sessions[0]["device"] == "Firefox on Linux"
        assert sessions[0]["address"] == "127.0.0.1"
        assert [session["current"] for session in sessions] == [True, False]

    def test_the_device_of_a_session_is_named_once_at_its_login(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        [session] = server.container.sessions().list(UserId(UUID(ada.id)))
        other = replace(
            session,
            id=SessionId(uuid4()),
            user_agent=FIREFOX,
            device="Ada's telephone",
            refreshed_at=session.refreshed_at + timedelta(seconds=1),
        )
        server.container.sessions().add(other)
        listed = ada.http.get("/api/auth/sessions").json()
        exported = ada.http.get("/api/auth/me/export").json()["sessions"]
        for sessions in (listed, exported):
            assert [each["device"] for each in sessions] == ["Ada's telephone", session.device]

    def test_concurrent_logins_leave_no_more_sessions_than_the_setting_allows(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        settings = server.container.settings().model_copy(update={"max_sessions_per_user": 2})
        container = Container(settings=settings)
        log_in = container.application().log_in
        assert at_once(4, lambda _: log_in(email=ada.email, password=PASSWORD)) == [None] * 4
        container.database().close()
        assert len(server.container.sessions().list(UserId(UUID(ada.id)))) == 2

    def test_after_a_logout_the_next_request_is_refused(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        tokens = log_in(http, ada)
        out = http.post("/api/auth/logout", headers=bearer(tokens["access_token"]))
        assert (out.status_code, out.content) == (204, b"")
        answer = http.get("/api/auth/me", headers=bearer(tokens["access_token"]))
        assert answer.status_code == 401
        assert problem(answer)["code"] == "invalid_token"
        assert refresh(http, tokens["refresh_token"]).status_code == 401
        assert ada.list() == []

    def test_a_session_can_be_revoked_from_another_session(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        lost = log_in(http, ada)
        sessions = ada.http.get("/api/auth/sessions").json()
        [lost_id] = [each["id"] for each in sessions if not each["current"]]
        assert ada.http.delete(f"/api/auth/sessions/{lost_id}").status_code == 204
        assert http.get("/api/auth/me", headers=bearer(lost["access_token"])).status_code == 401
        assert ada.http.delete(f"/api/auth/sessions/{lost_id}").status_code == 404

    def test_another_users_session_is_answered_like_one_that_does_not_exist(
        self, ada: ApiUser, bob: ApiUser
    ) -> None:
        [adas] = ada.http.get("/api/auth/sessions").json()
        answers = [
            bob.http.delete(f"/api/auth/sessions/{id}", headers={"X-Request-ID": "same"})
            for id in (adas["id"], "0b7a1b1c-0000-4000-8000-000000000000", "nonsense", "%00")
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert len({answer.content for answer in answers}) == 1
        assert ada.list() == []

    def test_all_other_sessions_can_be_revoked(self, http: httpx.Client, ada: ApiUser) -> None:
        others = [log_in(http, ada)["access_token"] for _ in range(2)]
        assert ada.http.delete("/api/auth/sessions").status_code == 204
        for token in others:
            assert http.get("/api/auth/me", headers=bearer(token)).status_code == 401
        assert len(ada.http.get("/api/auth/sessions").json()) == 1


class TestPasswords:
    @pytest.fixture
    def mailer(self, server: RunningServer) -> Iterator[InMemoryMailer]:
        """A mailer that keeps its emails, in place of the one that prints them."""
        mailer = InMemoryMailer()
        with replaced(server.container, mailer=mailer):
            yield mailer

    def reset_token(self, http: httpx.Client, mailer: InMemoryMailer, user: ApiUser) -> str:
        answer = http.post("/api/auth/forgot-password", json={"email": user.email})
        assert answer.status_code == 202
        until(lambda: mailer.sent)
        email = mailer.sent.pop()
        assert isinstance(email, PasswordResetEmail)
        return email.token

    def test_changing_the_password_revokes_other_sessions(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        other = log_in(http, ada)["access_token"]
        change = {"current_password": PASSWORD, "new_password": NEW}
        assert ada.http.post("/api/auth/change-password", json=change).status_code == 204
        assert http.get("/api/auth/me", headers=bearer(other)).status_code == 401
        assert ada.list() == []
        log_in(http, ada, NEW)

    def test_a_password_change_with_a_wrong_current_password_does_not_log_the_user_out(
        self, ada: ApiUser
    ) -> None:
        change = {"current_password": "wrong", "new_password": NEW}
        answer = ada.http.post("/api/auth/change-password", json=change)
        assert answer.status_code == 422
        assert problem(answer)["errors"][0] == {
            "pointer": "/current_password",
            "code": "incorrect",
            "message": "Current password is wrong.",
        }

    def test_forgot_password_has_the_same_response_for_every_email(
        self, http: httpx.Client, ada: ApiUser, mailer: InMemoryMailer
    ) -> None:
        answers = [
            http.post("/api/auth/forgot-password", json={"email": email})
            for email in (ada.email, "nobody@example.com", "no address")
        ]
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.content for answer in answers}) == 1
        self.reset_token(http, mailer, ada)

    def test_a_reset_token_can_be_used_once(
        self, http: httpx.Client, ada: ApiUser, mailer: InMemoryMailer
    ) -> None:
        token = self.reset_token(http, mailer, ada)
        body = {"token": token, "new_password": NEW}
        assert http.post("/api/auth/reset-password", json=body).status_code == 204
        again = http.post("/api/auth/reset-password", json=body)
        assert again.status_code == 400
        assert problem(again)["code"] == "invalid_reset_token"
        assert ada.http.get("/api/auth/me").status_code == 401
        log_in(http, ada, NEW)

    def test_of_16_concurrent_resets_with_one_token_exactly_one_succeeds(
        self, server: RunningServer, http: httpx.Client, ada: ApiUser, mailer: InMemoryMailer
    ) -> None:
        token = self.reset_token(http, mailer, ada)

        def reset(number: int) -> int:
            body = {"token": token, "new_password": f"another long sentence {number}"}
            with server.client() as client:
                return client.post("/api/auth/reset-password", json=body).status_code

        with ThreadPoolExecutor(16) as pool:
            statuses = list(pool.map(reset, range(16)))
        assert sorted(statuses) == [204] + [400] * 15
        log_in(http, ada, f"another long sentence {statuses.index(204)}")


class TestProfile:
    def test_the_name_of_a_profile_can_be_changed(self, ada: ApiUser) -> None:
        before = ada.http.get("/api/auth/me").json()
        answer = ada.http.patch("/api/auth/me", json={"name": "Ada Lovelace", "id": "x"})
        after = answer.json()
        assert answer.status_code == 200
        assert after == before | {"name": "Ada Lovelace", "updated_at": after["updated_at"]}
        assert ada.http.get("/api/auth/me").json() == after

    def test_changing_the_email_needs_the_password(self, http: httpx.Client, ada: ApiUser) -> None:
        email = f"new-{ada.email}"
        answer = ada.http.patch("/api/auth/me", json={"email": email})
        assert answer.status_code == 422
        assert problem(answer)["errors"][0]["pointer"] == "/current_password"
        body = {"email": email, "current_password": PASSWORD}
        assert ada.http.patch("/api/auth/me", json=body).json()["email"] == email
        login = {"email": email, "password": PASSWORD}
        assert http.post("/api/auth/login", json=login).status_code == 200

    def test_the_email_of_another_user_is_refused_as_taken(
        self, ada: ApiUser, bob: ApiUser
    ) -> None:
        body = {"email": bob.email.upper(), "current_password": PASSWORD}
        assert ada.http.patch("/api/auth/me", json=body).status_code == 409

    def test_an_export_contains_all_data_of_the_user_and_no_secret(self, ada: ApiUser) -> None:
        task = ada.create()
        export = ada.http.get("/api/auth/me/export").json()
        assert list(export) == ["user", "identities", "sessions", "tasks", "deleted_tasks"]
        assert export["user"]["email"] == ada.email
        assert export["tasks"] == [task]
        assert list(export["sessions"][0]) == [
            *("id", "user_agent", "device", "address"),
            *("created_at", "refreshed_at", "expires_at"),
        ]
        assert "$bcrypt" not in str(export)

    def test_a_deleted_account_cannot_be_used_and_its_email_can_be_registered_again(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        ada.create()
        wrong = ada.http.request("DELETE", "/api/auth/me", json={"current_password": "wrong"})
        assert wrong.status_code == 422
        body = {"current_password": PASSWORD}
        assert ada.http.request("DELETE", "/api/auth/me", json=body).status_code == 204
        assert ada.http.get(ada.tasks()).status_code == 401
        login = {"email": ada.email, "password": PASSWORD}
        assert http.post("/api/auth/login", json=login).status_code == 401
        registration = {"name": "Ada", **login}
        assert http.post("/api/auth/register", json=registration).status_code == 201

    def test_an_account_with_very_many_tasks_is_deleted_at_once_and_its_tasks_soon_after(
        self, server: RunningServer, http: httpx.Client, ada: ApiUser, bob: ApiUser
    ) -> None:
        kept = bob.create()
        first = ada.create()
        database = server.container.database()
        rows = [
            {name: first[name] for name in ("title", "completed", "version")}
            | {"id": first["id"] - number, "owner_id": UUID(ada.id)}
            | dict.fromkeys(("created_at", "updated_at"), datetime.now(UTC))
            for number in range(1, 2 * BATCH)
        ]
        with database.transaction() as transaction:
            transaction.connection.execute(TASKS.insert(), rows)
        body = {"current_password": PASSWORD}
        assert ada.http.request("DELETE", "/api/auth/me", json=body).status_code == 204
        assert ada.http.get(ada.tasks()).status_code == 401
        assert ada.http.get("/api/auth/me").status_code == 401
        login = {"email": ada.email, "password": PASSWORD}
        assert http.post("/api/auth/login", json=login).status_code == 401
        again = http.post("/api/auth/register", json={"name": "Ada", **login})
        assert again.status_code == 201
        assert again.json()["id"] != ada.id

        def left() -> int:
            return len(
                server.container.application().list_tasks(owner_id=UserId(UUID(ada.id))).tasks
            )

        until(lambda: left() == 0)
        assert bob.list() == [kept]


class TestClosedRegistration:
    def test_closed_registration_refuses_new_accounts_and_allows_logins(
        self, tmp_path: Any
    ) -> None:
        settings = embedded_settings(tmp_path)
        migrate(settings)
        with running_server(settings) as server:
            ada = server.register()
        closed = settings.model_copy(update={"registration": "closed"})
        with running_server(closed) as server, server.client() as http:
            answers = [
                http.post(
                    "/api/auth/register", json={"name": "Ada", "email": email, "password": PASSWORD}
                )
                for email in (ada.email, "new@example.com")
            ]
            assert [answer.status_code for answer in answers] == [403, 403]
            documents = [problem(answer) | {"request_id": ""} for answer in answers]
            assert documents[0] == documents[1]
            assert documents[0]["code"] == "registration_closed"
            log_in(http, ada)


class TestOtherProcesses:
    @pytest.mark.alone
    def test_a_revocation_reaches_other_processes_within_the_interval(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        settings = server.container.settings().model_copy(
            update={"session_check_interval": timedelta(seconds=1)}
        )
        # The processes share the database and the signing key, and nothing else.
        with running_server(settings) as other, other.client(**bearer(ada.token)) as there:
            assert there.get("/api/auth/me").status_code == 200
            ada.http.post("/api/auth/logout").raise_for_status()
            assert ada.http.get("/api/auth/me").status_code == 401
            revoked = time.monotonic()
            while there.get("/api/auth/me").status_code == 200:
                assert time.monotonic() - revoked < 2
                time.sleep(0.05)

    def test_a_process_that_starts_after_a_revocation_refuses_the_revoked_session(
        self, server: RunningServer, ada: ApiUser
    ) -> None:
        ada.http.post("/api/auth/logout").raise_for_status()
        with (
            running_server(server.container.settings()) as other,
            other.client(**bearer(ada.token)) as there,
        ):
            assert there.get("/api/auth/me").status_code == 401


class TestLimits:
    @pytest.fixture
    def limited(self, tmp_path: Any) -> Iterator[RunningServer]:
        settings = embedded_settings(tmp_path).model_copy(
            update={
                "rate_limit_enabled": True,
                "limit_login_account": "3/minute",
                "limit_register": "2/minute",
                "limit_forgot_address": "2/minute",
                "limit_tasks": "5/minute",
                "limit_refresh": "2/minute",
                "limit_reset_password": "2/minute",
                "limit_profile": "2/minute",
                "limit_sessions": "2/minute",
                "limit_export": "2/minute",
            }
        )
        migrate(settings)
        with running_server(settings) as server:
            yield server

    def test_a_login_over_its_limit_is_refused_with_the_time_to_retry(
        self, limited: RunningServer
    ) -> None:
        body = {"email": "ada@example.com", "password": "wrong"}
        with limited.client() as http, structlog.testing.capture_logs() as lines:
            statuses = [http.post("/api/auth/login", json=body).status_code for _ in range(3)]
            answer = http.post("/api/auth/login", json=body)
        assert statuses == [401] * 3
        assert answer.status_code == 429
        assert problem(answer)["code"] == "rate_limited"
        seconds = int(answer.headers["retry-after"])
        assert 0 < seconds <= 60
        assert answer.headers["ratelimit-policy"] == '"login_account";q=3;w=60'
        assert answer.headers["ratelimit"] == f'"login_account";r=0;t={seconds}'
        [throttled] = [line for line in lines if line["event"] == "request.throttled"]
        assert throttled["rule"] == "login_account"

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("register", {"name": "", "email": "", "password": ""}),
            ("forgot-password", {"email": "x"}),
            ("refresh", {"refresh_token": "x"}),
            ("reset-password", {"token": "x", "new_password": NEW}),
        ],
    )
    def test_each_unauthenticated_operation_has_its_own_limit(
        self, limited: RunningServer, path: str, body: dict[str, str]
    ) -> None:
        with limited.client() as http:
            statuses = [http.post(f"/api/auth/{path}", json=body).status_code for _ in range(3)]
        assert 429 not in statuses[:2]
        assert statuses[2] == 429

    def test_task_requests_are_limited_for_each_user(self, limited: RunningServer) -> None:
        ada, bob = limited.register(), limited.register("Bob")
        with ada.http, bob.http:
            statuses = [ada.http.get(ada.tasks()).status_code for _ in range(6)]
            assert statuses == [200] * 5 + [429]
            assert bob.list() == []

    @pytest.mark.parametrize("path", ["me", "me/export", "sessions"])
    def test_requests_for_an_account_are_limited_per_user(
        self, limited: RunningServer, path: str
    ) -> None:
        ada, bob = limited.register(), limited.register("Bob")
        with ada.http, bob.http:
            answers = [ada.http.get(f"/api/auth/{path}") for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert int(answers[-1].headers["retry-after"]) > 0
            assert bob.http.get(f"/api/auth/{path}").status_code == 200
            assert ada.list() == []

    def test_a_client_cannot_choose_its_address_by_a_forwarded_header(
        self, limited: RunningServer
    ) -> None:
        body = {"email": "x"}
        with limited.client() as http:
            statuses = [
                http.post(
                    "/api/auth/forgot-password",
                    json=body,
                    headers={"X-Forwarded-For": f"192.0.2.{number}"},
                ).status_code
                for number in range(3)
            ]
        assert statuses == [202, 202, 429]

    def test_ipv4_clients_of_a_dual_stack_socket_are_limited_separately(
        self, tmp_path: Any
    ) -> None:
        settings = embedded_settings(tmp_path).model_copy(
            update={"rate_limit_enabled": True, "limit_forgot_address": "2/minute"}
        )
        migrate(settings)
        with dual_stack_listener() as listener, running_server(settings, listener=listener):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/auth/forgot-password"
            statuses = {
                address: [post_from(address, url).status_code for _ in range(3)]
                for address in ("127.0.0.2", "127.0.0.3")
            }
        assert statuses == {"127.0.0.2": [202, 202, 429], "127.0.0.3": [202, 202, 429]}

    def test_a_trusted_proxy_may_connect_to_a_dual_stack_socket(self, tmp_path: Any) -> None:
        settings = embedded_settings(tmp_path).model_copy(
            update={
                "rate_limit_enabled": True,
                "limit_forgot_address": "2/minute",
                "trusted_proxies": ("127.0.0.2",),
            }
        )
        migrate(settings)
        with dual_stack_listener() as listener, running_server(settings, listener=listener):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/auth/forgot-password"
            statuses = {
                proxy: [
                    post_from(proxy, url, **{"X-Forwarded-For": f"192.0.2.{n}"}).status_code
                    for n in range(3)
                ]
                for proxy in ("127.0.0.2", "127.0.0.3")
            }
        assert statuses == {"127.0.0.2": [202, 202, 202], "127.0.0.3": [202, 202, 429]}

    def test_the_client_address_is_taken_from_a_trusted_proxy(self, tmp_path: Any) -> None:
        settings = embedded_settings(tmp_path).model_copy(
            update={"trusted_proxies": ("127.0.0.1",)}
        )
        migrate(settings)
        with running_server(settings) as server:
            ada = server.register()
            headers = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
            with ada.http:
                body = {"email": ada.email, "password": PASSWORD}
                answer = ada.http.post("/api/auth/login", json=body, headers=headers)
                sessions = ada.http.get("/api/auth/sessions").json()
        assert answer.headers["strict-transport-security"]
        assert [session["address"] for session in sessions] == ["192.0.2.7", "127.0.0.1"]
