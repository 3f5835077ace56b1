"""Secrets that are sent to every endpoint occur in no log, no error and no column.

The service runs as the command starts it, with the most verbose log. It receives a password, tokens
and a reset token, in correct and in incorrect requests. Everything that it wrote is then searched
for them.
"""

import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx

from tests.support.command import served

PASSWORD = "canary-password-sings-7f3a"
NEW_PASSWORD = "canary-another-sings-91bc"
EMAIL = "canary@example.com"


def test_no_secret_is_stored_logged_or_repeated_in_an_error(tmp_path: Path) -> None:
    with served(tmp_path, TODO_DEBUG="true", TODO_RATE_LIMIT_ENABLED="false") as server:
        http = httpx.Client(base_url=server.url, timeout=30)
        secrets, answers = use_secrets(http, server.log)
        for secret in secrets:
            answers += misuse_secret(http, secret)
        http.close()
    log = server.log.read_text()
    stored = stored_values(tmp_path / "todo-data" / "todo.db")
    emails = re.sub(r"\nTo: .*?\n(?=\{|\Z)", "\n", log, flags=re.DOTALL)
    assert len(secrets) >= 8
    assert "canary@example.com" in stored
    assert "INSERT INTO users" in log
    for secret in secrets:
        # The email is printed for its recipient. Only the email may contain its link.
        assert secret not in emails
        assert secret not in stored
    errors = [answer.text for answer in answers if answer.status_code >= 400]
    assert len(errors) > 50
    for secret in secrets:
        assert not any(secret in error for error in errors)


def use_secrets(http: httpx.Client, log: Path) -> tuple[list[str], list[httpx.Response]]:
    """Use every endpoint that handles a secret correctly; return the secrets and responses."""
    credentials = {"email": EMAIL, "password": PASSWORD}
    answers = [http.post("/api/auth/register", json={"name": "Canary", **credentials})]
    answers.append(http.post("/api/auth/login", json=credentials))
    first: dict[str, Any] = answers[-1].json()
    bearer = {"Authorization": f"Bearer {first['access_token']}"}
    answers.append(http.post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]}))
    second: dict[str, Any] = answers[-1].json()
    me = f"/api/{first['user']['id']}/tasks?url_user_id={first['user']['id']}"
    answers += [
        http.post(me, json={"title": "Buy milk"}, headers=bearer),
        http.get(me, headers=bearer),
        http.get("/api/auth/sessions", headers=bearer),
        http.get("/api/auth/me/export", headers=bearer),
        http.post("/api/auth/forgot-password", json={"email": EMAIL}),
    ]
    link = reset_token_in(log)
    answers += [
        http.post(
            "/api/auth/change-password",
            json={"current_password": "wrong", "new_password": NEW_PASSWORD},
            headers=bearer,
        ),
        http.post("/api/auth/reset-password", json={"token": link, "new_password": NEW_PASSWORD}),
        http.post("/api/auth/reset-password", json={"token": link, "new_password": NEW_PASSWORD}),
        http.post("/api/auth/login", json={"email": EMAIL, "password": NEW_PASSWORD}),
    ]
    third: dict[str, Any] = answers[-1].json()
    assert [answer.status_code for answer in answers] == [
        *(201, 200, 200, 201, 200, 200, 200, 202),
        *(422, 204, 400, 200),
    ]
    secrets = [PASSWORD, NEW_PASSWORD, link]
    for tokens in (first, second, third):
        secrets += [tokens["access_token"], tokens["refresh_token"]]
    return list(dict.fromkeys(secrets)), answers


def misuse_secret(http: httpx.Client, secret: str) -> list[httpx.Response]:
    """Send a secret in fields, paths and headers that are not meant for it."""
    bearer = {"Authorization": f"Bearer {secret}"}
    field = secret * 10
    return [
        http.post("/api/auth/login", json={"email": secret, "password": secret}),
        http.post("/api/auth/register", json={"name": field, "email": secret, "password": field}),
        http.post("/api/auth/refresh", json={"refresh_token": secret + "x"}),
        http.post("/api/auth/reset-password", json={"token": secret + "x", "new_password": field}),
        http.get(f"/api/{secret}/tasks", headers=bearer),
        http.get(f"/api/auth/me?token={secret}", headers=bearer),
        http.delete(f"/api/auth/sessions/{secret}", headers=bearer),
        http.post("/api/auth/login", content=f'{{"password": "{secret}"'),
        http.post("/api/auth/login", json={"password": {"value": secret}}),
        http.get(f"/{secret}"),
    ]


def reset_token_in(log: Path) -> str:
    """Return the reset token of the email that was printed."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if found := re.search(r"\?token=([\w-]+)", log.read_text()):
            return found.group(1)
        time.sleep(0.05)
    raise AssertionError("no email was printed")


def stored_values(database: Path) -> str:
    """Return every value of every column of every table, as text."""
    with sqlite3.connect(database) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        rows = [
            row
            for (table,) in tables.fetchall()
            for row in connection.execute(f'SELECT * FROM "{table}"').fetchall()
        ]
    connection.close()
    return repr(rows)
