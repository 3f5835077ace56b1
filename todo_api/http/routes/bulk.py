"""Changes of many tasks of the caller."""

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from todo_api.http.dependencies import OWNER_PARAMETERS, OwnerDependency, application_of
from todo_api.http.idempotency import (
    IDEMPOTENCY_KEY,
    IDEMPOTENT_REPLAYED,
    REPLAYED,
    idempotent_request,
    respond_once,
)
from todo_api.http.json_route import JsonRoute
from todo_api.http.openapi import problems
from todo_api.http.preconditions import missing_version
from todo_api.http.schemas.bulk import (
    TaskBulk,
    TaskBulkResponse,
    TasksCompletedResponse,
    TasksDeletedResponse,
    bulk_json,
)
from todo_api.http.task_queries import FILTER_PARAMETERS, filter_request
from todo_core.use_cases.bulk import MatchingChanged, hits_of
from todo_core.use_cases.task_writes import TaskWrites

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"], route_class=JsonRoute)

_ON_MATCHING_TASKS = {"parameters": [*OWNER_PARAMETERS, *FILTER_PARAMETERS, IDEMPOTENCY_KEY]}
_REPLAYABLE: dict[int | str, dict[str, Any]] = {200: {"headers": {REPLAYED: IDEMPOTENT_REPLAYED}}}


@router.post(
    "/bulk",
    openapi_extra={"parameters": [*OWNER_PARAMETERS, IDEMPOTENCY_KEY]},
    summary="Change several tasks",
    response_model=TaskBulkResponse,
    responses=problems(400, 401, 404, 409, 412, 413, 415, 422, 428, 429, 503) | _REPLAYABLE,
)
def change_tasks(request: Request, owner_id: OwnerDependency, body: TaskBulk) -> Response:
    """Apply up to 500 operations in their order: all of them, or none.

    An operation sees what earlier ones have changed. If one fails, `errors` of the problem has a
    pointer to it. Up to 50 operations count as one request against the limit. Completing or
    deleting a task does the same to its subtasks. Operations may concern up to 2000 tasks with
    these.
    """
    if refusal := missing_version(request, body):
        return refusal
    operations = [each.to_core() for each in body.operations]

    def write(writes: TaskWrites) -> Response:
        outcomes = writes.change_tasks(owner_id=owner_id, operations=operations)
        return Response(bulk_json(outcomes), media_type="application/json")

    return respond_once(request, owner_id, write, hits=hits_of(operations))


@router.post(
    "/complete",
    openapi_extra=_ON_MATCHING_TASKS,
    summary="Complete all matching tasks",
    response_model=TasksCompletedResponse,
    responses=problems(400, 401, 404, 409, 422, 429, 503) | _REPLAYABLE,
)
def complete_matching_tasks(request: Request, owner_id: OwnerDependency) -> Response:
    """Complete all tasks that match the filter, however many, and return how many were open.

    Their open subtasks are completed with them, and count.

    At least one parameter besides `url_user_id` is required. If the response is an error, some
    tasks may have been completed: repeat the request. With the same `Idempotency-Key`, it then
    continues, and the tasks that follow those that repeat stay open.
    """
    changed = application_of(request).complete_matching_tasks(
        owner_id=owner_id,
        query=filter_request(request),
        once=idempotent_request(request, owner_id),
    )
    return _counted(TasksCompletedResponse(completed=changed.count), changed)


@router.delete(
    "",
    openapi_extra=_ON_MATCHING_TASKS,
    summary="Delete all matching tasks",
    response_model=TasksDeletedResponse,
    responses=problems(400, 401, 404, 409, 422, 429, 503) | _REPLAYABLE,
)
def delete_matching_tasks(request: Request, owner_id: OwnerDependency) -> Response:
    """Move all tasks that match the filter to the trash, and return how many they were.

    Their subtasks are deleted with them, and count.

    At least one parameter besides `url_user_id` is required. If the response is an error, some
    tasks may have been deleted: repeat the request. With the same `Idempotency-Key`, it then
    continues, and tasks that were created in the meantime stay.
    """
    changed = application_of(request).delete_matching_tasks(
        owner_id=owner_id,
        query=filter_request(request),
        once=idempotent_request(request, owner_id),
    )
    return _counted(TasksDeletedResponse(deleted=changed.count), changed)


def _counted(body: BaseModel, changed: MatchingChanged) -> Response:
    headers = {REPLAYED: "true"} if changed.is_replay else None
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)
