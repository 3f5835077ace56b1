"""Conditional requests (RFC 9110 §13): the entity tag of a task is its version."""

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import HTTPException, Request, Response

from todo_api.http.problems import HTTP_PROBLEMS, problem_response
from todo_api.http.schemas.bulk import TaskBulk
from todo_api.http.schemas.tasks import entity_tag
from todo_core.entities.task import Task
from todo_core.errors import FieldError

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_SAY_VERSION = "Say which version of the task you have, in version."
_REVISION = re.compile(r"0|[1-9][0-9]{0,17}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")


def _field(request: Request, name: str) -> str | None:
    """Return a field that may be sent in several lines, or None if it was not sent."""
    lines = request.headers.getlist(name)
    return ", ".join(lines) if lines else None


def expected_versions(request: Request) -> Collection[int] | None:
    """Return the versions that `If-Match` names, or None if any will do.

    A weak tag, or one that is not the tag of a version, matches none.

    Raises:
        HTTPException: 428 if the operator requires the field, and it is missing.
    """
    field = _field(request, "if-match")
    if field is None:
        if request.app.state.settings.require_if_match:
            raise HTTPException(HTTPStatus.PRECONDITION_REQUIRED)
        return None
    if field.strip() == "*":
        return None
    return frozenset(
        int(tag) for weak, tag in _TAG.findall(field) if not weak and _VERSION.fullmatch(tag)
    )


def missing_version(request: Request, body: TaskBulk) -> Response | None:
    """Return 428 if the operator requires a version in each operation, and one has none.

    `version` of an operation is what `If-Match` is of a request about one task.
    """
    if not request.app.state.settings.require_if_match:
        return None
    kind = HTTP_PROBLEMS[HTTPStatus.PRECONDITION_REQUIRED]
    for index, each in enumerate(body.operations):
        if each.on_task is not None and each.on_task.expected is None:
            place = f"operations/{index}/{each.kind}/version"
            return problem_response(kind, errors=[FieldError(place, "required", _SAY_VERSION)])
    return None


def not_modified(request: Request, task: Task) -> Response | None:
    """Return 304 if `If-None-Match` names the version of this task, and None otherwise."""
    field = _field(request, "if-none-match")
    if field is None:
        return None
    tag = entity_tag(task.version)
    if field.strip() != "*" and all(f'"{each}"' != tag for _, each in _TAG.findall(field)):
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})


def list_tag(revision: int, query_tag: str) -> str:
    """Return the weak entity tag of a page at this revision of its owner."""
    return f'W/"{revision}-{query_tag}"'


def known_revisions(request: Request, query_tag: str) -> Collection[int]:
    """Return the revisions at which, by `If-None-Match`, the client has the same page."""
    field = _field(request, "if-none-match")
    if field is None:
        return ()
    parts = (tag.partition("-") for _, tag in _TAG.findall(field))
    return [
        int(revision)
        for revision, _, other_query in parts
        if other_query == query_tag and _REVISION.fullmatch(revision)
    ]


def _header(name: str, description: str) -> Mapping[str, Any]:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string"},
    }


IF_MATCH = _header(
    "If-Match", "The version that you have, as an entity tag. If the task has another one: 412."
)
IF_NONE_MATCH = _header(
    "If-None-Match", "The version that you have, as an entity tag. If the task still has it: 304."
)
ETAG = {
    "description": "The version of the task, in quotes, for `If-Match` and `If-None-Match`.",
    "schema": {"type": "string"},
}
