"""The whole service, run by uvicorn on a thread of the test process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket
from threading import Thread

import httpx
import uvicorn
from dependency_injector import providers
from fastapi import FastAPI

from tests.support.clients import client_of
from tests.support.users import ApiUser, register_user
from todo_api.app import create_app
from todo_api.container import Container
from todo_api.server.options import server_options
from todo_api.settings import Settings
from todo_core.ports.clock import Clock
from todo_core.ports.passwords import PasswordHasher


@dataclass(frozen=True)
class RunningServer:
    """The URL and the application of a running service."""

    url: str
    app: FastAPI

    @property
    def container(self) -> Container:
        """The composition root of the service."""
        container: Container = self.app.state.container
        return container

    def client(self, **headers: str) -> httpx.Client:
        """Return a client without a token."""
        return client_of(self.url, **headers)

    def register(self, name: str = "Ada") -> ApiUser:
        """Register a new user, and log them in."""
        return register_user(self.url, name)


@contextmanager
def running_server(
    settings: Settings,
    *,
    clock: Clock | None = None,
    passwords: PasswordHasher | None = None,
    listener: socket | None = None,
) -> Iterator[RunningServer]:
    """Run the service until the block ends.

    It listens on a free loopback port, or on the given socket. A given clock or password
    hasher replaces the service's own.
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
