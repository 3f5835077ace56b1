"""The hand-written endpoints on FastAPI, with its usual parameters."""

from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Header, Response

from tests.benchmarks.applications import hand_written
from tests.benchmarks.applications.hand_written import TaskCreate, check_caller

app = FastAPI()


@app.get("/api/{user_id}/tasks")
def list_tasks(
    user_id: UUID, url_user_id: UUID, authorization: Annotated[str, Header()]
) -> Response:
    """Return all tasks of the caller, the newest first."""
    check_caller(authorization, user_id, url_user_id)
    return hand_written.list_tasks(user_id)


@app.get("/api/{user_id}/tasks/{task_id}")
def read_task(
    user_id: UUID, task_id: int, url_user_id: UUID, authorization: Annotated[str, Header()]
) -> Response:
    """Return a task of the caller."""
    check_caller(authorization, user_id, url_user_id)
    return hand_written.read_task(user_id, task_id)


@app.post("/api/{user_id}/tasks")
def create_task(
    user_id: UUID, body: TaskCreate, url_user_id: UUID, authorization: Annotated[str, Header()]
) -> Response:
    """Create a task of the caller."""
    check_caller(authorization, user_id, url_user_id)
    return hand_written.create_task(user_id, body)


@app.get("/ready")
async def ready() -> Response:
    """Show that the server is ready."""
    return Response()
