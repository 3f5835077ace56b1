"""Every error that the core raises, as one tree.

    TodoError
    ├── ValidationFailed          a value breaks a rule; carries FieldErrors
    ├── AuthenticationFailed      the caller could not be authenticated
    │   ├── InvalidCredentials    no account has this email and password
    │   ├── InvalidAccessToken    the access token is not valid, or its session was revoked
    │   ├── InvalidRefreshToken   the refresh token is unknown, used, expired or revoked
    │   └── AccountGone           the account of the access token was deleted
    ├── NotFound                  it does not exist, or belongs to another user
    │   ├── TaskNotFound
    │   ├── SessionNotFound
    │   ├── UserNotFound
    │   └── IdentityNotFound      no account belongs to this identity
    ├── InvalidCursor             the cursor is not one of this list and this owner
    ├── SyncTokenExpired          deletions after this token are no longer known
    ├── InvalidIdempotencyKey     the key of a request is not 1 to 255 visible ASCII characters
    ├── IdempotencyKeyReused      the key was sent before with another request
    ├── ResponseTooLarge          the response cannot be kept for a request with a key
    ├── InvalidResetToken         the password reset token is unknown, used, replaced or expired
    ├── RegistrationClosed        the operator has closed registration
    ├── PreconditionFailed        the task has another version than the caller expects
    ├── InvalidParent             the task cannot be a subtask of this one
    ├── Conflict                  the request is valid, but the stored state does not allow it
    │   ├── EmailTaken
    │   ├── IdTaken               a new identifier is already in use
    │   ├── IdentityTaken         the identity already belongs to an account
    │   ├── QuotaExceeded         the owner has as many tasks as they may have
    │   ├── NoPassword            the user logs in through an external issuer only
    │   ├── ExternalSession       an external issuer logged the user in
    │   ├── IdempotencyInProgress a request with the same key is in progress
    │   ├── StaleVersion          the entity was changed since it was loaded
    │   │   └── HasSubtasks       the task has subtasks, which change with it
    │   └── EditConflict          StaleVersion at every attempt
    ├── RateLimited               too many requests; says when to try again
    ├── TooManyKeptResponses      the quota of kept responses is used up; says until when
    └── Unavailable               a dependency does not respond

Adapters raise only these errors and unexpected ones. How each one is presented to clients is
decided by `todo_api.http.problems`.
"""

from dataclasses import dataclass
from datetime import timedelta


class TodoError(Exception):
    """The root of all errors that the core and its ports raise deliberately.

    If one of several parts of an argument is to blame, `field` is the path to it.
    """

    field: str | None = None


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule of one field.

    `field` is the name of the use case's argument, `code` a stable identifier for programs,
    `message` a sentence for users.
    """

    field: str
    code: str
    message: str


class ValidationFailed(TodoError):
    """One or more values break their rules. All of them are named."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__(" ".join(error.message for error in errors))
        self.errors = errors


class AuthenticationFailed(TodoError):
    """The caller could not be authenticated."""


class InvalidCredentials(AuthenticationFailed):
    """The email is unknown or the password wrong; which of the two is never revealed."""


class InvalidAccessToken(AuthenticationFailed):
    """The access token is missing, forged, expired, or not meant for this service."""


class InvalidRefreshToken(AuthenticationFailed):
    """The refresh token is unknown, used or expired, or its session was revoked."""


class AccountGone(AuthenticationFailed):
    """The account that the access token was issued for was deleted."""


class NotFound(TodoError):
    """It does not exist, or it belongs to another user. The two are never distinguished."""


class TaskNotFound(NotFound):
    """The owner has no task with this id."""


class SessionNotFound(NotFound):
    """The user has no session with this id."""


class UserNotFound(NotFound):
    """There is no user with this id or email."""


class IdentityNotFound(NotFound):
    """No account belongs to this issuer and subject."""


class InvalidCursor(TodoError):
    """The cursor was changed, or belongs to another list or another owner."""


class SyncTokenExpired(TodoError):
    """Tasks were deleted after this token was issued, so long ago that it is no longer known which.

    The client must read all tasks again.
    """


class InvalidIdempotencyKey(TodoError):
    """The idempotency key is not 1 to 255 visible ASCII characters."""


class IdempotencyKeyReused(TodoError):
    """The user sent this idempotency key before, with another request."""


class ResponseTooLarge(TodoError):
    """The response is too large to be kept for a request with an idempotency key."""


class InvalidResetToken(TodoError):
    """The password reset token is unknown, used, replaced by a newer one, or expired."""


class RegistrationClosed(TodoError):
    """The operator has closed registration: accounts with a password cannot be created."""


class PreconditionFailed(TodoError):
    """The task has another version than the caller expects: `version`."""

    def __init__(self, version: int) -> None:
        super().__init__(f"the task has version {version}")
        self.version = version


class InvalidParent(TodoError):
    """The task cannot be a subtask of this one.

    The owner has no such task, or it is a subtask itself, or has as many subtasks as it may have,
    or the task has subtasks of its own. These are never distinguished.
    """


class Conflict(TodoError):
    """The request is valid, but the stored state does not allow it."""


class EmailTaken(Conflict):
    """Another account has this email. Upper and lower case are not distinguished."""


class IdTaken(Conflict):
    """A new identifier is already in use: another one must be generated."""


class IdentityTaken(Conflict):
    """The identity already belongs to an account."""


class QuotaExceeded(Conflict):
    """The owner has as many tasks as they may have."""


class NoPassword(Conflict):
    """The account has no password: its user logs in through an external issuer only."""


class ExternalSession(Conflict):
    """An external issuer logged the user in, and only that issuer can log them out."""


class IdempotencyInProgress(Conflict):
    """A request of the user with the same idempotency key is in progress."""


class StaleVersion(Conflict):
    """The entity was changed or deleted by a concurrent request after it was loaded."""


class HasSubtasks(StaleVersion):
    """The task cannot be deleted or completed by itself, because it has subtasks."""


class EditConflict(Conflict):
    """The entity kept being changed by concurrent requests. The change was not applied."""


class RateLimited(TodoError):
    """Too many requests. `allowance` says which limit is exhausted, and for how long."""

    def __init__(self, allowance: "Allowance") -> None:
        super().__init__(f"too many requests; try again in {allowance.resets_in}")
        self.allowance = allowance


@dataclass(frozen=True, slots=True)
class Allowance:
    """An exhausted limit: `limit` requests in each `window`, under the limit named `rule`.

    `resets_in` is the time until the next request is allowed.
    """

    rule: str
    limit: int
    window: timedelta
    resets_in: timedelta


class TooManyKeptResponses(TodoError):
    """The user's quota of kept responses, in bytes, is used up.

    `resets_in` is the time until they are counted from zero again.
    """

    def __init__(self, resets_in: timedelta) -> None:
        super().__init__(f"the quota of kept responses is used up; try again in {resets_in}")
        self.resets_in = resets_in


class Unavailable(TodoError):
    """A dependency does not respond. `dependency` names it, for operators and `/readyz`."""

    def __init__(self, dependency: str) -> None:
        super().__init__(f"{dependency} is unavailable")
        self.dependency = dependency
