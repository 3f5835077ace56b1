"""The layers that a request passes on its way to a route, and how its route is found."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Match, Route
from starlette.types import Scope

from tests.support.settings import embedded_settings
from todo_api.app import create_app


def layers(app: FastAPI) -> Iterator[str]:
    """Yield the names of the layers around the routes, the outermost first."""
    layer: Any = app.build_middleware_stack()
    while layer is not app.router:
        yield type(layer).__name__
        layer = getattr(layer, "_app", None) or layer.app


def test_a_request_passes_only_the_layers_that_this_service_uses(tmp_path: Path) -> None:
    app = create_app(embedded_settings(tmp_path))
    assert list(layers(app)) == [
        *("RequestLog", "BrowserOnlyCors", "UnhandledErrors", "SizeLimits", "ExceptionMiddleware")
    ]


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("GET", "/api/x/tasks", 1),
        ("GET", "/api/x/tasks/1", 1),
        ("POST", "/api/x/tasks", 3),
        ("PATCH", "/api/x/tasks/1", 3),
        ("PATCH", "/api/x/tasks/1/complete", 4),
        ("DELETE", "/api/x/tasks/1", 4),
    ],
)
def test_a_route_is_found_with_few_regular_expressions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, most: int
) -> None:
    tried: list[str] = []
    matches = Route.matches

    def counted(route: Route, scope: Scope) -> tuple[Match, Scope]:
        tried.append(route.path)
        return matches(route, scope)

    app = create_app(embedded_settings(tmp_path))
    monkeypatch.setattr(Route, "matches", counted)
    scope = {"type": "http", "method": method, "path": path, "root_path": ""}
    found = next(route for route in app.router.routes if route.matches(scope)[0] is Match.FULL)
    assert getattr(found, "path", "").replace("{user_id}", "x").replace("{task_id}", "1") == path
    tasks_routes = [each for each in tried if each.startswith("/api/")]
    assert len(tasks_routes) <= most, tasks_routes
