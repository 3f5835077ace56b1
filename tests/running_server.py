"""The whole service, served by uvicorn on a thread of the test process."""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from socket import socket
from threading import Thread
from typing import Any

import httpx
import uvicorn
from dependency_injector import providers
from fastapi import FastAPI

from todo_api.app import create_app
from todo_api.container import Container
from todo_api.server.options import server_options
from todo_api.settings import Settings
from todo_core.ports.clock import Clock
from todo_core.ports.passwords import PasswordHasher

PASSWORD = "a rather long sentence"
_numbers = count(1)

# Nothing here speaks TLS, and to read all certificates takes longer than most tests.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client_of(url: str, **headers: str) -> httpx.Client:
    """A client of what listens there."""
    return httpx.Client(base_url=url, headers=headers, timeout=30, verify=_NO_TLS)


@dataclass(frozen=True)
class Person:
    """Somebody who registered and logged in, and the client that speaks for them."""

    id: str
    email: str
    token: str
    http: httpx.Client

    def tasks(self, path: str = "", /, **parameters: str) -> httpx.URL:
        """The address of their tasks, or of what is below it."""
        return self.tasks_of(self.id, path, **parameters)

    def tasks_of(self, owner: str, path: str = "", /, **parameters: str) -> httpx.URL:
        """The address of somebody's tasks, as this person would ask for it."""
        query = {"url_user_id": self.id, **parameters}
        return httpx.URL(f"/api/{owner}/tasks{path}", params=query)

    def create(self, title: str = "Buy milk", **fields: Any) -> dict[str, Any]:  # JSON
        """Create a task and return it."""
        answer = self.http.post(self.tasks(), json={"title": title, **fields})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def list(self) -> list[dict[str, Any]]:  # JSON
        """All of their tasks."""
        answer = self.http.get(self.tasks())
        assert answer.status_code == 200, answer.text
        return list(answer.json())


@dataclass(frozen=True)
class RunningServer:
    """Where it listens, and what it consists of."""

    url: str
    app: FastAPI

    @property
    def container(self) -> Container:
        """The parts of the service."""
        container: Container = self.app.state.container
        return container

    def client(self, **headers: str) -> httpx.Client:
        """A client without a token."""
        return client_of(self.url, **headers)

    def person(self, name: str = "Ada") -> Person:
        """Somebody new, registered and logged in."""
        return new_person(self.url, name)


def new_person(url: str, name: str = "Ada") -> Person:
    """Somebody new, registered and logged in at the service that listens there."""
    email = f"{name.lower()}{next(_numbers)}@example.com"
    with client_of(url) as http:
        registration = {"name": name, "email": email, "password": PASSWORD}
        http.post("/api/auth/register", json=registration).raise_for_status()
        login = {"email": email, "password": PASSWORD}
        answer = http.post("/api/auth/login", json=login).raise_for_status().json()
    token = answer["access_token"]
    client = client_of(url, Authorization=f"Bearer {token}")
    return Person(answer["user"]["id"], email, token, client)


@contextmanager
def running_server(
    settings: Settings,
    *,
    clock: Clock | None = None,
    passwords: PasswordHasher | None = None,
    listener: socket | None = None,
) -> Iterator[RunningServer]:
    """Serve for the time of the block.

    It listens on a free port of loopback, or on the socket that is given. Another clock or
    password hasher takes the place of the service's own if it is given.
    """
    app = create_app(settings)
    if clock is not None:
        app.state.container.clock.override(providers.Object(clock))
    if passwords is not None:
        app.state.container.passwords.override(providers.Object(passwords))
    config = uvicorn.Config(app, port=0, **server_options(settings))
    server = uvicorn.Server(config)
    sockets = None if listener is None else [listener]
    thread = Thread(target=server.run, kwargs={"sockets": sockets}, daemon=True)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield RunningServer(f"http://127.0.0.1:{port}", app)
    finally:
        server.should_exit = True
        thread.join(timeout=30)
