"""No data of users, and nothing secret, occurs in anything that is exported.

The service exports a trace of every request, and its log at the most verbose level. Clients send
recognisable words in every place that takes text, and in places where they do not belong.
"""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.canary import EMAIL, NEW_PASSWORD, PASSWORD, misuse_secret, use_secrets
from tests.support.clients import client_of
from tests.support.command import Served, served
from tests.support.event_streams import open_stream, ticket_of
from tests.support.otlp import Collector, collecting, exporting_to
from tests.support.postgres import empty_database
from tests.support.settings import environment_on
from tests.support.users import ApiUser
from tests.support.waiting import until

TITLE, DESCRIPTION, TAG, WORD = (
    f"canary-{kind}-{secrets.token_hex(4)}" for kind in ("title", "description", "tag", "word")
)
LAST_TRACE = "a" * 32
HEADERS = {
    **dict.fromkeys(("User-Agent", "Host", "Referer", "X-Forwarded-For", "X-Client"), WORD),
    "traceparent": f"00-{LAST_TRACE}-{'b' * 16}-01",
    **dict.fromkeys(("tracestate", "baggage"), f"a={WORD}"),
}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Mapping[str, str]:
    if request.param == "sqlite":
        return {}
    url: str = request.getfixturevalue("shared_postgres")
    empty_database(url)
    return environment_on(url)


def test_no_data_of_users_is_exported(tmp_path: Path, database: Mapping[str, str]) -> None:
    settings = {"TODO_DEBUG": "true", "TODO_RATE_LIMIT_ENABLED": "false", **database}
    with (
        collecting() as collector,
        served(
            tmp_path, **exporting_to(collector), OTEL_LOGS_EXPORTER="otlp", **settings
        ) as server,
        client_of(server.url) as http,
    ):
        words, answers = use_secrets(http, server.log)
        login = {"email": EMAIL, "password": NEW_PASSWORD}
        token = http.post("/api/auth/login", json=login).raise_for_status().json()
        with client_of(server.url, Authorization=f"Bearer {token['access_token']}") as own:
            ada = ApiUser(token["user"]["id"], EMAIL, token["access_token"], own)
            use_tasks(ada)
            ticket = use_stream(server, ada)
            words += [token["access_token"], token["refresh_token"], ticket]
        words += [TITLE, DESCRIPTION, TAG, WORD, EMAIL, PASSWORD]
        for word in words:
            answers += misuse_secret(http, word)
        http.get("/healthz", headers={**HEADERS, "X-Request-ID": "the-end"})
        until(lambda: the_end_is_exported(collector), seconds=30)
    exported = b"".join(collector.bodies)
    assert len(answers) > 100
    assert len(collector.spans) > 200
    assert len(collector.lines) > 200
    assert {"SELECT tasks", "INSERT tasks", "IssueStreamTicket"} <= {
        span.name for span in collector.spans
    }
    assert b"INSERT INTO users" in exported
    assert len(collector.trace(LAST_TRACE)) == 1
    for word in set(words):
        assert word.encode() not in exported


def the_end_is_exported(collector: Collector) -> bool:
    is_logged = any(line.attributes.get("request_id") == "the-end" for line in collector.lines)
    return is_logged and bool(collector.trace(LAST_TRACE))


def use_tasks(ada: ApiUser) -> None:
    """Use the endpoints of tasks, with words in every place that takes text."""
    task = ada.create(TITLE, description=DESCRIPTION, tags=[TAG])
    ada.create(f"{TITLE} again", tags=[TAG, WORD], parent_id=task["id"])
    path = f"/{task['id']}"
    for url in (
        *(ada.tasks(), ada.tasks(path), ada.tasks("/stats"), ada.tasks("/tags")),
        *(ada.tasks(search=TITLE), ada.tasks(tag=TAG), ada.tasks(sort="title", search=WORD)),
        *(ada.tasks("/changes"), ada.tasks(deleted="true")),
        httpx.URL("/api/auth/me/export"),
    ):
        ada.http.get(url).raise_for_status()
    changes: list[tuple[str, httpx.URL, dict[str, Any]]] = [
        ("PATCH", ada.tasks(path), {"title": TITLE, "description": WORD}),
        ("PUT", ada.tasks(path), {"title": TITLE, "description": WORD, "tags": [TAG]}),
        ("POST", ada.tasks("/bulk"), {"operations": [{"op": "create", "task": {"title": WORD}}]}),
    ]
    for method, url, body in changes:
        for key in (WORD, f"other-{WORD}"):
            answer = ada.http.request(method, url, json=body, headers={"Idempotency-Key": key})
            assert answer.status_code < 500, answer.text
    ada.http.patch(ada.tasks(f"{path}/complete")).raise_for_status()
    ada.http.delete(ada.tasks(path)).raise_for_status()
    ada.http.post(ada.tasks(f"{path}/restore")).raise_for_status()
    ada.http.patch("/api/auth/me", json={"name": WORD}).raise_for_status()


def use_stream(server: Served, ada: ApiUser) -> str:
    """Open a stream with a ticket in its URL, and return the ticket."""
    ticket = ticket_of(ada)
    with open_stream(server.url, ada.tasks("/events", ticket=ticket)) as stream:
        stream.next()
    with open_stream(server.url, ada.tasks("/events"), token=ada.token) as stream:
        stream.next()
    with client_of(server.url) as http:
        assert http.get(ada.tasks("/events", ticket=ticket)).status_code == 401
    return ticket
