"""Invalid requests are answered with a problem document, and store nothing."""

import json
from typing import Any

import httpx
import pytest

from tests.support.problems import problem
from tests.support.servers import RunningServer
from tests.support.users import ApiUser

JSON = {"Content-Type": "application/json"}

HOSTILE_BODIES = {
    "an empty title": (b'{"title": ""}', 422, "too_short"),
    "a title of white space": (b'{"title": " \xc2\xa0 "}', 422, "too_short"),
    "a title of 201 characters": (json.dumps({"title": "a" * 201}).encode(), 422, "too_long"),
    "a NUL": (b'{"title": "a\\u0000b"}', 422, "invalid_characters"),
    "an escape character": (b'{"title": "a\\u001bb"}', 422, "invalid_characters"),
    "a line break": (b'{"title": "a\\nb"}', 422, "invalid_characters"),
    "a lone surrogate": (b'{"title": "\\ud800"}', 422, "invalid_characters"),
    "a lone surrogate in a description": (
        b'{"title": "a", "description": "\\udfff"}',
        422,
        "invalid_characters",
    ),
    "a description of 1001 characters": (
        json.dumps({"title": "a", "description": "b" * 1001}).encode(),
        422,
        "too_long",
    ),
    "a number as a title": (b'{"title": 5}', 422, "invalid_type"),
    "null as a title": (b'{"title": null}', 422, "invalid_type"),
    "no title": (b"{}", 422, "required"),
    "an array": (b"[]", 422, "invalid_type"),
    "a string": (b'"title"', 422, "invalid_type"),
    "null": (b"null", 422, "invalid_type"),
    "nothing": (b"", 422, "required"),
    "NaN": (b'{"title": NaN}', 400, None),
    "NaN in a field that is ignored": (b'{"title": "a", "other": NaN}', 400, None),
    "Infinity": (b'{"title": -Infinity}', 400, None),
    "a cut-off body": (b'{"title": "a"', 400, None),
    "invalid UTF-8": (b'{"title": "\xff\xfe"}', 400, None),
    "a surrogate in UTF-8": (b'{"title": "\xed\xa0\x80"}', 400, None),
    "UTF-16": ('{"title": "a"}'.encode("utf-16"), 400, None),
    "JSON nested 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, 400, None),
    "objects nested 6,000 deep": (b'{"title":' * 6_000 + b"1" + b"}" * 6_000, 422, "invalid_type"),
    "an integer of 10,000 digits": (b'{"title": ' + b"9" * 10_000 + b"}", 400, None),
    "1 MB": (b'{"title": "' + b"a" * 1_000_000 + b'"}', 413, None),
}


@pytest.mark.parametrize(("body", "status", "code"), HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
def test_a_hostile_body_is_refused_and_no_task_is_stored(
    ada: ApiUser, body: bytes, status: int, code: str | None
) -> None:
    answer = ada.http.post(ada.tasks(), content=body, headers=JSON)
    assert answer.status_code == status
    document = problem(answer)
    if code is not None:
        assert [error["code"] for error in document["errors"]] == [code]
    assert ada.list() == []


@pytest.mark.parametrize(
    "body", [body for body, _, _ in HOSTILE_BODIES.values() if len(body) < 100_000]
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_hostile_body_does_not_change_a_task(ada: ApiUser, method: str, body: bytes) -> None:
    task = ada.create()
    answer = ada.http.request(method, ada.tasks(f"/{task['id']}"), content=body, headers=JSON)
    if not (method == "PATCH" and body == b"{}"):
        problem(answer)
    assert answer.status_code < 500
    assert ada.list() == [task]


@pytest.mark.parametrize(
    "task_id",
    ["0", "-1", f"{2**63}", f"{10**30}", "abc", "1.0", "+1", "01", "%20", "١", "1_0", "%00"],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_a_malformed_task_id_is_not_found(ada: ApiUser, method: str, task_id: str) -> None:
    body = {"title": "a"} if method in ("PUT", "PATCH") else None
    answer = ada.http.request(method, ada.tasks(f"/{task_id}"), json=body)
    assert answer.status_code == 404
    assert problem(answer)["code"] == "task_not_found"


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "json", "a/json"])
def test_a_body_without_a_json_content_type_is_refused(ada: ApiUser, content_type: str) -> None:
    answer = ada.http.post(
        ada.tasks(), content=b'{"title": "a"}', headers={"Content-Type": content_type}
    )
    assert answer.status_code == 415
    assert problem(answer)["code"] == "unsupported_media_type"
    assert ada.list() == []


@pytest.mark.parametrize(
    "content_type",
    ["application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json"],
)
def test_variants_of_the_json_content_type_are_accepted(ada: ApiUser, content_type: str) -> None:
    answer = ada.http.post(
        ada.tasks(), content=b'{"title": "a"}', headers={"Content-Type": content_type}
    )
    assert answer.status_code == 201


def test_a_large_body_without_a_content_length_is_refused(ada: ApiUser) -> None:
    answer = ada.http.post(ada.tasks(), content=(b"a" * 1024 for _ in range(200)), headers=JSON)
    assert answer.status_code == 413
    assert problem(answer)["code"] == "body_too_large"


@pytest.mark.parametrize(
    "query", ["a" * 8193, "&".join(["a=1"] * 101), "&" * 100], ids=["long", "many", "empty"]
)
def test_a_long_query_is_refused_before_it_is_parsed(http: httpx.Client, query: str) -> None:
    for path in ("/healthz", "/api/tasks/events", "/nothing"):
        answer = http.get(f"{path}?{query}")
        assert answer.status_code == 414
        assert problem(answer)["code"] == "uri_too_long"


def test_the_longest_query_is_accepted(http: httpx.Client) -> None:
    for query in ("a" * 8192, "&".join(["a=1"] * 100)):
        assert http.get(f"/healthz?{query}").status_code == 200


def test_an_unknown_url_is_not_found(http: httpx.Client) -> None:
    for path in (
        "/nothing",
        "/api",
        "/api/",
        "/healthz/",
        "/docs/assets/../../pyproject.toml",
    ):
        answer = http.get(path)
        assert answer.status_code == 404
        assert problem(answer)["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/auth/register", "POST"),
        ("/api/auth/me", "DELETE, GET, PATCH"),
        ("/api/auth/sessions", "DELETE, GET"),
        ("/api/x/tasks", "DELETE, GET, POST"),
        ("/api/x/tasks/1", "DELETE, GET, PATCH, PUT"),
        ("/api/x/tasks/1/complete", "PATCH"),
        ("/api/tasks", "DELETE, GET, POST"),
        ("/api/tasks/bulk", "DELETE, GET, PATCH, POST, PUT"),
        ("/api/tasks/1", "DELETE, GET, PATCH, PUT"),
        ("/healthz", "GET"),
    ],
)
def test_an_unsupported_method_is_refused_with_the_allowed_ones(
    http: httpx.Client, path: str, allowed: str
) -> None:
    answer = http.request("TRACE", path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert problem(answer)["code"] == "method_not_allowed"


def test_the_response_to_an_unexpected_error_reveals_no_details(
    server: RunningServer, ada: ApiUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> Any:  # never returns
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    monkeypatch.setattr(type(server.container.tasks()), "page", explode)
    answer = ada.http.get(ada.tasks(), headers={"Origin": "http://localhost:3000"})
    assert answer.status_code == 500
    assert problem(answer)["code"] == "internal_error"
    assert "secret" not in answer.text
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert answer.headers["x-content-type-options"] == "nosniff"
