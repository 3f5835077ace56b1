"""A person's account."""

from functools import partial

from fastapi import APIRouter, Request, Response

from todo_api.http.dependencies import (
    CallerDependency,
    address_of,
    container_of,
    run_admitted,
)
from todo_api.http.json_route import JsonRoute
from todo_api.http.openapi import problems
from todo_api.http.schemas.accounts import (
    DeleteAccountRequest,
    ExportResponse,
    RegisterRequest,
    RegisterResponse,
    UpdateProfileRequest,
    export_json,
)
from todo_api.http.schemas.users import UserProfileResponse

router = APIRouter(prefix="/api/auth", tags=["accounts"], route_class=JsonRoute)


@router.post(
    "/register",
    summary="Open an account",
    status_code=201,
    responses=problems(400, 403, 409, 413, 415, 422, 429, 503),
)
async def register(request: Request, body: RegisterRequest) -> RegisterResponse:
    """Then log in with it. 403 if the operator has closed registration."""
    register_user = container_of(request).register_user()
    user = await run_admitted(
        request,
        partial(
            register_user.admit,
            name=body.name,
            email=body.email,
            password=body.password,
            address=address_of(request),
        ),
    )
    return RegisterResponse.model_validate(user)


@router.get("/me", summary="Read your profile", responses=problems(401, 429, 503))
def get_profile(request: Request, caller: CallerDependency) -> UserProfileResponse:
    """Your account, as only you see it."""
    user = container_of(request).read_profile()(user_id=caller.user_id)
    return UserProfileResponse.model_validate(user)


@router.patch(
    "/me",
    summary="Change your name or email",
    responses=problems(400, 401, 409, 413, 415, 422, 429, 503),
)
async def update_profile(
    request: Request, caller: CallerDependency, body: UpdateProfileRequest
) -> UserProfileResponse:
    """Only the fields that are sent change. A notice of another email goes to the old one."""
    update = container_of(request).update_profile()
    user = await run_admitted(
        request, partial(update.admit, user_id=caller.user_id, **body.model_dump())
    )
    return UserProfileResponse.model_validate(user)


@router.delete(
    "/me",
    summary="Delete your account",
    status_code=204,
    responses=problems(400, 401, 409, 413, 415, 422, 429, 503),
)
async def delete_account(
    request: Request, caller: CallerDependency, body: DeleteAccountRequest | None = None
) -> Response:
    """And with it all that is yours, for good. Who has no password here sends nothing."""
    delete = container_of(request).delete_account()
    await run_admitted(
        request,
        partial(
            delete.admit,
            user_id=caller.user_id,
            caller_identity=caller.identity,
            **(body.model_dump() if body else {}),
        ),
    )
    return Response(status_code=204)


@router.get(
    "/me/export",
    summary="Take along all that is stored about you",
    response_model=ExportResponse,
    responses=problems(401, 429, 503),
)
def export_account(request: Request, caller: CallerDependency) -> Response:
    """You, your identities and sessions, and your tasks, as one document."""
    export = container_of(request).export_account()(user_id=caller.user_id)
    # Rendered here, on a thread, and not by the framework on that of the event loop.
    return Response(export_json(export), media_type="application/json")
