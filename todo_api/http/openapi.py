"""What the generated OpenAPI document cannot know by itself."""

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from todo_api.http.problems import MEDIA_TYPE
from todo_api.http.schemas.problems import Problem
from todo_api.http.schemas.tasks import TaskListEnvelope
from todo_api.settings import Settings

type JsonObject = dict[str, Any]  # any JSON


def problems(*statuses: int) -> dict[int | str, JsonObject]:
    """The errors that an operation can answer with, for its `responses`."""
    return {
        status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses
    }


def describe(app: FastAPI, settings: Settings) -> None:
    """Let the application describe itself as it is under these settings."""

    def openapi() -> JsonObject:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, settings)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI, settings: Settings) -> JsonObject:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    for path in document["paths"].values():
        for operation in path.values():
            _describe_problems(operation["responses"])
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
    """Name the media type of problems, and drop the framework's guess at what it never sends."""
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for response in responses.values():
        content = response.get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        if schema.get("$ref") == "#/components/schemas/Problem":
            content[MEDIA_TYPE] = content.pop("application/json")
