"""Every error as a problem document (RFC 9457), from one table.

`detail` is one sentence for people, `code` one word for programs. Nothing here
says what went on inside: that goes to the log, under the same request id.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from todo_api.runtime.request_context import current_request_id
from todo_core import errors as core
from todo_core.errors import FieldError

MEDIA_TYPE = "application/problem+json"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_RETRY_SOON = {"Retry-After": "2"}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """How one kind of error looks from outside."""

    status: HTTPStatus
    code: str
    detail: str
    headers: Mapping[str, str] | None = None


CORE_PROBLEMS: Mapping[type[core.TodoError], ProblemKind] = {
    core.ValidationFailed: ProblemKind(
        HTTPStatus.UNPROCESSABLE_CONTENT, "validation_failed", "What was sent is not valid."
    ),
    core.AuthenticationFailed: ProblemKind(
        HTTPStatus.UNAUTHORIZED, "unauthenticated", "You are not logged in.", _CHALLENGE
    ),
    core.InvalidCredentials: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "invalid_credentials",
        "The email or the password is wrong.",
        _CHALLENGE,
    ),
    core.InvalidAccessToken: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "invalid_token",
        "A valid access token is needed. Please log in.",
        _CHALLENGE,
    ),
    core.InvalidRefreshToken: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "invalid_refresh_token",
        "This session has ended. Please log in.",
        _CHALLENGE,
    ),
    core.AccountGone: ProblemKind(
        HTTPStatus.UNAUTHORIZED, "account_gone", "This account no longer exists.", _CHALLENGE
    ),
    core.NotFound: ProblemKind(HTTPStatus.NOT_FOUND, "not_found", "There is no such thing."),
    core.TaskNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "task_not_found", "There is no such task."
    ),
    core.SessionNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "session_not_found", "There is no such session."
    ),
    core.UserNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "user_not_found", "There is no such user."
    ),
    core.IdentityNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "user_not_found", "There is no such user."
    ),
    core.InvalidResetToken: ProblemKind(
        HTTPStatus.BAD_REQUEST,
        "invalid_reset_token",
        "This link is no longer good. Please ask for a new one.",
    ),
    # It says nothing about any user or task, and is the same for every caller: 403 is right
    # here, where it never is for what belongs to another user.
    core.RegistrationClosed: ProblemKind(
        HTTPStatus.FORBIDDEN,
        "registration_closed",
        "Registration is closed. If you have an account, please log in.",
    ),
    core.Conflict: ProblemKind(
        HTTPStatus.CONFLICT, "conflict", "That is not possible in the present state."
    ),
    core.EmailTaken: ProblemKind(
        HTTPStatus.CONFLICT, "email_taken", "There is an account with this email already."
    ),
    core.NoPassword: ProblemKind(
        HTTPStatus.CONFLICT,
        "no_password",
        "This account has no password here: it belongs to another login service.",
    ),
    core.NotOurSession: ProblemKind(
        HTTPStatus.CONFLICT,
        "external_session",
        "Another login service logged you in. Please log out there.",
    ),
    core.IdentityTaken: ProblemKind(
        HTTPStatus.CONFLICT, "conflict", "That did not work out. Please try again."
    ),
    core.IdTaken: ProblemKind(
        HTTPStatus.CONFLICT, "conflict", "That did not work out. Please try again."
    ),
    core.StaleVersion: ProblemKind(
        HTTPStatus.CONFLICT, "edit_conflict", "It was changed at the same time. Please try again."
    ),
    core.EditConflict: ProblemKind(
        HTTPStatus.CONFLICT, "edit_conflict", "It was changed at the same time. Please try again."
    ),
    core.RateLimited: ProblemKind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limited",
        "That was too often. Please wait a little and try again.",
    ),
    core.Unavailable: ProblemKind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "The service is not available at the moment. Please try again shortly.",
        _RETRY_SOON,
    ),
    core.TodoError: ProblemKind(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong."
    ),
}
"""Every error of the core; a test sees that none is missing."""

UNEXPECTED = CORE_PROBLEMS[core.TodoError]

CORS_REFUSED = ProblemKind(
    HTTPStatus.BAD_REQUEST, "cors_refused", "A page from there must not send such a request."
)
"""What a browser asks before it sends a request for a page, and is told not to."""

HTTP_PROBLEMS: Mapping[HTTPStatus, ProblemKind] = {
    kind.status: kind
    for kind in (
        ProblemKind(HTTPStatus.BAD_REQUEST, "malformed_body", "The body is not valid JSON."),
        ProblemKind(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address."),
        ProblemKind(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not answer to that method.",
        ),
        ProblemKind(HTTPStatus.CONTENT_TOO_LARGE, "body_too_large", "The body is too large."),
        ProblemKind(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be JSON, and say so: Content-Type: application/json.",
        ),
    )
}
"""What the framework, or the handling of the body, refuses before any route is reached."""

_TYPE_CODES = {
    "missing": ("required", "is required"),
    "string_type": ("invalid_type", "must be a string"),
    "string_unicode": ("invalid_characters", "must not contain unpaired surrogates"),
    "bool_type": ("invalid_type", "must be true or false"),
    "bool_parsing": ("invalid_type", "must be true or false"),
}
_INVALID = ("invalid_type", "is not of the right type")


def problem_document(
    kind: ProblemKind,
    request_id: str,
    *,
    detail: str | None = None,
    errors: Sequence[FieldError] | None = None,
) -> bytes:
    """Return the problem document as JSON. Every error response of the service has one as body."""
    document: dict[str, Any] = {  # JSON: strings, a number, a list
        "type": "about:blank",
        "title": kind.status.phrase,
        "status": kind.status.value,
        "detail": detail or kind.detail,
        "code": kind.code,
        "request_id": request_id,
    }
    if errors is not None:
        document["errors"] = [
            {"pointer": f"/{error.field}".rstrip("/"), "code": error.code, "message": error.message}
            for error in errors
        ]
    return json.dumps(document, separators=(",", ":")).encode()


def problem_response(
    kind: ProblemKind, *, detail: str | None = None, errors: Sequence[FieldError] | None = None
) -> Response:
    """Return the response to the current request that describes the problem."""
    document = problem_document(kind, current_request_id.get() or "", detail=detail, errors=errors)
    return Response(document, kind.status, kind.headers, MEDIA_TYPE)


def invalid(errors: Sequence[FieldError]) -> Response:
    """The answer that names everything that is wrong with what was sent."""
    sentences = (f"{error.field} {error.message}".strip() for error in errors)
    return problem_response(
        CORE_PROBLEMS[core.ValidationFailed], detail="; ".join(sentences) + ".", errors=errors
    )


def handle_errors(app: FastAPI) -> None:
    """Answer every error of this application with a problem document."""
    app.add_exception_handler(core.TodoError, _core_error)
    app.add_exception_handler(RequestValidationError, _request_validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _core_error(_: Request, error: Exception) -> Response:
    if isinstance(error, core.ValidationFailed):
        return invalid(error.errors)
    kind = CORE_PROBLEMS[type(error)]  # type: ignore[index]  # registered for TodoError alone
    if isinstance(error, core.AuthenticationFailed):
        _log.warning("authentication.failed", kind="security", reason=kind.code)
    elif isinstance(error, core.Unavailable):
        # A traceback only where there is something behind it.
        trace = error if error.__cause__ else None
        _log.error("dependency.unavailable", dependency=error.dependency, exc_info=trace)
    elif isinstance(error, core.RateLimited):
        _log.warning("request.throttled", kind="security", rule=error.allowance.rule)
        return problem_response(replace(kind, headers=_rate_limit_headers(error.allowance)))
    return problem_response(kind)


def _rate_limit_headers(allowance: core.Allowance) -> Mapping[str, str]:
    """When to come back, and the fields of draft-ietf-httpapi-ratelimit-headers-10."""
    seconds = math.ceil(allowance.resets_in.total_seconds())
    window = int(allowance.window.total_seconds())
    return {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f'"{allowance.rule}";q={allowance.limit};w={window}',
        "RateLimit": f'"{allowance.rule}";r=0;t={seconds}',
    }


async def _request_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
    return invalid([_field_error(details) for details in error.errors()])


def _field_error(details: Mapping[str, Any]) -> FieldError:
    """What pydantic found, in the terms of this API and without an echo of the value."""
    field = "/".join(str(part) for part in details["loc"][1:])
    code, message = _TYPE_CODES.get(details["type"], _INVALID)
    return FieldError(field, code, message if field else f"the body {message}")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it alone
    status = HTTPStatus(error.status_code)
    kind = HTTP_PROBLEMS.get(status) or ProblemKind(
        status, status.phrase.lower().replace(" ", "_"), status.phrase + "."
    )
    response = problem_response(kind)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        known = ", ".join(_methods_at(request))
        response.headers["Allow"] = known or (error.headers or {}).get("Allow", "GET, HEAD")
    return response


def _methods_at(request: Request) -> list[str]:
    """All methods that the address answers to; the router itself only names one route's."""
    found: set[str] = set()
    for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0].name == "FULL" for route in request.app.routes):
            found.add(method)
    return sorted(found)
