"""What routes depend on: the authenticated caller, and the use cases."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, cast

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from todo_api.container import Container
from todo_api.runtime.logging import loggable
from todo_api.runtime.request_context import USER_ID, caller_key, client_key
from todo_api.runtime.threads import WorkerThreads
from todo_api.settings import Settings
from todo_core.application import Application
from todo_core.entities.caller import Caller
from todo_core.entities.user import User, UserId
from todo_core.errors import FieldError, InvalidAccessToken, TaskNotFound, ValidationFailed
from todo_core.use_cases.admission import Admitted

_MAX_TOKEN_SIZE = 8192
_MAX_TICKET_SIZE = 100

_log = structlog.get_logger()


def container_of(request: Request) -> Container:
    """Return the container of the service that handles this request."""
    return cast(Container, request.app.state.container)


def application_of(request: Request) -> Application:
    """Return the use cases of the service that handles this request."""
    return container_of(request).application()


def address_of(request: Request) -> str:
    """Return the address of the client, as far as the proxies in between are trusted."""
    return request.client.host if request.client else ""


async def run_admitted[Result](request: Request, admit: Callable[[], Admitted[Result]]) -> Result:
    """Count the request against its limits, then run the rest of it on a hashing thread.

    Hashing takes a core for a third of a second. If it could take every thread, a flood of logins
    would block all users, so it has a few threads of its own, on which addresses take turns. A
    request over its limit never waits for one of them: it is counted first, on an ordinary thread,
    because the limiter may have to ask its storage.

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
    """Requires a valid access token (RFC 6750), and returns the caller."""

    def __init__(self) -> None:
        super().__init__(
            scheme_name="accessToken",
            bearerFormat="JWT",
            description="The access token from `/api/auth/login`, or from a login service that"
            " the operator has configured.",
        )

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]  # the caller, not the header
        return await _authenticated(request)


OWNER_PARAMETERS: Sequence[Mapping[str, object]] = (
    {
        "name": "user_id",
        "in": "path",
        "required": True,
        "description": "Your user id, or your id at the login service that issued your token.",
        "schema": {"type": "string"},
    },
    {
        "name": "url_user_id",
        "in": "query",
        "required": True,
        "description": "Your user id again. It must name the same user as the path.",
        "schema": {"type": "string"},
    },
)
"""The parameters that `TaskOwner` reads, for the OpenAPI document."""


class TaskOwner(BearerToken):
    """Requires that the URL names the caller as the owner, and returns the owner's id.

    A path without `user_id` names no owner; then `url_user_id` may be missing.

    The URL of another user's tasks is answered like that of a task that does not exist, so that
    no caller learns which ids exist.

    It reads the ids from the request itself, because the framework takes three times as long.
    `OWNER_PARAMETERS` describes them in the OpenAPI document.
    """

    async def __call__(self, request: Request) -> UserId:  # type: ignore[override]  # as above
        caller = await _authenticated(request)
        _require_owner(request, caller)
        return caller.user_id


class TaskOwnerCaller(BearerToken):
    """Requires the same as `TaskOwner`, and returns the caller."""

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]  # as above
        caller = await _authenticated(request)
        _require_owner(request, caller)
        return caller


class StreamCaller(BearerToken):
    """Requires the same as `TaskOwner`, or a ticket instead of the access token.

    If there is an `Authorization` header, the ticket is ignored.
    """

    async def __call__(self, request: Request) -> Caller:  # type: ignore[override]  # as above
        if "authorization" in request.headers or "ticket" not in request.query_params:
            caller = await _authenticated(request)
        else:
            caller = await _redeemed(request)
        _require_owner(request, caller)
        return caller


