"""The cost of a request in the process, without HTTP: `JsonRoute` and FastAPI's `APIRoute`.

The endpoint depends on the owner in the URL as the tasks do, and does nothing else. It runs on the
event loop, so that threads cost nothing. Run it on one core: `taskset -c 0 python -m
tests.benchmarks.routes`. The contenders alternate, and the median of the rounds is printed.
"""

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import WARNING
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import structlog
from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Message, Scope

from tests.support.settings import embedded_settings, migrate
from todo_api.container import Container
from todo_api.http.dependencies import OwnerDependency
from todo_api.http.json_route import JsonRoute
from todo_core.entities.user import User

CALLS = 4000
ROUNDS = 9
PASSWORD = "a rather long sentence"
CONTENDERS: dict[str, type[APIRoute]] = {"JsonRoute": JsonRoute, "APIRoute": APIRoute}


async def endpoint(
    request: Request, owner_id: OwnerDependency, completed: Annotated[bool | None, Query()] = None
) -> Response:
    return Response(b"[]", media_type="application/json")


@contextmanager
def service() -> Iterator[Container]:
    """Set up an embedded service."""
    with TemporaryDirectory(prefix="todo-benchmark-") as folder:
        settings = embedded_settings(Path(folder))
        migrate(settings)
        container = Container(settings=settings)
        yield container
        container.database().close()


def application(container: Container, kind: type[APIRoute]) -> FastAPI:
    app = FastAPI()
    app.state.container = container
    app.state.settings = container.settings()
    router = APIRouter(route_class=kind)
    router.add_api_route("/api/{user_id}/tasks", endpoint)
    app.router.routes.extend(router.routes)
    return app


def request_of(user: User, access_token: str) -> Scope:
    """Return a request for the tasks of the user, as a server would pass it on."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/api/{user.id}/tasks",
        "query_string": f"url_user_id={user.id}".encode(),
        "root_path": "",
        "headers": [(b"authorization", f"Bearer {access_token}".encode())],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8000),
    }


async def measure(app: FastAPI, scope: Scope) -> float:
    """Return the processor time per request, in microseconds."""
    statuses: set[int] = set()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    await app(dict(scope), receive, send)
    began = time.process_time()
    for _ in range(CALLS):
        await app(dict(scope), receive, send)
    used = time.process_time() - began
    assert statuses == {200}
    return used / CALLS * 1e6


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(WARNING))
    with service() as container, asyncio.Runner() as runner:
        todo = container.application()
        user = todo.register_user(name="Ada", email="ada@example.com", password=PASSWORD)
        tokens = todo.log_in(email="ada@example.com", password=PASSWORD).tokens
        scope = request_of(user, tokens.access_token.value)
        apps = {name: application(container, kind) for name, kind in CONTENDERS.items()}
        measured: dict[str, list[float]] = {name: [] for name in apps}
        for _ in range(ROUNDS):
            for name, results in measured.items():
                results.append(runner.run(measure(apps[name], scope)))
    for name, results in measured.items():
        sys.stdout.write(f"{name:10} {median(results):6.1f} µs of CPU\n")


if __name__ == "__main__":
    main()
