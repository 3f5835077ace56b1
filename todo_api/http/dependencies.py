"""Who is calling, and how a route gets its use cases."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, cast

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from todo_api.container import Container
from todo_api.runtime.request_context import USER_ID, caller_key, client_key
from todo_api.runtime.threads import WorkerThreads
from todo_api.settings import Settings
from todo_core.entities.user import UserId
from todo_core.errors import FieldError, InvalidAccessToken, TaskNotFound, ValidationFailed
from todo_core.ports.security import Caller
from todo_core.use_cases.admission import Admitted

_log = structlog.get_logger()


def container_of(request: Request) -> Container:
    """The parts of the service that answers this request."""
    return cast(Container, request.app.state.container)


def address_of(request: Request) -> str:
    """Where the request comes from: the client, as far as the proxies in between are trusted."""
    return request.client.host if request.client else ""


async def run_admitted[Result](request: Request, admit: Callable[[], Admitted[Result]]) -> Result:
    """Count the request against its limits, then run the rest of it where passwords are hashed.

    Hashing takes a core for a third of a second; if it could take every thread, and did not give
    way, a storm of logins would keep everybody from their tasks. So there are few threads for it.
    Addresses take turns on them, and a request that is over its limit never waits for one: it is
    counted first, on an ordinary thread, since the limiter may have to ask its storage.

    Raises:
        Unavailable: if too many requests, from this address or in total, wait for either thread.
    """
    state = request.app.state
    threads: WorkerThreads = state.worker_threads
    admitted = await threads.run(admit, key=caller_key(request.scope))
    if not admitted.hashes:
        return await threads.run(admitted.complete, key=caller_key(request.scope))
    hashing_threads: WorkerThreads = state.hashing_threads
    return await hashing_threads.run(admitted.complete, key=client_key(request.scope))


class BearerToken(HTTPBearer):
    """Lets in who presents a valid access token (RFC 6750), and tells who it is."""

    def __init__(self) -> None:
        super().__init__(scheme_name="accessToken", bearerFormat="JWT")

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]  # the caller, not the header
        return await _authenticated(request)


OWNER_PARAMETERS: Sequence[Mapping[str, object]] = (
    {
        "name": "user_id",
        "in": "path",
        "required": True,
        "description": "Your own id; or what your issuer calls you, if you have a token of it.",
        "schema": {"type": "string"},
    },
    {
        "name": "url_user_id",
        "in": "query",
        "required": True,
        "description": "Your own id again.",
        "schema": {"type": "string"},
    },
)
"""What `TaskOwner` reads, for OpenAPI."""


class TaskOwner(BearerToken):
    """Lets in who asks for their own tasks, and tells whose they are.

    The address of somebody else's tasks is answered as that of a task which
    does not exist: whose ids exist is nobody's business.

    It reads the ids from the request by itself, which the framework does at three
    times the expense; `OWNER_PARAMETERS` describes them.
    """

    async def __call__(self, request: Request) -> UserId:  # type: ignore[override]  # as above
        caller = await _authenticated(request)
        if not _is_their_name(caller, request.path_params["user_id"]):
            raise _denied(caller)
        url_user_ids = request.query_params.getlist("url_user_id")
        if len(url_user_ids) > 1:
            # A program that reads the first and one that reads the last would see different owners.
            raise ValidationFailed(
                FieldError("url_user_id", "repeated", "must be given once in the query")
            )
        if not url_user_ids:
            if cast(Settings, request.app.state.settings).require_url_user_id:
                raise ValidationFailed(
                    FieldError("url_user_id", "required", "is required in the query")
                )
        elif not _is_their_name(caller, url_user_ids[0]):
            raise _denied(caller)
        return caller.user_id


def _is_their_name(caller: Caller, text: str) -> bool:
    """Whether this is the caller's id here, or the one that they have at their issuer."""
    return text.lower() == str(caller.user_id) or text == caller.alias


def _denied(caller: Caller) -> TaskNotFound:
    _log.warning("access.denied", kind="security", user_id=str(caller.user_id))
    return TaskNotFound()


async def _authenticated(request: Request) -> Caller:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidAccessToken
    token = token.strip()
    container = container_of(request)
    authenticate = container.authenticate()
    caller = authenticate.without_waiting(token)
    if caller is None:
        threads: Mapping[str | None, WorkerThreads] = request.app.state.issuer_threads
        issuer = container.external_issuers().named_by(token)
        caller = await threads[issuer].run(
            partial(authenticate, token, address=address_of(request)),
            key=client_key(request.scope),
        )
    request.scope[USER_ID] = str(caller.user_id)
    return caller


CallerDependency = Annotated[Caller, Depends(BearerToken())]
OwnerDependency = Annotated[UserId, Depends(TaskOwner())]
