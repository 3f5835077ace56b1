"""Startup, liveness and readiness."""

from http import HTTPStatus
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from todo_api.http.dependencies import container_of
from todo_api.http.json_route import JsonRoute
from todo_api.runtime.drain import Drain
from todo_core.errors import Unavailable

router = APIRouter(tags=["operations"], route_class=JsonRoute)


class Health(BaseModel):
    """The state of the process."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The state of the service and of each dependency: `ok`, or what is wrong."""

    status: Literal["ok", "unavailable", "draining"]
    dependencies: dict[str, str]


@router.get("/healthz", summary="Check liveness")
async def healthz() -> Health:
    """Return 200 if the process is running. Its dependencies are not checked."""
    return Health()


@router.get(
    "/startupz",
    summary="Check startup",
    response_model=Readiness,
    responses={
        503: {
            "model": Readiness,
            "description": "The database has not responded yet, or its schema is not up to date.",
        }
    },
)
def startupz(request: Request) -> Response:
    """Return 200 if the process has seen the database with an up-to-date schema once.

    What happens to the database afterwards is a matter of readiness.
    """
    state = request.app.state
    if not state.has_started:
        return _readiness(request)
    return _rendered(Readiness(status="ok", dependencies={}))


@router.get(
    "/readyz",
    summary="Check readiness",
    response_model=Readiness,
    responses={
        503: {
            "model": Readiness,
            "description": "The database is not available, its schema is not up to date, or the"
            " process is about to stop.",
        }
    },
)
def readyz(request: Request) -> Response:
    """Return 200 if the database responds and its schema is up to date.

    A process that is about to stop is not ready. The rate limit storage and the mail server are not
    checked: the service works without them.
    """
    drain: Drain = request.app.state.drain
    if drain.is_draining:
        return _rendered(Readiness(status="draining", dependencies={}))
    return _readiness(request)


def _readiness(request: Request) -> Response:
    """Check the schema, and remember if it is up to date."""
    schema = _schema_state(request)
    if schema != "ok":
        return _rendered(Readiness(status="unavailable", dependencies={"database": schema}))
    request.app.state.has_started = True
    return _rendered(Readiness(status="ok", dependencies={"database": schema}))


def _rendered(readiness: Readiness) -> Response:
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
