"""Proving again that one is who one is, for what must not be done by a found device."""

from dataclasses import dataclass

from todo_core.entities.user import Password, User
from todo_core.errors import FieldError, NoPassword, ValidationFailed
from todo_core.ports.limits import RateLimiter
from todo_core.ports.security import PasswordHasher
from todo_core.ports.security_log import SecurityEvent, SecurityLog


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """A person who is logged in gives their password once more (OWASP ASVS 5.0, 7.5.1).

    A wrong one is a mistake in what was sent, not in who is calling: the access
    token is as good as before.

    Raises:
        ValidationFailed: if the password is wrong.
        NoPassword: if the person has none.
        RateLimited: after too many tries.
    """

    passwords: PasswordHasher
    limiter: RateLimiter
    log: SecurityLog

    def __call__(self, user: User, current_password: str | None) -> None:
        if user.password_hash is None:
            raise NoPassword
        if current_password is None:
            raise _refusal("required", "is required")
        self.limiter.hit("reauthentication", str(user.id))
        try:
            given = Password(current_password)
        except ValidationFailed:
            given = None
        if given is None or not self.passwords.verify(given, user.password_hash):
            self.log.record(SecurityEvent.REAUTHENTICATION_FAILED, user_id=user.id)
            raise _refusal("incorrect", "is not your current password")


def _refusal(code: str, message: str) -> ValidationFailed:
    return ValidationFailed(FieldError("current_password", code, message))
