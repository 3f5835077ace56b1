"""Changes of the caller's tasks, for clients that keep a copy of them."""

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request, Response

from todo_api.http.dependencies import (
    OWNER_PARAMETERS,
    TaskOwnerCallerDependency,
    application_of,
)
from todo_api.http.json_route import JsonRoute
from todo_api.http.long_polls import LongPoll, waiting
from todo_api.http.openapi import problems
from todo_api.http.problems import problem_response
from todo_api.http.schemas.tasks import TaskChangesResponse, task_changes_json
from todo_api.http.task_queries import CHANGES_PARAMETERS, changes_request
from todo_api.http.watchers import TOO_MANY_WATCHERS, Watchers
from todo_api.runtime.request_context import caller_key
from todo_api.runtime.threads import WorkerThreads
from todo_core.entities.task_changes import ChangesPage

router = APIRouter(prefix="/api/{user_id}/tasks/changes", tags=["tasks"], route_class=JsonRoute)


@router.get(
    "",
    openapi_extra={"parameters": [*OWNER_PARAMETERS, *CHANGES_PARAMETERS]},
    summary="List the changes of your tasks",
    response_model=TaskChangesResponse,
    responses=problems(400, 401, 404, 410, 422, 429, 503),
)
async def list_changes(request: Request, caller: TaskOwnerCallerDependency) -> Response:
    """Return each task that was changed or deleted since an earlier response, as it is now.

    Begin without `since`, and repeat with the `since` that is `next` of the last response. If
    `more` is true, there are more changes already. 410 means to begin again.

    With `wait`, a response that would have no changes waits for the first one, for so many seconds
    at most. It has none if there was none.
    """
    asked = changes_request(request)

    def answer(list_page: Callable[..., ChangesPage]) -> tuple[ChangesPage, Response]:
        page = list_page(owner_id=caller.user_id, since=asked.since, limit=asked.limit)
        return page, Response(task_changes_json(page), media_type="application/json")

    threads: WorkerThreads = request.app.state.worker_threads
    key = caller_key(request.scope)
    list_changes = application_of(request).list_changes
    page, response = await threads.run(partial(answer, list_changes), key=key)
    if page.changes or not asked.wait_seconds:
        return response
    watchers: Watchers = request.app.state.watchers
    poll = LongPoll(caller, revision=page.revision)
    # An empty response at once would make the client ask again at once.
    if not watchers.add(poll):
        return problem_response(TOO_MANY_WATCHERS)
    with waiting(request, watchers, poll, seconds=asked.wait_seconds):
        while not page.changes and await poll.is_changed():
            page, response = await threads.run(partial(answer, list_changes.again), key=key)
    return response
