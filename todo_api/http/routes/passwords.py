"""Changing a password, and resetting a forgotten one."""

from functools import partial

from fastapi import APIRouter, Request, Response

from todo_api.http.dependencies import (
    CallerDependency,
    address_of,
    application_of,
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
    summary="Change your password",
    status_code=204,
    responses=problems(400, 401, 409, 413, 415, 422, 429, 503),
)
async def change_password(
    request: Request, caller: CallerDependency, body: ChangePasswordRequest
) -> Response:
    """Set a new password, and revoke your other sessions."""
    change = application_of(request).change_password
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
    summary="Request a password reset",
    status_code=202,
    responses=problems(400, 413, 415, 422, 429, 503),
)
def forgot_password(request: Request, body: ForgotPasswordRequest) -> ForgotPasswordResponse:
    """Send an email with a link to set a new password.

    The response is the same whether or not an account with this email exists.
    """
    application_of(request).forgot_password(email=body.email, address=address_of(request))
    return ForgotPasswordResponse()


@router.post(
    "/reset-password",
    summary="Reset your password",
    status_code=204,
    responses=problems(400, 409, 413, 415, 422, 429, 503),
)
async def reset_password(request: Request, body: ResetPasswordRequest) -> Response:
    """Set a new password with the token from the email, and revoke all of your sessions.

    The status is 400 if the token is used, expired or unknown.
    """
    reset = application_of(request).reset_password
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
