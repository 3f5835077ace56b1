"""Proving again that one is who one is, for what must not be done by a found device."""

from dataclasses import dataclass, field

from todo_core.entities.user import Password, User
from todo_core.errors import FieldError, NoPassword, ValidationFailed
from todo_core.ports.limits import RateLimiter
from todo_core.ports.security import PasswordHasher
from todo_core.ports.security_log import SecurityEvent, SecurityLog


@dataclass(frozen=True, slots=True)
class Reauthentication:
    """The password that a user gave once more. It was counted, and not yet compared."""

    current_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """A user who is logged in gives their password once more (OWASP ASVS 5.0, 7.5.1).

    A wrong one is a mistake in what was sent, not in who is calling: the access
    token is as good as before. Every try counts before the password is looked at (`admit`).

    Raises:
        ValidationFailed: if the password is wrong.
        NoPassword: if the user has none.
    """

    passwords: PasswordHasher
    limiter: RateLimiter
    log: SecurityLog

    def admit(self, user: User, current_password: str | None) -> Reauthentication:
        """Count the try.

        Raises:
            ValidationFailed: if no password was given.
            NoPassword: if the user has none.
            RateLimited: after too many tries.
        """
        if user.password_hash is None:
            raise NoPassword
        if current_password is None:
            raise _refusal("required", "is required")
        self.limiter.hit("reauthentication", str(user.id))
        return Reauthentication(current_password)

    def __call__(self, user: User, admitted: Reauthentication) -> None:
        if user.password_hash is None:
            raise NoPassword
        try:
            given = Password(admitted.current_password)
        except ValidationFailed:
            given = None
        if given is None or not self.passwords.verify(given, user.password_hash):
            self.log.record(SecurityEvent.REAUTHENTICATION_FAILED, user_id=user.id)
            raise _refusal("incorrect", "is not your current password")


def _refusal(code: str, message: str) -> ValidationFailed:
    return ValidationFailed(FieldError("current_password", code, message))
