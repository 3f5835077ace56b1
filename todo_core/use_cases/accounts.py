"""How a person gets an account, and proves that it is theirs."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from todo_core.entities.session import Session
from todo_core.entities.text import Validation
from todo_core.entities.user import Email, Password, PasswordPolicy, PersonName, User, UserId
from todo_core.errors import (
    AccountGone,
    EditConflict,
    InvalidCredentials,
    StaleVersion,
    UserNotFound,
    ValidationFailed,
)
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.repositories import UserRepository
from todo_core.ports.security import AccessToken, AccessTokens, PasswordHasher, RefreshTokens
from todo_core.ports.unit_of_work import UnitOfWork

LOGIN_ATTEMPTS = 3
"""How often a login starts over when the account is saved by somebody else meanwhile."""


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Somebody opens an account with their name, email and a password.

    Raises:
        ValidationFailed: naming every field that breaks its rules.
        EmailTaken: if the email belongs to an account already.
    """

    users: UserRepository
    passwords: PasswordHasher
    policy: PasswordPolicy
    identifiers: Identifiers
    clock: Clock

    def __call__(self, *, name: str, email: str, password: str) -> User:
        with Validation() as valid:
            valid_name = valid(PersonName, name)
            valid_email = valid(Email, email)
            valid_password = valid(
                lambda raw: self.policy.accept(raw, email=email, name=name), password
            )
        user = User.register(
            id=self.identifiers.user_id(),
            name=valid_name,
            email=valid_email,
            password_hash=self.passwords.hash(valid_password),
            now=self.clock.now(),
        )
        self.users.add(user)
        return user


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a login yields: the person, and the tokens that speak for them."""

    user: User
    access_token: AccessToken
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LogIn:
    """A person proves by their password that an account is theirs, and gets a session.

    Whether the email is unknown or the password wrong is not told, neither by the
    error nor by the time that it takes (OWASP ASVS 5.0, 6.3.8). A password that is
    hashed by an older scheme or at another cost is hashed anew on this occasion.

    Raises:
        InvalidCredentials: if email and password do not belong together.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    unit_of_work: UnitOfWork
    passwords: PasswordHasher
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    session_lifetime: timedelta
    identifiers: Identifiers
    clock: Clock

    def __call__(self, *, email: str, password: str) -> LoggedIn:
        for _ in range(LOGIN_ATTEMPTS):
            try:
                return self._log_in(email, password)
            except StaleVersion:
                # The account was saved since its hash was read: what was verified
                # may not be its password any more.
                continue
        raise EditConflict

    def _log_in(self, email: str, password: str) -> LoggedIn:
        user, given = self._authenticated(email, password)
        now = self.clock.now()
        session = Session.start(
            id=self.identifiers.session_id(),
            user_id=user.id,
            refresh_salt=self.refresh_tokens.salt(),
            lifetime=self.session_lifetime,
            now=now,
        )
        rehashed = self._rehashed(user, given, now)
        try:
            with self.unit_of_work() as work:
                if rehashed is not None:
                    work.users.save(rehashed)
                work.sessions.add(session)
        except AccountGone as deleted_meanwhile:
            raise InvalidCredentials from deleted_meanwhile
        return LoggedIn(
            user=user,
            access_token=self.access_tokens.issue(session, now=now),
            refresh_token=self.refresh_tokens.issue(session),
        )

    def _authenticated(self, email: str, password: str) -> tuple[User, Password]:
        user = self._find(email)
        try:
            given = Password(password)
        except ValidationFailed:
            # Nobody has such a password; the comparison takes its time all the same.
            given, user = Password.stored(""), None
        if not self.passwords.verify(given, user.password_hash if user else None) or user is None:
            raise InvalidCredentials
        return user, given

    def _find(self, email: str) -> User | None:
        try:
            return self.users.get_by_email(Email(email))
        except (ValidationFailed, UserNotFound):
            return None

    def _rehashed(self, user: User, password: Password, now: datetime) -> User | None:
        """The user with a fresh hash, if the one they have is out of date."""
        if user.password_hash is None or not self.passwords.needs_rehash(user.password_hash):
            return None
        return user.with_password_hash(self.passwords.hash(password), now=now)


@dataclass(frozen=True, slots=True)
class GetUser:
    """A person looks at their own account.

    Raises:
        AccountGone: if it does not exist any more.
    """

    users: UserRepository

    def __call__(self, *, user_id: UserId) -> User:
        try:
            return self.users.get(user_id)
        except UserNotFound as gone:
            raise AccountGone from gone
