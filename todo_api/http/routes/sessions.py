"""Logging in, refreshing tokens, and logging out."""

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response

from todo_api.http.dependencies import (
    CallerDependency,
    address_of,
    application_of,
    run_admitted,
)
from todo_api.http.json_route import JsonRoute
from todo_api.http.openapi import problems
from todo_api.http.schemas.sessions import (
    LoginRequest,
    LoginResponse,
    RefreshTokenRequest,
    RefreshTokenResponse,
    SessionResponse,
    session_list_json,
    token_fields,
)
from todo_api.http.schemas.users import UserResponse
from todo_core.entities.session import SessionId
from todo_core.errors import SessionNotFound

router = APIRouter(prefix="/api/auth", tags=["sessions"], route_class=JsonRoute)


@router.post("/login", summary="Log in", responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def login(request: Request, body: LoginRequest) -> LoginResponse:
    """Start a session, and return its tokens.

    The response is the same for an unknown email and for a wrong password.
    """
    log_in = application_of(request).log_in
    logged_in = await run_admitted(
        request,
        partial(
            log_in.admit,
            email=body.email,
            password=body.password,
            user_agent=request.headers.get("user-agent", ""),
            address=address_of(request),
        ),
    )
    return LoginResponse.model_validate(
        token_fields(logged_in.tokens) | {"user": UserResponse.model_validate(logged_in.user)}
    )


@router.post(
    "/refresh",
    summary="Refresh your tokens",
    responses=problems(400, 401, 413, 415, 422, 429, 503),
)
def refresh(request: Request, body: RefreshTokenRequest) -> RefreshTokenResponse:
    """Exchange a refresh token for new tokens.

    A refresh token can be used once, so keep the new one. Reuse of an old one revokes the session.
    """
    tokens = application_of(request).refresh_session(
        refresh_token=body.refresh_token, address=address_of(request)
    )
    return RefreshTokenResponse.of(tokens)


@router.post("/logout", summary="Log out", status_code=204, responses=problems(401, 409, 429, 503))
def logout(request: Request, caller: CallerDependency) -> Response:
    """Revoke this session. Its tokens are no longer valid.

    The status is 409 if another login service started the session.
    """
    application_of(request).log_out(caller)
    return Response(status_code=204)


@router.get(
    "/sessions",
    summary="List your sessions",
    response_model=list[SessionResponse],
    responses=problems(401, 429, 503),
)
def list_sessions(request: Request, caller: CallerDependency) -> Response:
    """Return your active sessions, the most recently used first."""
    sessions = application_of(request).list_sessions(user_id=caller.user_id)
    # Render it here, on a worker thread: the framework would block the event loop.
    content = session_list_json(sessions, current=caller.session_id)
    return Response(content, media_type="application/json")


@router.delete(
    "/sessions",
    summary="Revoke your other sessions",
    status_code=204,
    responses=problems(401, 409, 429, 503),
)
def end_other_sessions(request: Request, caller: CallerDependency) -> Response:
    """Revoke all of your sessions except this one.

    The status is 409 if another login service started this session.
    """
    application_of(request).revoke_other_sessions(caller)
    return Response(status_code=204)


@router.delete(
    "/sessions/{session_id}",
    summary="Revoke a session",
    status_code=204,
    responses=problems(401, 404, 429, 503),
)
def end_session(
    request: Request,
    caller: CallerDependency,
    session_id: Annotated[str, Path(description="The id of the session, a UUID.")],
) -> Response:
    """Revoke one of your sessions, which logs that device out."""
    application_of(request).revoke_session(
        user_id=caller.user_id, session_id=_session_id(session_id)
    )
    return Response(status_code=204)


def _session_id(text: str) -> SessionId:
    """Read the id in the path. A string that is not a UUID is the id of no session."""
    try:
        return SessionId(UUID(text))
    except ValueError:
        raise SessionNotFound from None
