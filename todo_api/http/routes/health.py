"""Whether the service lives, and whether it can do its work."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from todo_api.http.dependencies import container_of
from todo_api.http.json_route import JsonRoute
from todo_core.errors import Unavailable

router = APIRouter(tags=["operations"], route_class=JsonRoute)


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Each dependency and its state: `ok`, or what is wrong with it."""

    status: Literal["ok", "unavailable"]
    dependencies: dict[str, str]


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Health:
    """Says nothing about what the service depends on."""
    return Health()


@router.get(
    "/readyz",
    summary="Can the service do its work?",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something that it needs is missing."}},
)
def readyz(request: Request) -> Response:
    """Asks the database; without the storage of limits or a mail server the service goes on."""
    state = _schema_state(request)
    readiness = Readiness(
        status="ok" if state == "ok" else "unavailable", dependencies={"database": state}
    )
    ready = readiness.status == "ok"
    return Response(
        readiness.model_dump_json(),
        HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE,
        None if ready else {"Retry-After": "2"},
        "application/json",
    )


def _schema_state(request: Request) -> str:
    schema = container_of(request).schema()
    try:
        current = schema.current()
    except Unavailable:
        return "does not answer"
    if current == schema.newest:
        return "ok"
    return f"schema is at revision {current}, not {schema.newest}; run: todo migrate"
