"""Authentication: by password, by access token, and again by password for sensitive changes."""

from dataclasses import dataclass, field
from datetime import datetime

from todo_core.entities.caller import Caller
from todo_core.entities.identity import Identity, LinkedIdentity
from todo_core.entities.user import EmailAddress, Password, User
from todo_core.errors import (
    FieldError,
    InvalidAccessToken,
    InvalidCredentials,
    NoPassword,
    UserNotFound,
    ValidationFailed,
)
from todo_core.ports.clock import Clock
from todo_core.ports.external_issuers import ExternalIssuers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.passwords import PasswordHasher
from todo_core.ports.repositories import UserRepository
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.tokens import AccessTokens
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.identities import ResolveExternalUser
from todo_core.use_cases.retrying import retry_on_conflict
from todo_core.use_cases.sessions import StartSession, Tokens


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """The result of a login: the user and the tokens of their new session."""

    user: User
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class LogIn:
    """Start a session for a user who gives their email and password.

    Neither the error nor the response time reveals whether the email is unknown or the password
    wrong (OWASP ASVS 5.0, 6.3.8). Each attempt is counted before the password is compared, once
    for its address, and once for the account together with the address, so that attempts from
    other addresses cannot lock a user out. A password with an outdated hash is rehashed.

    A disabled account is answered like a wrong password.

    Raises:
        InvalidCredentials: if there is no account with this email and password, or it is disabled.
        RateLimited: after too many attempts.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    passwords: PasswordHasher
    start_session: StartSession
    limiter: RateLimiter
    clock: Clock
    security_log: SecurityLog

    def __call__(
        self, *, email: str, password: str, user_agent: str = "", address: str = ""
    ) -> LoggedIn:
        return self.admit(
            email=email, password=password, user_agent=user_agent, address=address
        ).complete()

    def admit(
        self, *, email: str, password: str, user_agent: str = "", address: str = ""
    ) -> Admitted[LoggedIn]:
        """Count the attempt, and return the login itself.

        Raises:
            RateLimited: after too many attempts.
        """
        self.limiter.hit(Limit.LOGIN_ADDRESS, address)
        self.limiter.hit(Limit.LOGIN_ACCOUNT, _account(email), address)

        def log_in() -> LoggedIn:
            user, given = self._authenticate(email, password)
            tokens = self.start_session(
                user, rehashed=self._rehash(user, given), user_agent=user_agent, address=address
            )
            self.limiter.forgive(Limit.LOGIN_ACCOUNT, _account(email), address)
            return LoggedIn(user, tokens)

        return Admitted(lambda: retry_on_conflict(log_in))

    def _authenticate(self, email: str, password: str) -> tuple[User, Password]:
        user = self._find(email)
        try:
            given = Password(password)
        except ValidationFailed:
            # No account has such a password. The comparison still takes its usual time.
            given, user = Password.stored(""), None
        is_right = self.passwords.verify(given, user.password_hash if user else None)
        if user is None or not is_right or user.is_disabled:
            self.security_log.record(SecurityEvent.LOGIN_FAILED, user_id=user.id if user else None)
            raise InvalidCredentials
        return user, given

    def _find(self, email: str) -> User | None:
        try:
            return self.users.get_by_email(EmailAddress(email))
        except (ValidationFailed, UserNotFound):
            return None

    def _rehash(self, user: User, password: Password) -> User | None:
        """Return the user with a new hash if the current one is outdated, otherwise None."""
        if user.password_hash is None or not self.passwords.needs_rehash(user.password_hash):
            return None
        return user.with_password_hash(self.passwords.hash(password), now=self.clock.now())


def _account(email: str) -> str:
    """Return the key under which limits count the account with this email."""
    return email.strip().lower()


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Return the caller that an access token authenticates, ours or an external issuer's.

    Raises:
        InvalidAccessToken: if the token is not valid, or its session was revoked.
        RateLimited: if the token needs a new account, and too many were created.
        Unavailable: if the keys of the external issuer cannot be fetched.
    """

    access_tokens: AccessTokens
    revoked_sessions: RevokedSessions
    external_issuers: ExternalIssuers
    resolve_external_user: ResolveExternalUser
    clock: Clock

    def __call__(self, token: str, *, address: str = "") -> Caller:
        now = self.clock.now()
        if self.external_issuers.named_by(token) is None:
            return self._verify_own(token, now)
        identity = self.external_issuers.verify(token, now=now)
        return _external_caller(identity, self.resolve_external_user(identity, address=address))

    def without_waiting(self, token: str) -> Caller | None:
        """Do the same for our own tokens, and for external users who are cached.

        Return None if the issuer or the database would have to be asked.
        """
        now = self.clock.now()
        if self.external_issuers.named_by(token) is None:
            return self._verify_own(token, now)
        identity = self.external_issuers.recall(token, now=now)
        if identity is None or (linked := self.resolve_external_user.recall(identity)) is None:
            return None
        return _external_caller(identity, linked)

    def _verify_own(self, token: str, now: datetime) -> Caller:
        caller = self.access_tokens.verify(token, now=now)
        if caller.session_id in self.revoked_sessions:
            raise InvalidAccessToken
        return caller


def _external_caller(identity: Identity, linked: LinkedIdentity) -> Caller:
    return Caller(linked.user_id, identity.session_id, identity, linked.alias, identity.expires_at)


@dataclass(frozen=True, slots=True)
class Reauthentication:
    """A password that a logged-in user gave again. It was counted, but not compared yet."""

    current_password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """Verify the password that a logged-in user gives again (OWASP ASVS 5.0, 7.5.1).

    Sensitive changes need it, because a stolen device or access token must not suffice for them.
    A wrong password is a validation error, not an authentication error: the access token is
    still valid. Each attempt is counted before the password is compared (`admit`).

    Raises:
        ValidationFailed: if the password is wrong.
        NoPassword: if the user has none.
    """

    passwords: PasswordHasher
    limiter: RateLimiter
    security_log: SecurityLog

    def admit(self, user: User, current_password: str | None) -> Reauthentication:
        """Count the attempt.

        Raises:
            ValidationFailed: if no password was given.
            NoPassword: if the user has none.
            RateLimited: after too many attempts.
        """
        if user.password_hash is None:
            raise NoPassword
        if current_password is None:
            raise _refusal("required", "Current password is required.")
        self.limiter.hit(Limit.REAUTHENTICATION, str(user.id))
        return Reauthentication(current_password)

    def __call__(self, user: User, admitted: Reauthentication) -> None:
        if user.password_hash is None:
            raise NoPassword
        try:
            given = Password(admitted.current_password)
        except ValidationFailed:
            given = None
        if given is None or not self.passwords.verify(given, user.password_hash):
            self.security_log.record(SecurityEvent.REAUTHENTICATION_FAILED, user_id=user.id)
            raise _refusal("incorrect", "Current password is wrong.")


def _refusal(code: str, message: str) -> ValidationFailed:
    return ValidationFailed(FieldError("current_password", code, message))
