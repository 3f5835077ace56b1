"""Every error as a problem document (RFC 9457), from one table.

`detail` tells users what to do, and `code` tells programs what happened. Internal causes are
logged under the same request id, and never sent.
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

from todo_api.http.schemas.tasks import entity_tag
from todo_api.runtime.request_context import current_request_id
from todo_core import errors as core
from todo_core.errors import FieldError

MEDIA_TYPE = "application/problem+json"
_CHALLENGE = {"WWW-Authenticate": "Bearer"}
_RETRY_SOON = {"Retry-After": "2"}

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """How one kind of error is presented to clients."""

    status: HTTPStatus
    code: str
    detail: str
    headers: Mapping[str, str] | None = None


CORE_PROBLEMS: Mapping[type[core.TodoError], ProblemKind] = {
    core.ValidationFailed: ProblemKind(
        HTTPStatus.UNPROCESSABLE_CONTENT,
        "validation_failed",
        "Some fields are not valid. Correct them and try again.",
    ),
    core.AuthenticationFailed: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "unauthenticated",
        "You are not logged in. Log in and try again.",
        _CHALLENGE,
    ),
    core.InvalidCredentials: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "invalid_credentials",
        "The email or the password is wrong. Check both and try again.",
        _CHALLENGE,
    ),
    core.InvalidAccessToken: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "invalid_token",
        "A valid access token is required. Log in again.",
        _CHALLENGE,
    ),
    core.InvalidRefreshToken: ProblemKind(
        HTTPStatus.UNAUTHORIZED,
        "invalid_refresh_token",
        "This session has ended. Log in again.",
        _CHALLENGE,
    ),
    core.AccountGone: ProblemKind(
        HTTPStatus.UNAUTHORIZED, "account_gone", "This account no longer exists.", _CHALLENGE
    ),
    core.NotFound: ProblemKind(HTTPStatus.NOT_FOUND, "not_found", "This resource does not exist."),
    core.TaskNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "task_not_found", "This task does not exist."
    ),
    core.SessionNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "session_not_found", "This session does not exist."
    ),
    core.UserNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "user_not_found", "This user does not exist."
    ),
    core.IdentityNotFound: ProblemKind(
        HTTPStatus.NOT_FOUND, "user_not_found", "This user does not exist."
    ),
    core.InvalidResetToken: ProblemKind(
        HTTPStatus.BAD_REQUEST,
        "invalid_reset_token",
        "This link is no longer valid. Request a new one.",
    ),
    core.InvalidCursor: ProblemKind(
        HTTPStatus.BAD_REQUEST,
        "invalid_cursor",
        "This cursor is not one of this list. Start again without it.",
    ),
    core.SyncTokenExpired: ProblemKind(
        HTTPStatus.GONE,
        "sync_token_expired",
        "It is no longer known what was deleted since then. Start again without it.",
    ),
    core.InvalidIdempotencyKey: ProblemKind(
        HTTPStatus.BAD_REQUEST,
        "invalid_idempotency_key",
        "Idempotency-Key must be one text of 1 to 255 visible ASCII characters.",
    ),
    core.IdempotencyKeyReused: ProblemKind(
        HTTPStatus.UNPROCESSABLE_CONTENT,
        "idempotency_key_reused",
        "This Idempotency-Key was sent before with another request. Send a new one.",
    ),
    core.IdempotencyInProgress: ProblemKind(
        HTTPStatus.CONFLICT,
        "idempotency_in_progress",
        "A request with this Idempotency-Key is in progress. Try again in a second.",
        {"Retry-After": "1"},
    ),
    core.ResponseTooLarge: ProblemKind(
        HTTPStatus.CONTENT_TOO_LARGE,
        "response_too_large",
        "The response would be too large to be kept for a retry. Change fewer tasks at once.",
    ),
    # The response is the same for every caller and reveals nothing about any user or task, so 403
    # is right here. It never is for what belongs to another user.
    core.RegistrationClosed: ProblemKind(
        HTTPStatus.FORBIDDEN,
        "registration_closed",
        "Registration is closed. If you have an account, log in.",
    ),
    core.PreconditionFailed: ProblemKind(
        HTTPStatus.PRECONDITION_FAILED,
        "stale_version",
        "This task was changed in the meantime. Reload it and try again.",
    ),
    core.InvalidParent: ProblemKind(
        HTTPStatus.UNPROCESSABLE_CONTENT,
        "invalid_parent",
        "This task cannot be a subtask of that one. Choose one of your tasks that is not a subtask"
        " itself and has fewer than 500. A task that has subtasks cannot become one.",
    ),
    core.Conflict: ProblemKind(
        HTTPStatus.CONFLICT,
        "conflict",
        "This is not possible in the current state. Reload and try again.",
    ),
    core.EmailTaken: ProblemKind(
        HTTPStatus.CONFLICT,
        "email_taken",
        "An account with this email already exists. Log in, or use another email.",
    ),
    core.QuotaExceeded: ProblemKind(
        HTTPStatus.CONFLICT,
        "quota_exceeded",
        "You have as many tasks as you may have. Delete some that you do not need.",
    ),
    core.NoPassword: ProblemKind(
        HTTPStatus.CONFLICT,
        "no_password",
        "This account has no password here. Manage it at the login service that you use.",
    ),
    core.ExternalSession: ProblemKind(
        HTTPStatus.CONFLICT,
        "external_session",
        "Another login service started this session. Log out there.",
    ),
    core.IdentityTaken: ProblemKind(
        HTTPStatus.CONFLICT, "conflict", "The request could not be completed. Try again."
    ),
    core.IdTaken: ProblemKind(
        HTTPStatus.CONFLICT, "conflict", "The request could not be completed. Try again."
    ),
    core.StaleVersion: ProblemKind(
        HTTPStatus.CONFLICT,
        "edit_conflict",
        "Another request made a change at the same time. Try again.",
    ),
    core.HasSubtasks: ProblemKind(
        HTTPStatus.CONFLICT,
        "edit_conflict",
        "Another request made a change at the same time. Try again.",
    ),
    core.EditConflict: ProblemKind(
        HTTPStatus.CONFLICT,
        "edit_conflict",
        "Another request made a change at the same time. Try again.",
    ),
    core.RateLimited: ProblemKind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "rate_limited",
        "You have sent too many requests. Wait a moment and try again.",
    ),
    core.TooManyKeptResponses: ProblemKind(
        HTTPStatus.TOO_MANY_REQUESTS,
        "too_many_kept_responses",
        "You have sent too much with an Idempotency-Key. Send the request without one, or later.",
    ),
    core.Unavailable: ProblemKind(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "unavailable",
        "The service is temporarily unavailable. Try again in a few seconds.",
        _RETRY_SOON,
    ),
    core.TodoError: ProblemKind(
        HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong. Try again later."
    ),
}
"""Every error of the core; a test checks that none is missing."""

UNEXPECTED = CORE_PROBLEMS[core.TodoError]

CORS_REFUSED = ProblemKind(
    HTTPStatus.BAD_REQUEST, "cors_refused", "This origin may not send such requests."
)
"""The response to a preflight request that is refused."""

HTTP_PROBLEMS: Mapping[HTTPStatus, ProblemKind] = {
    kind.status: kind
    for kind in (
        ProblemKind(
            HTTPStatus.BAD_REQUEST,
            "malformed_body",
            "The body is not valid JSON. Correct it and try again.",
        ),
        ProblemKind(
            HTTPStatus.NOT_FOUND, "not_found", "Nothing exists at this URL. Check it and try again."
        ),
        ProblemKind(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This URL does not support the method. Use one from the Allow header.",
        ),
        ProblemKind(
            HTTPStatus.URI_TOO_LONG,
            "uri_too_long",
            "The query of the URL is too long. Send at most 8192 bytes and 100 parameters.",
        ),
        ProblemKind(
            HTTPStatus.CONTENT_TOO_LARGE,
            "body_too_large",
            "The body is too large. Send a smaller one.",
        ),
        ProblemKind(
            HTTPStatus.PRECONDITION_REQUIRED,
            "precondition_required",
            "Say which version of the task you have, in the header If-Match.",
        ),
        ProblemKind(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be JSON. Send it with Content-Type: application/json.",
        ),
    )
}
"""The errors that the framework or the handling of the body raises, by status."""

_TYPE_PROBLEMS = {
    "missing": ("required", "is required"),
    "string_type": ("invalid_type", "must be a string"),
    "string_unicode": ("invalid_characters", "must not contain unpaired surrogates"),
    "bool_type": ("invalid_type", "must be true or false"),
    "bool_parsing": ("invalid_type", "must be true or false"),
    "int_type": ("invalid_type", "must be a whole number"),
    "list_type": ("invalid_type", "must be a JSON array"),
    "too_long": ("too_long", "must have at most {max_length} items"),
    "literal_error": ("invalid_value", "must be {expected}"),
    "model_attributes_type": ("invalid_type", "must be a JSON object"),
    "not_one_operation": (
        "invalid_operation",
        "must have exactly one of create, update, complete and delete",
    ),
    "not_one_place": (
        "invalid_value",
        "must have before, after or parent_id, and not both of the first two",
    ),
}
"""The code and the predicate of the message for each type of error that pydantic reports."""

_WRONG_TYPE = ("invalid_type", "has the wrong type")


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
        "message": detail or kind.detail,  # for front ends that read only this
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
    return Response(document, kind.status.value, kind.headers, MEDIA_TYPE)


def validation_response(errors: Sequence[FieldError]) -> Response:
    """Return the response that names every field that is not valid."""
    return problem_response(
        CORE_PROBLEMS[core.ValidationFailed],
        detail=" ".join(error.message for error in errors),
        errors=errors,
    )


def handle_errors(app: FastAPI) -> None:
    """Respond to every error of this application with a problem document."""
    app.add_exception_handler(core.TodoError, _core_error)
    app.add_exception_handler(RequestValidationError, _request_validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _core_error(_: Request, error: Exception) -> Response:
    if isinstance(error, core.ValidationFailed):
        return validation_response(error.errors)
    assert isinstance(error, core.TodoError)  # noqa: S101 - registered only for it
    kind = CORE_PROBLEMS[type(error)]
    errors = None if error.field is None else [FieldError(error.field, kind.code, kind.detail)]
    if isinstance(error, core.AuthenticationFailed):
        _log.warning("authentication.failed", kind="security", reason=kind.code)
    elif isinstance(error, core.Unavailable):
        # Without a cause, the traceback would only show the adapter that raised it.
        trace = error if error.__cause__ else None
        _log.error("dependency.unavailable", dependency=error.dependency, exc_info=trace)
    elif isinstance(error, core.RateLimited):
        _log.warning("request.throttled", kind="security", rule=error.allowance.rule)
        return problem_response(replace(kind, headers=_rate_limit_headers(error.allowance)))
    elif isinstance(error, core.TooManyKeptResponses):
        _log.warning("request.throttled", kind="security", rule="kept_responses")
        seconds = max(1, math.ceil(error.resets_in.total_seconds()))
        kind = replace(kind, headers={"Retry-After": str(seconds)})
    elif isinstance(error, core.PreconditionFailed):
        kind = replace(kind, headers={"ETag": entity_tag(error.version)})
    return problem_response(kind, errors=errors)


def _rate_limit_headers(allowance: core.Allowance) -> Mapping[str, str]:
    """Return Retry-After, and the fields of draft-ietf-httpapi-ratelimit-headers-10."""
    seconds = math.ceil(allowance.resets_in.total_seconds())
    window = int(allowance.window.total_seconds())
    return {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f'"{allowance.rule}";q={allowance.limit};w={window}',
        "RateLimit": f'"{allowance.rule}";r=0;t={seconds}',
    }


async def _request_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered only for it
    return validation_response([_field_error(details) for details in error.errors()])


def _field_error(details: Mapping[str, Any]) -> FieldError:
    """Translate an error of pydantic, without the value that was sent."""
    path = [str(part) for part in details["loc"][1:]]
    code, predicate = _TYPE_PROBLEMS.get(details["type"], _WRONG_TYPE)
    predicate = predicate.format(**details.get("ctx", {}))
    return FieldError("/".join(path), code, f"{_subject(path)} {predicate}.")


def _subject(path: Sequence[str]) -> str:
    """Return the name of the field for a message: `current_password` as `Current password`."""
    if not path:
        return "The body"
    if path[-1].isdigit() and len(path) > 1:  # an item of a list
        path = [f"{path[-2]} {path[-1]}"]
    return path[-1].replace("_", " ").capitalize()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered only for it
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
    """Return all methods that the URL supports; the router only names those of one route."""
    found: set[str] = set()
    for method in ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0].name == "FULL" for route in request.app.routes):
            found.add(method)
    return sorted(found)
