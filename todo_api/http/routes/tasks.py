"""Tasks of the caller."""

import re

from fastapi import APIRouter, Request, Response

from todo_api.http.dependencies import OWNER_PARAMETERS, OwnerDependency, application_of
from todo_api.http.idempotency import IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, respond_once
from todo_api.http.json_route import JsonRoute
from todo_api.http.openapi import JsonObject, problems
from todo_api.http.preconditions import (
    ETAG,
    IF_MATCH,
    IF_NONE_MATCH,
    expected_versions,
    known_revisions,
    list_tag,
    not_modified,
)
from todo_api.http.routes import changes, events
from todo_api.http.schemas.bulk import TaskMove, TaskOrderResponse, TaskOrderUpdate
from todo_api.http.schemas.tasks import (
    TagListResponse,
    TaskCreate,
    TaskListResponse,
    TaskPatch,
    TaskResponse,
    TaskStatsResponse,
    TaskUpdate,
    TaskUpdateStatus,
    entity_tag,
    tag_list_json,
    task_envelope_json,
    task_json,
    task_list_json,
    task_stats_json,
)
from todo_api.http.task_queries import (
    LIST_PARAMETERS,
    PERMANENT,
    is_permanent,
    list_request,
    next_link,
)
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import UserId
from todo_core.use_cases.bulk import hits_of
from todo_core.use_cases.task_writes import TaskWrites

router = APIRouter(prefix="/api/{user_id}/tasks", tags=["tasks"], route_class=JsonRoute)

_DECIMAL = re.compile(r"[1-9][0-9]{0,18}")
_LARGEST_ID = 2**63 - 1
_NO_TASK = 0

_ON_TASKS = {"parameters": [*OWNER_PARAMETERS]}
_ONE_TASK_PARAMETERS = [
    *OWNER_PARAMETERS,
    {
        "name": "task_id",
        "in": "path",
        "required": True,
        "description": "The id of the task.",
        "schema": {"type": "integer", "format": "int64", "minimum": 1},
    },
]
_CHANGING_ONE_TASK = {"parameters": [*_ONE_TASK_PARAMETERS, IF_MATCH, IDEMPOTENCY_KEY]}
_NOT_MODIFIED: dict[int | str, JsonObject] = {
    304: {"description": "Not Modified", "headers": {"ETag": ETAG}}
}
_WITH_ETAG: dict[int | str, JsonObject] = {200: {"headers": {"ETag": ETAG}}}
_CHANGED: dict[int | str, JsonObject] = {
    200: {"headers": {"ETag": ETAG, "Idempotent-Replayed": IDEMPOTENT_REPLAYED}}
}


_LOCATION = {
    "description": "The URL of the new task.",
    "schema": {"type": "string", "format": "uri-reference"},
}


_PAGE_HEADERS = {
    "ETag": {
        "description": "Changes with the tasks of the user, for `If-None-Match`. The trash has"
        " none, and neither has a list that is filtered by `overdue`.",
        "schema": {"type": "string"},
    },
    "Link": {
        "description": "The URL of the next page (RFC 8288), if there is one.",
        "schema": {"type": "string"},
    },
    "X-Total-Count": {
        "description": "How many tasks match, if `count` is true.",
        "schema": {"type": "integer"},
    },
}


def _task_id(request: Request) -> TaskId:
    """Read the id in the path. A text that is not an id becomes an id that no task has.

    It is looked up like any other, and not found.
    """
    text = request.path_params["task_id"]
    if _DECIMAL.fullmatch(text) and (task_id := int(text)) <= _LARGEST_ID:
        return TaskId(task_id)
    return TaskId(_NO_TASK)


def _location(request: Request, owner_id: UserId, task: Task) -> str:
    """Return the URL of a task, in the form that the client uses."""
    names_owner = "user_id" in request.path_params
    return f"/api/{owner_id}/tasks/{task.id}" if names_owner else f"/api/tasks/{task.id}"


def _task_response(task: Task) -> Response:
    headers = {"ETag": entity_tag(task.version)}
    return Response(task_json(task), headers=headers, media_type="application/json")


