"""Regression tests for faults that fuzzing found."""

import re
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.problems import problem
from tests.support.servers import RunningServer
from todo_api.http.schemas.text import LINE_PATTERN, PROSE_PATTERN
from todo_api.server.middleware import SizeLimits
from todo_core.entities.task import Description, Title
from todo_core.errors import ValidationFailed

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def http(sqlite_server: RunningServer) -> Iterator[httpx.Client]:
    with sqlite_server.client() as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        {"content": b'{"title": ', "headers": JSON},
        {"content": b"title=a", "headers": {"Content-Type": "text/plain"}},
        {"content": b'{"title": 5}', "headers": JSON},
    ],
    ids=["no JSON", "another media type", "invalid"],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/x/tasks"), ("PATCH", "/api/auth/me")])
def test_an_unauthenticated_request_is_answered_with_401_whatever_else_is_wrong(
    http: httpx.Client, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = http.request(method, path, **body)
    assert answer.status_code == 401
    assert problem(answer)["code"] == "invalid_token"


@pytest.mark.parametrize(
    ("origin", "method"),
    [("https://evil.example", "GET"), ("http://localhost:3000", "TRACE"), ("null", "DELETE")],
)
def test_a_refused_preflight_is_answered_with_a_problem(
    http: httpx.Client, origin: str, method: str
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    answer = http.options("/api/x/tasks", headers=headers)
    assert answer.status_code == 400
    assert problem(answer)["code"] == "cors_refused"
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (origin if origin == "http://localhost:3000" else None)


@pytest.mark.parametrize("wanted", ["bytes=0-1", "bytes=99999999-", "bytes=-", "chairs=1-2"])
def test_a_range_request_for_a_docs_asset_returns_the_whole_file(
    http: httpx.Client, wanted: str
) -> None:
    path = "/docs/assets/favicon.png"
    answer = http.get(path, headers={"Range": wanted})
    assert answer.status_code == 200
    assert answer.content == http.get(path).content


def test_a_body_that_is_too_large_does_not_interrupt_a_started_response() -> None:
    async def answers_before_the_body_came(_: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        await send({"type": "http.response.body", "body": b"all of it"})

    async def too_much() -> Message:
        return {"type": "http.request", "body": b"a" * 11, "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    limit = SizeLimits(answers_before_the_body_came, max_body_size=10)
    scope = {"type": "http", "query_string": b"", "headers": []}
    anyio.run(limit, scope, too_much, send)
    assert [message.get("body") for message in sent] == [None, b"all of it"]


@pytest.mark.parametrize(("pattern", "text"), [(LINE_PATTERN, Title), (PROSE_PATTERN, Description)])
def test_the_openapi_patterns_allow_the_characters_that_the_core_allows(
    pattern: str, text: type[Title | Description]
) -> None:
    for between in (*map(chr, range(0x100)), "\r\n", "\u2028", "\U0001f600"):
        sent = f"a{between}b"
        try:
            text(sent)
        except ValidationFailed:
            assert not re.search(pattern, sent), ascii(sent)
        else:
            assert re.search(pattern, sent), ascii(sent)
