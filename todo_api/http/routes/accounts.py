"""Accounts: registration, the profile, deletion and export."""

from functools import partial

from fastapi import APIRouter, Request, Response

from todo_api.http.dependencies import (
    ActiveUserDependency,
    CallerDependency,
    address_of,
    application_of,
    run_admitted,
)
from todo_api.http.json_route import JsonRoute
from todo_api.http.large_responses import streamed
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
    summary="Register",
    status_code=201,
    responses=problems(400, 403, 409, 413, 415, 422, 429, 503),
)
async def register(request: Request, body: RegisterRequest) -> RegisterResponse:
    """Create an account. The status is 403 if the operator has closed registration."""
    register_user = application_of(request).register_user
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


@router.get("/me", summary="Get your profile", responses=problems(401, 429, 503))
async def get_profile(user: ActiveUserDependency) -> UserProfileResponse:
    """Return your account."""
    return UserProfileResponse.model_validate(user)


@router.patch(
    "/me",
    summary="Update your profile",
    responses=problems(400, 401, 409, 413, 415, 422, 429, 503),
)
async def update_profile(
    request: Request, caller: CallerDependency, body: UpdateProfileRequest
) -> UserProfileResponse:
    """Change your name, email or settings. Fields that are not sent keep their value.

    To change the email, send your current password. A notice goes to the old email.
    """
    update = application_of(request).update_profile
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
    """Permanently delete your account and all of its data.

    Send your current password, unless another login service manages your account.
    """
    delete = application_of(request).delete_account
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
    summary="Export your data",
    response_model=ExportResponse,
    responses=problems(401, 429, 503),
)
def export_account(request: Request, caller: CallerDependency) -> Response:
    """Return your account, identities, sessions and tasks in one document.

    Tasks that change while a large account is exported may be in either state. A document that
    breaks off is not complete: request it again.
    """
    # The sessions of an external issuer may continue with tokens that are issued later.
    session_id = caller.session_id if caller.identity is None else None
    export = application_of(request).export_account(user_id=caller.user_id, session_id=session_id)
    return streamed(export_json(export), media_type="application/json")
