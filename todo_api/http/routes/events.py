"""Live events about the tasks of the caller."""

import re
from functools import partial

from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse

from todo_api.http.dependencies import (
    OWNER_PARAMETERS,
    StreamCallerDependency,
    TaskOwnerCallerDependency,
    application_of,
    owner_name,
)
from todo_api.http.event_streams import EventStream, EventStreamResponse
from todo_api.http.json_route import JsonRoute
from todo_api.http.openapi import problems
from todo_api.http.problems import problem_response
from todo_api.http.schemas.events import StreamTicketResponse
from todo_api.http.watchers import TOO_MANY_WATCHERS, Watchers
from todo_api.runtime.request_context import caller_key
from todo_api.runtime.threads import WorkerThreads

router = APIRouter(prefix="/api/{user_id}/tasks/events", tags=["tasks"], route_class=JsonRoute)

_REVISION = re.compile(r"[0-9]{1,19}")

_STREAM_PARAMETERS = [
    *OWNER_PARAMETERS,
    {
        "name": "ticket",
        "in": "query",
        "required": False,
        "description": "A ticket, for clients that cannot send the header `Authorization`.",
        "schema": {"type": "string"},
    },
    {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The id of the last event that the client has seen.",
        "schema": {"type": "string"},
    },
]
_EVENTS = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": 'retry: 3000\n\nevent: changed\ndata: {"revision": 7}\nid: 7\n\n'
        'event: reminder\ndata: {"id": "0b8c5fd0-5e1c-5d0a-9d0e-0d2f5c4c3b1a", "task_id":'
        ' 4503599627370496, "remind_at": "2026-12-01T15:45:00Z"}\n\n'
        'event: changed\ndata: {"revision": 8}\nid: 8\n\n',
    }
}


@router.get(
    "",
    openapi_extra={"parameters": _STREAM_PARAMETERS},
    summary="Watch your tasks",
    response_class=EventSourceResponse,
    responses=problems(401, 404, 422, 429, 503)
    | {200: {"description": "Server-sent events, until the client leaves.", "content": _EVENTS}},
)
async def stream_events(request: Request, caller: StreamCallerDependency) -> Response:
    """Send an event each time your tasks have changed, and when one reminds.

    An event `changed` has the current revision of your tasks as its id and in its data. It does not
    say what has changed. Several changes may be one event. A client that connects again with
    `Last-Event-ID` gets an event at once if the revision is another one.

    An event `reminder` names a task that reminds now, and the `id` of this reminder. A reminder
    that is sent again, because the connection was lost, has the same. An event `changed` follows,
    so that a client that connects again with its id gets the reminders of the last two days that it
    has missed.
    """
    threads: WorkerThreads = request.app.state.worker_threads
    watch = partial(application_of(request).watch_tasks, owner_id=caller.user_id)
    revision = await threads.run(watch, key=caller_key(request.scope))
    watchers: Watchers = request.app.state.watchers
    stream = EventStream(caller, revision=revision, told=_last_event_id(request))
    if not watchers.add(stream):
        return problem_response(TOO_MANY_WATCHERS)
    missed = partial(
        application_of(request).list_fired_reminders, {caller.user_id: stream.reminded}
    )
    try:
        stream.begin(await threads.run(missed, key=caller_key(request.scope)))
    except BaseException:
        watchers.remove(stream)
        raise
    return EventStreamResponse(watchers, stream)


def _last_event_id(request: Request) -> int | None:
    text = request.headers.get("last-event-id", "")
    return int(text) if _REVISION.fullmatch(text) else None


@router.post(
    "/ticket",
    openapi_extra={"parameters": [*OWNER_PARAMETERS]},
    summary="Get a ticket for a stream of events",
    status_code=201,
    response_model=StreamTicketResponse,
    responses=problems(401, 404, 422, 429, 503),
)
def create_stream_ticket(request: Request, caller: TaskOwnerCallerDependency) -> Response:
    """Issue a ticket that opens one stream within 30 seconds, as its query parameter `ticket`.

    It is for `EventSource` in a browser, which cannot send an access token. The stream lasts as
    long as your session.
    """
    ticket = application_of(request).issue_stream_ticket(caller, owner_name=owner_name(request))
    content = StreamTicketResponse(
        ticket=ticket.value, expires_in=int(ticket.expires_in.total_seconds())
    )
    return Response(content.model_dump_json(), 201, media_type="application/json")
