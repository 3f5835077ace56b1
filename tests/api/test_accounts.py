"""Registration, login and profile over HTTP."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import UUID

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import RunningServer
from tests.support.users import PASSWORD, ApiUser

_numbers = count(1)


def registration(**changes: object) -> dict[str, object]:
    return {
        "name": "Ada",
        "email": f"new{next(_numbers)}@example.com",
        "password": PASSWORD,
        **changes,
    }


class TestRegister:
    def test_a_registration_creates_an_account(self, http: httpx.Client) -> None:
        answer = http.post("/api/auth/register", json=registration(name="  Ada  "))
        user = answer.json()
        assert answer.status_code == 201
        assert list(user) == ["id", "name", "email", "created_at", "updated_at", "message"]
        assert UUID(user["id"]).version == 4
        assert user["name"] == "Ada"
        assert user["created_at"].endswith("Z")
        assert isinstance(user["message"], str)

    def test_unknown_fields_of_a_registration_are_ignored(self, http: httpx.Client) -> None:
        id = "11111111-1111-4111-8111-111111111111"
        user = http.post("/api/auth/register", json=registration(id=id, role="admin")).json()
        assert user["id"] != id

    def test_registering_a_taken_email_in_any_case_is_a_conflict(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        answer = http.post("/api/auth/register", json=registration(email=ada.email.upper()))
        assert answer.status_code == 409
        assert problem(answer)["code"] == "email_taken"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"name": ""}, "too_short"),
            ({"name": "   "}, "too_short"),
            ({"name": "a" * 101}, "too_long"),
            ({"name": "a\x00"}, "invalid_characters"),
            ({"name": 5}, "invalid_type"),
            ({"email": "ada"}, "invalid_email"),
            ({"email": "ada@localhost"}, "invalid_email"),
            ({"email": "ada@example.com\n"}, "invalid_characters"),
            ({"email": f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.com"}, "too_long"),
            ({"password": "short 7"}, "too_short"),
            ({"password": "a" * 129}, "too_long"),
            ({"password": "password1"}, "too_common"),
            ({"password": "Password1"}, "too_common"),
            ({"password": "a\ud800" + "b" * 8}, "invalid_characters"),
            ({"password": None}, "invalid_type"),
        ],
    )
    def test_an_invalid_field_of_a_registration_is_reported_with_its_code(
        self, http: httpx.Client, change: dict[str, object], code: str
    ) -> None:
        body = json.dumps(registration(**change))
        headers = {"Content-Type": "application/json"}
        answer = http.post("/api/auth/register", content=body, headers=headers)
        assert answer.status_code == 422
        [error] = problem(answer)["errors"]
        assert error["pointer"] == f"/{next(iter(change))}"
        assert error["code"] == code

    def test_all_invalid_fields_of_a_registration_are_reported_together(
        self, http: httpx.Client
    ) -> None:
        answer = http.post(
            "/api/auth/register", json={"name": "", "email": "ada", "password": "short"}
        )
        assert [error["pointer"] for error in problem(answer)["errors"]] == [
            "/name",
            "/email",
            "/password",
        ]

    @pytest.mark.parametrize("field", ["name", "email"])
    def test_a_password_must_not_equal_the_email_or_name(
        self, http: httpx.Client, field: str
    ) -> None:
        body = registration(name="Ada Lovelace")
        answer = http.post("/api/auth/register", json=body | {"password": str(body[field]).upper()})
        assert problem(answer)["errors"][0]["code"] == "repeats_identity"

    def test_of_32_concurrent_registrations_of_one_email_exactly_one_succeeds(
        self, server: RunningServer
    ) -> None:
        body = registration()
        with server.client() as http, ThreadPoolExecutor(32) as pool:
            answers = list(
                pool.map(lambda _: http.post("/api/auth/register", json=body), range(32))
            )
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 31


class TestLogin:
    def test_a_login_returns_the_tokens_and_the_user(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        answer = http.post("/api/auth/login", json={"email": ada.email, "password": PASSWORD})
        body = answer.json()
        assert answer.status_code == 200
        assert list(body) == ["access_token", "token_type", "expires_in", "refresh_token", "user"]
        assert body["token_type"] == "bearer"
        assert body["expires_in"] == 3600
        assert list(body["user"]) == ["id", "name", "email", "created_at", "updated_at"]
        assert answer.headers["cache-control"] == "no-store"
        token = {"Authorization": f"Bearer {body['access_token']}"}
        profile = http.get("/api/auth/me", headers=token).json()
        assert profile == body["user"] | {"time_zone": "UTC", "reminder_emails": True}

    def test_the_email_of_a_login_may_be_written_in_any_case(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        answer = http.post(
            "/api/auth/login", json={"email": ada.email.upper(), "password": PASSWORD}
        )
        assert answer.status_code == 200

    def test_a_wrong_email_and_a_wrong_password_get_the_same_response(
        self, http: httpx.Client, ada: ApiUser
    ) -> None:
        pairs = [
            (ada.email, "not the right one"),
            ("nobody@example.com", PASSWORD),
            ("no email at all", PASSWORD),
            (ada.email, ""),
            (ada.email, "\x00"),
            (ada.email, "a" * 10_000),
        ]
        answers = [
            http.post(
                "/api/auth/login",
                json={"email": email, "password": password},
                headers={"X-Request-ID": "same"},
            )
            for email, password in pairs
        ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert problem(answers[0])["code"] == "invalid_credentials"
        assert answers[0].headers["www-authenticate"] == "Bearer"

    def test_every_character_of_a_long_password_counts(self, http: httpx.Client) -> None:
        body = registration(password="é" * 100 + "a")
        http.post("/api/auth/register", json=body).raise_for_status()
        login = {"email": body["email"], "password": "é" * 100 + "b"}
        assert http.post("/api/auth/login", json=login).status_code == 401
        login["password"] = "e\u0301" * 100 + "a"
        assert http.post("/api/auth/login", json=login).status_code == 200


class TestProfile:
    def test_the_profile_endpoint_returns_the_profile_of_the_caller(
        self, ada: ApiUser, bob: ApiUser
    ) -> None:
        assert ada.http.get("/api/auth/me").json()["email"] == ada.email
        assert bob.http.get("/api/auth/me").json()["email"] == bob.email

    def test_the_profile_needs_an_access_token(self, http: httpx.Client) -> None:
        answer = http.get("/api/auth/me")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"

    def test_a_token_of_a_deleted_account_is_refused(self, server: RunningServer) -> None:
        from sqlalchemy import text

        ada = server.register()
        with server.container.database().engine.connect() as connection:
            connection.execute(text(f"DELETE FROM users WHERE id = '{stored_id(server, ada)}'"))
        with ada.http:
            assert ada.list() == []
            for answer in (
                ada.http.get("/api/auth/me"),
                ada.http.post(ada.tasks(), json={"title": "Buy milk"}),
            ):
                assert answer.status_code == 401
                assert problem(answer)["code"] == "account_gone"


def stored_id(server: RunningServer, user: ApiUser) -> str:
    """Return a user's id as the database stores it."""
    is_sqlite = server.container.database().engine.dialect.name == "sqlite"
    return UUID(user.id).hex if is_sqlite else user.id
