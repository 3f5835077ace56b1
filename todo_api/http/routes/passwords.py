"""Changing a password, and getting back in without it."""

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
from todo_api.http.schemas.passwords import (
    ChangePasswordRequest,
    ForgotPasswordRequest,
    ForgotPasswordResponse,
    ResetPasswordRequest,
)

router = APIRouter(prefix="/api/auth", tags=["passwords"], route_class=JsonRoute)


@router.post(
    "/change-password",
    summary="Choose another password",
    status_code=204,
    responses=problems(400, 401, 409, 413, 415, 422, 429, 503),
)
async def change_password(
    request: Request, caller: CallerDependency, body: ChangePasswordRequest
) -> Response:
    """Ends your other sessions."""
    change = container_of(request).change_password()
    await run_admitted(
        request,
        partial(
            change.admit,
            user_id=caller.user_id,
            session_id=caller.session_id,
            current_password=body.current_password,
            new_password=body.new_password,
        ),
    )
    return Response(status_code=204)


@router.post(
    "/forgot-password",
    summary="Ask for a letter to choose a new password by",
    status_code=202,
    responses=problems(400, 413, 415, 422, 429, 503),
)
def forgot_password(request: Request, body: ForgotPasswordRequest) -> ForgotPasswordResponse:
    """The answer is the same, and as fast, whether or not there is such an account."""
    container_of(request).forgot_password()(email=body.email, address=address_of(request))
    return ForgotPasswordResponse()


@router.post(
    "/reset-password",
    summary="Choose a new password by a letter",
    status_code=204,
    responses=problems(400, 409, 413, 415, 422, 429, 503),
)
async def reset_password(request: Request, body: ResetPasswordRequest) -> Response:
    """Ends all sessions. A token that is used, expired or unknown is answered with 400."""
    reset = container_of(request).reset_password()
    await run_admitted(
        request,
        partial(
            reset.admit,
            token=body.token,
            new_password=body.new_password,
            address=address_of(request),
        ),
    )
    return Response(status_code=204)
