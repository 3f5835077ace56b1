"""The parts of the OpenAPI document that FastAPI cannot derive."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from todo_api.http.problems import MEDIA_TYPE
from todo_api.http.schemas.problems import Problem
from todo_api.http.schemas.tasks import TaskListEnvelope
from todo_api.settings import Settings

type JsonObject = dict[str, Any]  # any JSON

_LICENSE = {"name": "MIT", "identifier": "MIT"}

_SERVERS = [{"url": "/", "description": "This service."}]

_TAGS = [
    {"name": "tasks", "description": "The tasks of the caller."},
    {"name": "sessions", "description": "Log in, refresh tokens, and log out."},
    {"name": "passwords", "description": "Change a password, or reset a forgotten one."},
    {"name": "accounts", "description": "Register, and manage your account."},
    {"name": "operations", "description": "Liveness and readiness, for monitoring."},
]


def problems(*statuses: int) -> dict[int | str, JsonObject]:
    """Return the errors of an operation, for its `responses`."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses
    }


def describe(app: FastAPI, settings: Settings) -> None:
    """Let the application serve the document that describes it under these settings."""

    def openapi() -> JsonObject:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, settings: Settings) -> JsonObject:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        license_info=_LICENSE,
        servers=_SERVERS,
        tags=_TAGS,
    )
    for path in document["paths"].values():
        for operation in path.values():
            _describe_problems(operation["responses"])
            operation.setdefault("security", [])  # explicitly public
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "url_user_id":
                    parameter["required"] = settings.require_url_user_id
    schemas = document["components"]["schemas"]
    for guessed in ("HTTPValidationError", "ValidationError"):
        schemas.pop(guessed, None)
    if settings.task_list_envelope:
        envelope = TaskListEnvelope.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas["TaskListResponse"] = {
            key: value for key, value in envelope.items() if key != "$defs"
        } | {"title": "TaskListResponse"}
    return document


def _describe_problems(responses: JsonObject) -> None:
    """Name the media type of problems, and drop the response that FastAPI assumes for 422."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for response in responses.values():
        content = response.get("content", {})
        for media_type, described in list(content.items()):
            if described.get("schema", {}).get("$ref") == "#/components/schemas/Problem":
                content[MEDIA_TYPE] = content.pop(media_type)
