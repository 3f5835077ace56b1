"""The hand-written endpoints on Starlette, which FastAPI is built on."""

from uuid import UUID

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.benchmarks.applications import hand_written
from tests.benchmarks.applications.hand_written import TaskCreate, check_caller


def list_tasks(request: Request) -> Response:
    """Return all tasks of the caller, the newest first."""
    return hand_written.list_tasks(checked_caller(request))


def read_task(request: Request) -> Response:
    """Return a task of the caller."""
    return hand_written.read_task(checked_caller(request), request.path_params["task_id"])


async def create_task(request: Request) -> Response:
    """Create a task of the caller."""
    try:
        new = TaskCreate.model_validate_json(await request.body())
    except ValidationError:
        raise HTTPException(422) from None
    return await run_in_threadpool(lambda: hand_written.create_task(checked_caller(request), new))


async def ready(_: Request) -> Response:
    """Show that the server is ready."""
    return Response()


def checked_caller(request: Request) -> UUID:
    """Return the id of the caller, who requests their own tasks."""
    user_id: UUID = request.path_params["user_id"]
    try:
        url_user_id = UUID(request.query_params["url_user_id"])
    except (KeyError, ValueError):
        raise HTTPException(422) from None
    check_caller(request.headers.get("authorization", ""), user_id, url_user_id)
    return user_id


app = Starlette(
    routes=[
        Route("/ready", ready),
        Route("/api/{user_id:uuid}/tasks", list_tasks),
        Route("/api/{user_id:uuid}/tasks", create_task, methods=["POST"]),
        Route("/api/{user_id:uuid}/tasks/{task_id:int}", read_task),
    ]
)
