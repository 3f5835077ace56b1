"""Liveness and readiness."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from todo_api.http.dependencies import container_of
from todo_api.http.json_route import JsonRoute
from todo_core.errors import Unavailable

router = APIRouter(tags=["operations"], route_class=JsonRoute)


class Health(BaseModel):
    """The state of the process."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The state of the service and of each dependency: `ok`, or what is wrong."""

    status: Literal["ok", "unavailable"]
    dependencies: dict[str, str]


@router.get("/healthz", summary="Check liveness")
async def healthz() -> Health:
    """Return 200 if the process is running. Its dependencies are not checked."""
    return Health()


@router.get(
    "/readyz",
    summary="Check readiness",
    response_model=Readiness,
    responses={
        503: {
            "model": Readiness,
            "description": "The database is not available, or its schema is not up to date.",
        }
    },
)
def readyz(request: Request) -> Response:
    """Return 200 if the database responds and its schema is up to date.

    The rate limit storage and the mail server are not checked: the service works without them.
    """
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
    # Revisions are numbers of four digits. This process also works on the schema of the next
    # release, which is migrated before the processes of this one are replaced.
    if current is not None and current >= schema.newest:
        return "ok"
    return f"schema is at revision {current}, not {schema.newest}; run: todo migrate"
