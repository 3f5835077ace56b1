"""Changing a password, and getting back in without it."""

from dataclasses import dataclass
from datetime import timedelta

from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import SessionId
from todo_core.entities.user import Email, Password, PasswordPolicy, User, UserId
from todo_core.errors import (
    AccountGone,
    EditConflict,
    FieldError,
    InvalidResetToken,
    RateLimited,
    StaleVersion,
    UserNotFound,
    ValidationFailed,
)
from todo_core.ports.background import Background
from todo_core.ports.clock import Clock
from todo_core.ports.limits import RateLimiter
from todo_core.ports.mail import Mailer, PasswordChangedLetter, PasswordResetLetter
from todo_core.ports.repositories import PasswordResetRepository, UserRepository
from todo_core.ports.security import EndedSessions, PasswordHasher, ResetTokens
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.accounts import GetProfile
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.authentication import Reauthenticate, Reauthentication
from todo_core.use_cases.ending import announce_ended

ATTEMPTS = 3
"""How often a change starts over when the account is saved by somebody else meanwhile."""


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """A person chooses another password. Their other sessions end, and so does an open reset.

    Raises:
        ValidationFailed: if the current password is wrong, or the new one not acceptable.
        NoPassword: if the person comes through an external issuer only.
        RateLimited: after too many tries.
        AccountGone: if the account does not exist any more.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    unit_of_work: BeginUnitOfWork
    reauthenticate: Reauthenticate
    passwords: PasswordHasher
    policy: PasswordPolicy
    ended_sessions: EndedSessions
    mailer: Mailer
    clock: Clock
    log: SecurityLog

    def __call__(
        self, *, user_id: UserId, session_id: SessionId, current_password: str, new_password: str
    ) -> None:
        self.admit(
            user_id=user_id,
            session_id=session_id,
            current_password=current_password,
            new_password=new_password,
        ).complete()

    def admit(
        self, *, user_id: UserId, session_id: SessionId, current_password: str, new_password: str
    ) -> Admitted[None]:
        """Count the try, and return the change itself.

        Raises:
            NoPassword: if the user comes through an external issuer only.
            RateLimited: after too many tries.
            AccountGone: if the account does not exist any more.
        """
        user = self.get_profile(user_id=user_id)
        admitted = self.reauthenticate.admit(user, current_password)
        return Admitted(lambda: self._change(user_id, session_id, admitted, new_password))

    def _change(
        self,
        user_id: UserId,
        session_id: SessionId,
        admitted: Reauthentication,
        new_password: str,
    ) -> None:
        for _ in range(ATTEMPTS):
            user = self.get_profile(user_id=user_id)
            self.reauthenticate(user, admitted)
            accepted = accepted_for(user, self.policy, new_password)
            now = self.clock.now()
            changed = user.with_password_hash(self.passwords.hash(accepted), now=now)
            try:
                with self.unit_of_work() as work:
                    work.users.save(changed)
                    work.password_resets.withdraw(user_id)
                    ended = work.sessions.revoke_all(user_id, keep=session_id, now=now)
            except StaleVersion:
                continue
            announce_ended(ended, user_id=user_id, ended_sessions=self.ended_sessions, log=self.log)
            self.log.record(SecurityEvent.PASSWORD_CHANGED, user_id=user_id, session_id=session_id)
            _tell_of_change(self.mailer, user)
            return
        raise EditConflict


@dataclass(frozen=True, slots=True)
class ForgotPassword:
    """Somebody asks for a letter by which to choose a new password.

    Whether the account exists shows neither in the answer nor in its time: all of
    the work happens afterwards (OWASP ASVS 5.0, 6.3.8). A person who comes through an
    external issuer only has no password to forget, and gets no letter; nor does one
    who was sent several already, whoever asked for them.

    Raises:
        RateLimited: after too many such requests from the address.
    """

    users: UserRepository
    unit_of_work: BeginUnitOfWork
    reset_tokens: ResetTokens
    limiter: RateLimiter
    mailer: Mailer
    background: Background
    lifetime: timedelta
    clock: Clock
    log: SecurityLog

    def __call__(self, *, email: str, address: str = "") -> None:
        self.limiter.hit("forgot_address", address)
        self.background.run(lambda: self._send_letter(email))

    def _send_letter(self, email: str) -> None:
        for _ in range(ATTEMPTS):
            try:
                user = self.users.get_by_email(Email(email))
            except (ValidationFailed, UserNotFound):
                return
            if user.password_hash is None or user.email is None:
                return
            token = self.reset_tokens.draw()
            try:
                self.limiter.hit("forgot_account", str(user.id))
                self._put(user, token)
            except RateLimited:
                self.log.record(SecurityEvent.PASSWORD_RESET_WITHHELD, user_id=user.id)
                return
            except StaleVersion:
                continue
            self._send(user, user.email, token)
            return

    def _put(self, user: User, token: str) -> None:
        """Store the reset, on the condition that the account is still as it was read.

        Otherwise a letter could go to an address that was just given up.
        """
        now = self.clock.now()
        with self.unit_of_work() as work:
            work.users.lock(user)
            work.password_resets.put(
                PasswordReset(
                    user_id=user.id,
                    token_hash=self.reset_tokens.hash(token),
                    created_at=now,
                    expires_at=now + self.lifetime,
                )
            )

    def _send(self, user: User, email: Email, token: str) -> None:
        self.log.record(SecurityEvent.PASSWORD_RESET_REQUESTED, user_id=user.id)
        self.mailer.send(
            PasswordResetLetter(to=email, name=user.name, token=token, expires_in=self.lifetime)
        )


@dataclass(frozen=True, slots=True)
class ResetPassword:
    """Somebody chooses a new password by the secret that was mailed to them.

    The secret is good once. All sessions end: whoever else was in is out.

    Raises:
        InvalidResetToken: if the secret is unknown, used, replaced or expired.
        ValidationFailed: if the new password is not acceptable; the secret stays good.
        RateLimited: after too many tries from this address.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    password_resets: PasswordResetRepository
    unit_of_work: BeginUnitOfWork
    reset_tokens: ResetTokens
    passwords: PasswordHasher
    policy: PasswordPolicy
    limiter: RateLimiter
    ended_sessions: EndedSessions
    mailer: Mailer
    clock: Clock
    log: SecurityLog

    def __call__(self, *, token: str, new_password: str, address: str = "") -> None:
        self.admit(token=token, new_password=new_password, address=address).complete()

    def admit(self, *, token: str, new_password: str, address: str = "") -> Admitted[None]:
        """Count the try, and return the reset itself.

        Raises:
            RateLimited: after too many tries from this address.
        """
        self.limiter.hit("reset_password", address)
        return Admitted(lambda: self._reset(token, new_password))

    def _reset(self, token: str, new_password: str) -> None:
        token_hash = self.reset_tokens.hash(token)
        for _ in range(ATTEMPTS):
            reset = self.password_resets.get(token_hash)
            if self.clock.now() >= reset.expires_at:
                raise InvalidResetToken
            try:
                user = self.get_profile(user_id=reset.user_id)
            except AccountGone as deleted_meanwhile:
                raise InvalidResetToken from deleted_meanwhile
            accepted = accepted_for(user, self.policy, new_password)
            # Hashed before the work begins, which is to be short.
            password_hash = self.passwords.hash(accepted)
            now = self.clock.now()
            try:
                with self.unit_of_work() as work:
                    # The account first, as everywhere: two that lock in a different
                    # order could wait for each other.
                    work.users.save(user.with_password_hash(password_hash, now=now))
                    work.password_resets.take(token_hash)
                    ended = work.sessions.revoke_all(user.id, now=now)
            except StaleVersion:
                continue
            announce_ended(ended, user_id=user.id, ended_sessions=self.ended_sessions, log=self.log)
            self.log.record(SecurityEvent.PASSWORD_RESET, user_id=user.id)
            _tell_of_change(self.mailer, user)
            return
        raise EditConflict


def _tell_of_change(mailer: Mailer, user: User) -> None:
    if user.email is not None:
        mailer.send(PasswordChangedLetter(to=user.email, name=user.name))


def accepted_for(user: User, policy: PasswordPolicy, raw: str) -> Password:
    """A new password for this user, if the policy accepts it.

    Raises:
        ValidationFailed: of the field `new_password`.
    """
    try:
        return policy.accept(raw, email=user.email or "", name=user.name)
    except ValidationFailed as failure:
        raise ValidationFailed(
            *(FieldError("new_password", error.code, error.message) for error in failure.errors)
        ) from None