@router.get(
    "",
    openapi_extra={"parameters": [*OWNER_PARAMETERS, *LIST_PARAMETERS, IF_NONE_MATCH]},
    summary="List your tasks",
    response_model=TaskListResponse,
    responses=problems(400, 401, 404, 422, 429, 503)
    | {200: {"headers": _PAGE_HEADERS}}
    | _NOT_MODIFIED,
)
def list_tasks(request: Request, owner_id: OwnerDependency) -> Response:
    """Return your tasks, the newest first, or those that match the parameters.

    If there are more than fit on a page, the `Link` header leads to the next one.
    """
    asked = list_request(request)
    enveloped = request.app.state.settings.task_list_envelope
    tag = f"{asked.tag}-envelope" if enveloped else asked.tag
    page = application_of(request).list_tasks(
        owner_id=owner_id,
        query=asked.query,
        limit=asked.limit,
        cursor=asked.cursor,
        offset=asked.offset,
        counts=asked.counts,
        known=known_revisions(request, tag) if asked.has_tag else (),
    )
    headers = {"ETag": list_tag(page.revision, tag)} if asked.has_tag else {}
    if page.is_unchanged:
        return Response(status_code=304, headers=headers)
    content = task_envelope_json(page) if enveloped else task_list_json(page.tasks)
    if page.next_cursor is not None:
        headers["Link"] = next_link(request, page.next_cursor)
    if page.total is not None:
        headers["X-Total-Count"] = str(page.total)
    return Response(content, headers=headers, media_type="application/json")


@router.get(
    "/stats",
    openapi_extra=_ON_TASKS,
    summary="Count your tasks",
    response_model=TaskStatsResponse,
    responses=problems(401, 404, 422, 429, 503),
)
def count_tasks(request: Request, owner_id: OwnerDependency) -> Response:
    """Return how many tasks you have, and how many of them are overdue.

    The time that it takes grows with the number of overdue tasks only.
    """
    counts = application_of(request).count_tasks(owner_id=owner_id)
    return Response(task_stats_json(counts), media_type="application/json")


@router.get(
    "/tags",
    openapi_extra=_ON_TASKS,
    summary="List your tags",
    response_model=TagListResponse,
    responses=problems(401, 404, 422, 429, 503),
)
def list_tags(request: Request, owner_id: OwnerDependency) -> Response:
    """Return your tags with the numbers of your tasks that have them, the most used first.

    At most 1000 are listed.
    """
    tags = application_of(request).list_tags(owner_id=owner_id)
    return Response(tag_list_json(tags), media_type="application/json")


@router.patch(
    "/reorder",
    openapi_extra={"parameters": [*OWNER_PARAMETERS, IDEMPOTENCY_KEY]},
    summary="Reorder tasks",
    response_model=TaskOrderResponse,
    responses=problems(400, 401, 404, 409, 413, 415, 422, 429, 503)
    | {200: {"headers": {"Idempotent-Replayed": IDEMPOTENT_REPLAYED}}},
)
def reorder_tasks(request: Request, owner_id: OwnerDependency, body: TaskOrderUpdate) -> Response:
    """Give up to 500 tasks the order in which they are named, and return them in this order.

    They share the places that they had in the order of `sort=position`, so all other tasks stay
    where they are. If you do not have one of them, the response is 404 and nothing is changed. Up
    to 50 tasks count as one request against the limit.
    """
    task_ids = body.to_core()

    def write(writes: TaskWrites) -> Response:
        tasks = writes.reorder_tasks(owner_id=owner_id, task_ids=task_ids)
        return Response(task_list_json(tasks), media_type="application/json")

    return respond_once(request, owner_id, write, hits=hits_of(task_ids))


# Before the route of a task, which has the same form.
router.routes.extend([*events.router.routes, *changes.router.routes])


@router.get(
    "/{task_id}",
    openapi_extra={"parameters": [*_ONE_TASK_PARAMETERS, IF_NONE_MATCH]},
    summary="Get a task",
    response_model=TaskResponse,
    responses=problems(401, 404, 422, 429, 503) | _WITH_ETAG | _NOT_MODIFIED,
)
def get_task(request: Request, owner_id: OwnerDependency) -> Response:
    """Return one of your tasks."""
    task = application_of(request).get_task(owner_id=owner_id, task_id=_task_id(request))
    return not_modified(request, task) or _task_response(task)


@router.post(
    "",
    openapi_extra={"parameters": [*OWNER_PARAMETERS, IDEMPOTENCY_KEY]},
    summary="Create a task",
    status_code=201,
    response_model=TaskResponse,
    responses=problems(400, 401, 404, 409, 413, 415, 422, 429, 503)
    | {
        201: {
            "headers": {
                "Location": _LOCATION,
                "ETag": ETAG,
                "Idempotent-Replayed": IDEMPOTENT_REPLAYED,
            }
        }
    },
)
def create_task(request: Request, owner_id: OwnerDependency, body: TaskCreate) -> Response:
    """Create a task."""

    def write(writes: TaskWrites) -> Response:
        task = writes.create_task(owner_id=owner_id, **body.to_core())
        location = _location(request, owner_id, task)
        headers = {"Location": location, "ETag": entity_tag(task.version)}
        return Response(task_json(task), 201, headers, "application/json")

    return respond_once(request, owner_id, write)


