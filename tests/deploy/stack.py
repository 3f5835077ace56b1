"""The services of compose.yaml, run by `docker compose`, and clients of them."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread
from typing import Any

import httpx

from tests.deploy.engine import Engine

IMAGE = "docker.io/library/todo:latest"
PASSWORD = "a rather long sentence"
URL = "https://localhost"


class Stack:
    """The services of compose.yaml."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.seconds_to_start = 0.0
        self._certificate: str | None = None
        self._clients: list[httpx.Client] = []

    def compose(self, *arguments: str) -> str:
        """Run `docker compose`, and return its standard output."""
        return self.engine.docker("compose", *arguments)

    def up(self) -> None:
        """Start everything, and return when all services are healthy."""
        began = time.monotonic()
        try:
            self.compose("up", "--detach", "--wait", "--wait-timeout", "120")
        except RuntimeError as error:
            raise RuntimeError(f"{error}\n{self.log()}") from error
        self.seconds_to_start = time.monotonic() - began

    def down(self) -> None:
        """Stop everything; the volumes remain."""
        self.compose("down")

    def log(self, *services: str) -> str:
        """Return what services have printed."""
        outcome = self.engine.run("docker", "compose", "logs", "--no-color", *services)
        return outcome.stdout + outcome.stderr

    def containers(self, *services: str) -> list[dict[str, Any]]:
        """Return the containers of services, or of all, as `docker inspect` describes them."""
        ids = self.compose("ps", "--all", "--quiet", *services).split()
        found: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", *ids))
        return found

    def tls(self) -> ssl.SSLContext:
        """Return a context that trusts nothing but Caddy's own authority."""
        if self._certificate is None:
            name = "/var/lib/caddy/caddy/pki/authorities/local/root.crt"
            copy = self.engine.shared / "root.crt"
            self.compose("cp", f"caddy:{name}", str(copy))
            self._certificate = copy.read_text()
        return ssl.create_default_context(cadata=self._certificate)

    def client(self, **headers: str) -> httpx.Client:
        """Return a client of the address that users have."""
        client = httpx.Client(base_url=URL, verify=self.tls(), headers=headers, timeout=30)
        self._clients.append(client)
        return client

    def close_clients(self) -> None:
        """Close all clients that were returned."""
        for client in self._clients:
            client.close()

    def register(self, name: str) -> "User":
        """Register a user, and log in."""
        account = {"name": name, "email": f"{name.lower()}@example.com", "password": PASSWORD}
        with self.client() as http:
            registered = http.post("/api/auth/register", json=account)
            assert registered.status_code == 201, registered.text
        return self.log_in(name)

    def log_in(self, name: str) -> "User":
        """Log a registered user in."""
        account = {"email": f"{name.lower()}@example.com", "password": PASSWORD}
        with self.client() as http:
            login = http.post("/api/auth/login", json=account)
        assert login.status_code == 200, login.text
        return User(self, login.json())


class User:
    """A user who has logged in, with a client."""

    def __init__(self, stack: Stack, login: dict[str, Any]) -> None:
        self.tokens = login
        self.http = stack.client(Authorization=f"Bearer {login['access_token']}")

    def create(self, title: str) -> httpx.Response:
        """Create a task."""
        return self.http.post("/api/tasks", json={"title": title})

    def titles(self) -> list[str]:
        """Return the titles of all tasks."""
        tasks = self.http.get("/api/tasks", params={"limit": "500"})
        assert tasks.status_code == 200, tasks.text
        return [task["title"] for task in tasks.json()]

    @contextmanager
    def events(self) -> Iterator["Lines"]:
        """Open the stream of events."""
        with self.http.stream("GET", "/api/tasks/events", timeout=60) as answer:
            assert answer.status_code == 200
            lines = Lines(answer)
            try:
                yield lines
            finally:
                lines.close()


class Lines:
    """The lines of a response, which a thread reads as they arrive."""

    def __init__(self, answer: httpx.Response) -> None:
        self.headers = answer.headers
        self._lines: SimpleQueue[str] = SimpleQueue()
        self._answer = answer
        self._is_wanted = True
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, beginning: str, seconds: float) -> str:
        """Return the next line that begins so.

        Raises:
            queue.Empty: if it does not arrive in this time.
        """
        deadline = time.monotonic() + seconds
        while True:
            line = self._lines.get(timeout=max(0.01, deadline - time.monotonic()))
            if line.startswith(beginning):
                return line

    def close(self) -> None:
        """Stop reading at the next line; the service sends one every fifteen seconds."""
        self._is_wanted = False
        self._thread.join(30)

    def _read(self) -> None:
        for line in self._answer.iter_lines():
            self._lines.put(line)
            if not self._is_wanted:
                return


def negotiated_protocol(context: ssl.SSLContext) -> str | None:
    """Return the protocol that Caddy selects of HTTP/2 and HTTP/1.1."""
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("localhost", 443), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        return secured.selected_alpn_protocol()