def _require_owner(request: Request, caller: Caller) -> None:
    """Require that the URL names the caller as the owner.

    Raises:
        TaskNotFound: if the path or the query names another user.
        ValidationFailed: if the query names no user or several.
    """
    named = request.path_params.get("user_id")  # none below /api/tasks
    if named is not None and not _is_their_name(caller, named):
        raise _denied(caller)
    if request.scope["query_string"] == b"url_user_id=%b" % str(caller.user_id).encode():
        return  # as almost always; parsing the query takes 7 µs
    url_user_ids = request.query_params.getlist("url_user_id")
    if len(url_user_ids) > 1:
        # A proxy that reads the first and a service that reads the last would see two owners.
        raise ValidationFailed(
            FieldError("url_user_id", "repeated", "Send the query parameter url_user_id only once.")
        )
    if not url_user_ids:
        settings = cast(Settings, request.app.state.settings)
        if named is not None and settings.require_url_user_id:
            _log.warning("url_user_id.missing", setting="TODO_REQUIRE_URL_USER_ID")
            raise ValidationFailed(
                FieldError(
                    "url_user_id",
                    "required",
                    "Send your user id in the query parameter url_user_id.",
                )
            )
    elif not _is_their_name(caller, url_user_ids[0]):
        raise _denied(caller)


def _is_their_name(caller: Caller, text: str) -> bool:
    """Return whether this is the id of the caller, here or at their issuer."""
    return text.lower() == str(caller.user_id) or text == caller.alias


def _denied(caller: Caller) -> TaskNotFound:
    _log.warning("access.denied", kind="security", user_id=str(caller.user_id))
    return TaskNotFound()


async def _authenticated(request: Request) -> Caller:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise InvalidAccessToken
    token = token.strip()
    authenticate = application_of(request).authenticate
    try:
        caller = authenticate.without_waiting(token)
    except InvalidAccessToken:
        _log_unknown_issuer(token, request.app.state.settings)
        raise
    if caller is None:
        threads: Mapping[str | None, WorkerThreads] = request.app.state.issuer_threads
        issuer = container_of(request).external_issuers().named_by(token)
        caller = await threads[issuer].run(
            partial(authenticate, token, address=address_of(request)),
            key=client_key(request.scope),
        )
    request.scope[USER_ID] = str(caller.user_id)
    return caller


def owner_name(request: Request) -> str:
    """Return the name of the owner in the path. Below `/api/tasks` it is empty."""
    return str(request.path_params.get("user_id", ""))


async def _redeemed(request: Request) -> Caller:
    """Return the caller to whom the ticket in the query was issued."""
    tickets = request.query_params.getlist("ticket")
    if len(tickets) > 1 or len(tickets[0]) > _MAX_TICKET_SIZE:
        raise InvalidAccessToken
    threads: WorkerThreads = request.app.state.worker_threads
    redeem = partial(
        application_of(request).redeem_stream_ticket,
        tickets[0],
        owner_name=owner_name(request),
    )
    caller = await threads.run(redeem, key=client_key(request.scope))
    request.scope[USER_ID] = str(caller.user_id)
    return caller


def _log_unknown_issuer(token: str, settings: Settings) -> None:
    """Log the issuer that a refused token names, if the settings name no such issuer."""
    issuer = _claimed_issuer(token)
    if issuer is not None and issuer not in settings.known_issuers:
        _log.warning(
            "external_token.unknown_issuer",
            issuer=loggable(issuer),
            known=settings.known_issuers,
            settings=("BETTER_AUTH_URL", "TODO_EXTERNAL_ISSUERS"),
        )


def _claimed_issuer(token: str) -> str | None:
    """Return the `iss` of a token that is not verified, or None if there is none."""
    if len(token) > _MAX_TOKEN_SIZE or token.count(".") != 2:
        return None
    payload = token.split(".")[1]
    try:
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, RecursionError):
        return None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    return issuer if isinstance(issuer, str) else None


get_current_user = BearerToken()
verify_user_id_in_url_matches_authenticated_user = TaskOwner()

CallerDependency = Annotated[Caller, Depends(get_current_user)]
TaskOwnerCallerDependency = Annotated[Caller, Depends(TaskOwnerCaller())]
StreamCallerDependency = Annotated[Caller, Depends(StreamCaller())]
OwnerDependency = Annotated[UserId, Depends(verify_user_id_in_url_matches_authenticated_user)]


async def get_current_active_user(request: Request, caller: CallerDependency) -> User:
    """Require that the account of the caller still exists, and return it.

    Raises:
        RateLimited: after too many requests of this user for their profile.
        AccountGone: if the account was deleted.
    """
    threads: WorkerThreads = request.app.state.worker_threads
    read = partial(application_of(request).read_profile, user_id=caller.user_id)
    return await threads.run(read, key=caller_key(request.scope))


ActiveUserDependency = Annotated[User, Depends(get_current_active_user)]
