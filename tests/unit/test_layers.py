"""The layers that a request passes on its way to a route."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI

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


def test_with_telemetry_a_request_passes_all_layers_of_fastapi(tmp_path: Path) -> None:
    settings = embedded_settings(tmp_path).model_copy(update={"opentelemetry_enabled": True})
    names = list(layers(create_app(settings)))
    assert {"ExceptionTelemetryMiddleware", "RequestLog", "SizeLimits"} <= set(names)
