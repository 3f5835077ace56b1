"""Accounts: opening one, and logging in."""

from functools import partial

from anyio import to_thread
from fastapi import APIRouter, Request

from todo_api.dependencies import CallerDependency, container_of
from todo_api.json_route import JsonRoute
from todo_api.openapi import problems
from todo_api.schemas.accounts import (
    LoginRequest,
    LoginResponse,
    RegisterRequest,
    RegisterResponse,
    UserProfileResponse,
)

router = APIRouter(prefix="/api/auth", tags=["accounts"], route_class=JsonRoute)


async def _hashing[Result](request: Request, use_case: "partial[Result]") -> Result:
    """Run what hashes a password, on one of the few threads that may do so at a time.

    It takes a core for a third of a second; if it could take every thread, a
    storm of logins would keep everybody from their tasks.
    """
    return await to_thread.run_sync(use_case, limiter=request.app.state.hashing_limiter)


@router.post(
    "/register",
    summary="Open an account",
    status_code=201,
    responses=problems(400, 409, 413, 415, 422, 503),
)
async def register(request: Request, body: RegisterRequest) -> RegisterResponse:
    """Then log in with it."""
    register_user = container_of(request).register_user()
    user = await _hashing(
        request,
        partial(register_user, name=body.name, email=body.email, password=body.password),
    )
    return RegisterResponse.model_validate(user)


@router.post("/login", summary="Log in", responses=problems(400, 401, 409, 413, 415, 422, 503))
async def login(request: Request, body: LoginRequest) -> LoginResponse:
    """Begin a session. A wrong email and a wrong password are answered alike."""
    log_in = container_of(request).log_in()
    logged_in = await _hashing(request, partial(log_in, email=body.email, password=body.password))
    return LoginResponse(
        access_token=logged_in.access_token.value,
        expires_in=int(logged_in.access_token.expires_in.total_seconds()),
        refresh_token=logged_in.refresh_token,
        user=UserProfileResponse.model_validate(logged_in.user),
    )


@router.get(
    "/me",
    summary="Read your profile",
    response_model=UserProfileResponse,
    responses=problems(401, 503),
)
def get_profile(request: Request, caller: CallerDependency) -> UserProfileResponse:
    """Your account, as only you see it."""
    user = container_of(request).get_user()(user_id=caller.user_id)
    return UserProfileResponse.model_validate(user)