@router.put(
    "/{task_id}",
    openapi_extra=_CHANGING_ONE_TASK,
    summary="Replace a task",
    response_model=TaskResponse,
    responses=problems(400, 401, 404, 409, 412, 413, 415, 422, 428, 429, 503) | _CHANGED,
)
def update_task(request: Request, owner_id: OwnerDependency, body: TaskUpdate) -> Response:
    """Set the title of a task, and the other fields that are sent. The others keep their values.

    Null or an empty text removes a description or a due date. `completed` is ignored here.
    """
    return _update(request, owner_id, body)


@router.patch(
    "/{task_id}",
    openapi_extra=_CHANGING_ONE_TASK,
    summary="Update a task",
    response_model=TaskResponse,
    responses=problems(400, 401, 404, 409, 412, 413, 415, 422, 428, 429, 503) | _CHANGED,
)
def patch_task(request: Request, owner_id: OwnerDependency, body: TaskPatch) -> Response:
    """Change some fields of a task. Fields that are not sent keep their value."""
    return _update(request, owner_id, body)


def _update(request: Request, owner_id: UserId, body: TaskUpdate | TaskPatch) -> Response:
    def write(writes: TaskWrites) -> Response:
        task = writes.update_task(
            owner_id=owner_id,
            task_id=_task_id(request),
            expected=expected_versions(request),
            **body.to_core(),
        )
        return _task_response(task)

    return respond_once(request, owner_id, write)


@router.patch(
    "/{task_id}/complete",
    openapi_extra=_CHANGING_ONE_TASK,
    summary="Complete or reopen a task",
    response_model=TaskResponse,
    responses=problems(400, 401, 404, 409, 412, 413, 415, 422, 428, 429, 503) | _CHANGED,
)
def toggle_completion(
    request: Request,
    owner_id: OwnerDependency,
    body: TaskUpdateStatus | None = None,
) -> Response:
    """Set `completed` to the value in the body. Without a value or a body, toggle it.

    Completing a task completes its open subtasks. Reopening it leaves them as they are.
    """

    def write(writes: TaskWrites) -> Response:
        task = writes.toggle_completion(
            owner_id=owner_id,
            task_id=_task_id(request),
            expected=expected_versions(request),
            completed=body.to_core().get("completed") if body else None,
        )
        return _task_response(task)

    return respond_once(request, owner_id, write)


@router.post(
    "/{task_id}/move",
    openapi_extra=_CHANGING_ONE_TASK,
    summary="Move a task",
    response_model=TaskResponse,
    responses=problems(400, 401, 404, 409, 412, 413, 415, 422, 428, 429, 503) | _CHANGED,
)
def move_task(request: Request, owner_id: OwnerDependency, body: TaskMove) -> Response:
    """Move a task directly before or after another one of yours, in the order of `sort=position`.

    If you do not have one of the two, the response is 404. Other tasks keep their positions,
    unless there is no room left at this place: then those around it get new ones, too. With a
    `parent_id`, the task becomes a subtask of that task, or of none if it is null; without
    `before` and `after` it keeps its position then.
    """

    def write(writes: TaskWrites) -> Response:
        task = writes.move_task(
            owner_id=owner_id,
            task_id=_task_id(request),
            expected=expected_versions(request),
            **body.to_core(),
        )
        return _task_response(task)

    return respond_once(request, owner_id, write)


@router.delete(
    "/{task_id}",
    openapi_extra={"parameters": [*_ONE_TASK_PARAMETERS, PERMANENT, IF_MATCH, IDEMPOTENCY_KEY]},
    summary="Delete a task",
    status_code=204,
    responses=problems(400, 401, 404, 409, 412, 422, 428, 429, 503)
    | {204: {"headers": {"Idempotent-Replayed": IDEMPOTENT_REPLAYED}}},
)
def delete_task(request: Request, owner_id: OwnerDependency) -> Response:
    """Move a task to the trash with its subtasks. They can be restored for some time.

    With `permanent`, delete them without the trash, or from the trash if they are there. `If-Match`
    names the version of the task, not those of its subtasks.
    """

    def write(writes: TaskWrites) -> Response:
        writes.delete_task(
            owner_id=owner_id,
            task_id=_task_id(request),
            permanently=is_permanent(request),
            expected=expected_versions(request),
        )
        return Response(status_code=204)

    return respond_once(request, owner_id, write)


@router.post(
    "/{task_id}/restore",
    openapi_extra={"parameters": [*_ONE_TASK_PARAMETERS, IDEMPOTENCY_KEY]},
    summary="Restore a task",
    response_model=TaskResponse,
    responses=problems(400, 401, 404, 409, 422, 429, 503) | _CHANGED,
)
def restore_task(request: Request, owner_id: OwnerDependency) -> Response:
    """Take a task out of the trash, with the subtasks that were deleted with it.

    A subtask whose parent is not there any more becomes a task of its own.
    """

    def write(writes: TaskWrites) -> Response:
        return _task_response(writes.restore_task(owner_id=owner_id, task_id=_task_id(request)))

    return respond_once(request, owner_id, write)
