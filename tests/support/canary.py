"""Recognisable secrets, sent to each endpoint that handles one, and to where they do not belong."""

import re
import time
from pathlib import Path
from typing import Any

import httpx

PASSWORD = "canary-password-sings-7f3a"
NEW_PASSWORD = "canary-another-sings-91bc"
EMAIL = "canary@example.com"


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
