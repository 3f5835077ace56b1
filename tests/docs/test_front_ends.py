"""docs/front-ends.md: the responses and log events for forgotten settings."""

import re
from collections.abc import Iterator

import httpx
import jwt
import orjson
import pytest

from tests.docs.pages import ROOT
from tests.docs.service import Service

PAGE = (ROOT / "docs" / "front-ends.md").read_text()
ORIGIN = "https://app.example.com"
ISSUER = "http://localhost:3000"
ADA = {"name": "Ada", "email": "ada@front-end.example.com", "password": "a rather long sentence"}


@pytest.fixture
def http(service: Service) -> Iterator[httpx.Client]:
    """A client without a token."""
    with httpx.Client(base_url=service.url) as client:
        yield client


def row(setting: str) -> list[str]:
    """Return the cells of the table's row about a setting that was forgotten."""
    [line] = re.findall(rf"^\| \[[^\]]*`{setting}[^\]]*\]\(#.*$", PAGE, re.MULTILINE)
    return [cell.strip() for cell in line.strip("|").split("|")]


def check(setting: str, response: httpx.Response) -> None:
    """Check that the page has the status and the code of the response."""
    _, status, code, *_ = row(setting)
    assert response.status_code == int(status[:3])
    assert response.json()["code"] in code


def check_example(service: Service, response: httpx.Response, name: str) -> None:
    """Check that an event was logged for the response, and that the page shows it.

    The page leaves out what differs between any two requests.
    """
    request_id = response.headers["X-Request-ID"]
    [event] = [
        event
        for event in service.events()
        if (event["event"], event.get("request_id")) == (name, request_id)
    ]
    shown = {key: event[key] for key in event if key not in ("address", "request_id", "timestamp")}
    assert f"{orjson.dumps(shown).decode().removesuffix('}')},…}}" in PAGE


def test_an_origin_that_is_not_configured_is_refused_and_logged(
    service: Service, http: httpx.Client
) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    response = http.options("/api/auth/login", headers=headers)
    check("TODO_CORS_ORIGINS", response)
    assert "Access-Control-Allow-Origin" not in response.headers
    check_example(service, response, "cors.refused")


def test_a_missing_url_user_id_is_refused_and_logged(service: Service, http: httpx.Client) -> None:
    http.post("/api/auth/register", json=ADA).raise_for_status()
    login = http.post("/api/auth/login", json={k: ADA[k] for k in ("email", "password")}).json()
    headers = {"Authorization": f"Bearer {login['access_token']}"}
    response = http.get(f"/api/{login['user']['id']}/tasks", headers=headers)
    check("TODO_REQUIRE_URL_USER_ID", response)
    assert response.json()["errors"][0]["pointer"] == "/url_user_id"
    check_example(service, response, "url_user_id.missing")


def test_a_token_of_an_unknown_issuer_is_refused_and_logged(
    service: Service, http: httpx.Client
) -> None:
    token = jwt.encode({"sub": "abc", "iss": ISSUER}, "a secret of thirty-two bytes at least")
    headers = {"Authorization": f"Bearer {token}"}
    response = http.get("/api/abc/tasks?url_user_id=abc", headers=headers)
    check("BETTER_AUTH_URL", response)
    check_example(service, response, "external_token.unknown_issuer")
    check_example(service, response, "authentication.failed")
