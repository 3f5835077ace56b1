"""Logging in, going on, and logging out."""

from functools import partial
from uuid import UUID

from fastapi import APIRouter, Request, Response

from todo_api.http.dependencies import (
    CallerDependency,
    address_of,
    container_of,
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
from todo_api.http.schemas.users import UserProfileResponse
from todo_core.entities.session import SessionId
from todo_core.errors import SessionNotFound

router = APIRouter(prefix="/api/auth", tags=["sessions"], route_class=JsonRoute)


@router.post("/login", summary="Log in", responses=problems(400, 401, 409, 413, 415, 422, 429, 503))
async def login(request: Request, body: LoginRequest) -> LoginResponse:
    """Begin a session. A wrong email and a wrong password are answered alike."""
    log_in = container_of(request).log_in()
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
        token_fields(logged_in.tokens)
        | {"user": UserProfileResponse.model_validate(logged_in.user)}
    )


@router.post(
    "/refresh",
    summary="Go on with a session",
    responses=problems(400, 401, 413, 415, 422, 429, 503),
)
def refresh(request: Request, body: RefreshTokenRequest) -> RefreshTokenResponse:
    """Each refresh token is good once: keep the new one. Using an old one ends the session."""
    tokens = container_of(request).refresh_session()(
        refresh_token=body.refresh_token, address=address_of(request)
    )
    return RefreshTokenResponse.of(tokens)


@router.post("/logout", summary="Log out", status_code=204, responses=problems(401, 409, 429, 503))
def logout(request: Request, caller: CallerDependency) -> Response:
    """Ends this session: its tokens are of no use any more. 409 if another service began it."""
    container_of(request).log_out()(caller)
    return Response(status_code=204)


@router.get(
    "/sessions",
    summary="List your sessions",
    response_model=list[SessionResponse],
    responses=problems(401, 429, 503),
)
def list_sessions(request: Request, caller: CallerDependency) -> Response:
    """Where you are logged in, the session used last first."""
    sessions = container_of(request).list_sessions()(user_id=caller.user_id)
    # Rendered here, on a thread, and not by the framework on that of the event loop.
    content = session_list_json(sessions, current=caller.session_id)
    return Response(content, media_type="application/json")


@router.delete(
    "/sessions",
    summary="Log out everywhere else",
    status_code=204,
    responses=problems(401, 409, 429, 503),
)
def end_other_sessions(request: Request, caller: CallerDependency) -> Response:
    """Ends all of your sessions but this one. 409 if another service logs you in."""
    container_of(request).end_other_sessions()(caller)
    return Response(status_code=204)


@router.delete(
    "/sessions/{session_id}",
    summary="End one of your sessions",
    status_code=204,
    responses=problems(401, 404, 429, 503),
)
def end_session(request: Request, caller: CallerDependency, session_id: str) -> Response:
    """Logs that device out."""
    container_of(request).end_session()(user_id=caller.user_id, session_id=_session_id(session_id))
    return Response(status_code=204)


def _session_id(text: str) -> SessionId:
    """Read an id; what is none is no session's either."""
    try:
        return SessionId(UUID(text))
    except ValueError:
        raise SessionNotFound from None
