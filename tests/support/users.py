"""Registered users of a running service, with methods for their tasks."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from tests.support.clients import client_of

PASSWORD = "a rather long sentence"
_numbers = count(1)


@dataclass(frozen=True)
class ApiUser:
    """A user who registered and logged in, with a client that sends their token."""

    id: str
    email: str
    token: str
    http: httpx.Client

    def tasks(self, path: str = "", /, **parameters: str) -> httpx.URL:
        """Return the URL of their tasks, or of a path below it."""
        return self.tasks_of(self.id, path, **parameters)

    def tasks_of(self, owner: str, path: str = "", /, **parameters: str) -> httpx.URL:
        """Return the URL of the owner's tasks, as this user would request it."""
        query = {"url_user_id": self.id, **parameters}
        return httpx.URL(f"/api/{owner}/tasks{path}").copy_merge_params(query)

    def create(self, title: str = "Buy milk", **fields: Any) -> dict[str, Any]:  # JSON
        """Create a task and return it."""
        answer = self.http.post(self.tasks(), json={"title": title, **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def list(self) -> list[dict[str, Any]]:  # JSON
        """Return all of their tasks, from all pages."""
        return every_task(self.http, self.tasks())


def every_task(http: httpx.Client, url: httpx.URL) -> list[dict[str, Any]]:  # JSON
    """Return the tasks of all pages, from the one at this URL on."""
    tasks = []
    while True:
        answer = http.get(url)
        assert answer.status_code == 200, answer.text
        tasks += answer.json()
        if "next" not in answer.links:
            return tasks
        url = httpx.URL(answer.links["next"]["url"])


def register_user(url: str, name: str = "Ada") -> ApiUser:
    """Register a new user at the service at this URL, and log them in."""
    email = f"{name.lower()}{next(_numbers)}@example.com"
    with client_of(url) as http:
        registration = {"name": name, "email": email, "password": PASSWORD}
        http.post("/api/auth/register", json=registration).raise_for_status()
        login = {"email": email, "password": PASSWORD}
        answer = http.post("/api/auth/login", json=login).raise_for_status().json()
    token = answer["access_token"]
    client = client_of(url, Authorization=f"Bearer {token}")
    return ApiUser(answer["user"]["id"], email, token, client)
