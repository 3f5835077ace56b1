"""Everything that the core can refuse, as one tree.

    TodoError
    ├── ValidationFailed          what was sent breaks a rule; carries FieldErrors
    ├── AuthenticationFailed      the caller is not who they would have to be
    │   ├── InvalidCredentials    email and password do not belong together
    │   ├── InvalidAccessToken    the bearer token proves nothing, or its session has ended
    │   ├── InvalidRefreshToken   it continues no session: unknown, used up, or ended
    │   └── AccountGone           the token speaks for an account that was deleted
    ├── NotFound                  no such thing, or not the caller's: never told apart
    │   ├── TaskNotFound
    │   ├── SessionNotFound
    │   ├── UserNotFound
    │   └── IdentityNotFound      nobody here is this person of an external issuer
    ├── InvalidResetToken         it resets no password: unknown, used, replaced or expired
    ├── RegistrationClosed        the operator has closed registration
    ├── Conflict                  the request is fine, the stored state is not
    │   ├── EmailTaken
    │   ├── IdTaken               a freshly drawn identifier is in use already
    │   ├── IdentityTaken         the person of an external issuer has an account already
    │   ├── NoPassword            the person comes through an external issuer only
    │   ├── NotOurSession         the person is logged in by an external issuer
    │   ├── StaleVersion          somebody else saved since this entity was loaded
    │   └── EditConflict          StaleVersion again and again: given up
    ├── RateLimited               too often in too short a time; says when to come back
    └── Unavailable               something that the core depends on does not answer

An adapter raises only these, or what is truly unexpected. How each one looks
from outside is decided by the adapter that faces outwards (`todo_api.errors`).
"""

from dataclasses import dataclass
from datetime import timedelta


class TodoError(Exception):
    """The root of everything that the core and its ports raise on purpose."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One broken rule of one field.

    `field` is the name by which the use case takes the value, `code` a stable
    word for programs, `message` a sentence for people.
    """

    field: str
    code: str
    message: str


class ValidationFailed(TodoError):
    """One or more values break their rules; all of them are named at once."""

    def __init__(self, *errors: FieldError) -> None:
        super().__init__("; ".join(f"{error.field} {error.message}" for error in errors))
        self.errors = errors


class AuthenticationFailed(TodoError):
    """The caller could not prove who they are."""


class InvalidCredentials(AuthenticationFailed):
    """Unknown email or wrong password; which of the two is never said."""


class InvalidAccessToken(AuthenticationFailed):
    """The access token is missing, forged, expired, or not meant for this service."""


class InvalidRefreshToken(AuthenticationFailed):
    """The refresh token continues no session: unknown, used up, expired, or of one that ended."""


class AccountGone(AuthenticationFailed):
    """The account that the caller's token speaks for no longer exists."""


class NotFound(TodoError):
    """It does not exist, or it belongs to somebody else."""


class TaskNotFound(NotFound):
    """The owner has no task with this id."""


class SessionNotFound(NotFound):
    """The person has no session with this id."""


class UserNotFound(NotFound):
    """There is no user with this id or email."""


class IdentityNotFound(NotFound):
    """There is no account of this external issuer's subject."""


class InvalidResetToken(TodoError):
    """The token resets no password: it is unknown, used, replaced by a newer one, or expired."""


class RegistrationClosed(TodoError):
    """The operator has closed registration: no account is opened with a password."""


class Conflict(TodoError):
    """The stored state does not allow it."""


class EmailTaken(Conflict):
    """Another account is registered with this email, in whatever case it is written."""


class IdTaken(Conflict):
    """An identifier that was drawn at random is in use already: draw another."""


class IdentityTaken(Conflict):
    """An external issuer's subject has an account already."""


class NoPassword(Conflict):
    """The account has no password: its person comes through an external issuer only."""


class NotOurSession(Conflict):
    """An external issuer logged this person in, and only it can log them out."""


class StaleVersion(Conflict):
    """The entity was saved by somebody else, or removed, after it was loaded."""


class EditConflict(Conflict):
    """Others kept changing the same entity; the edit was not applied."""


class RateLimited(TodoError):
    """Too much, too fast. `allowance` says of which limit, and when it is worth another try."""

    def __init__(self, allowance: "Allowance") -> None:
        super().__init__(f"too many requests; try again in {allowance.resets_in}")
        self.allowance = allowance


@dataclass(frozen=True, slots=True)
class Allowance:
    """A limit that is used up: `limit` requests in each `window`, under a rule.

    `resets_in` is how long it takes until one more fits in.
    """

    rule: str
    limit: int
    window: timedelta
    resets_in: timedelta


class Unavailable(TodoError):
    """A dependency does not answer. `dependency` names it, for operators and `/readyz`."""

    def __init__(self, dependency: str) -> None:
        super().__init__(f"{dependency} is unavailable")
        self.dependency = dependency
