"""Passwords: changing a password, and resetting a forgotten one."""

from dataclasses import dataclass
from datetime import timedelta

from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import SessionId
from todo_core.entities.user import EmailAddress, Password, PasswordPolicy, User, UserId
from todo_core.errors import (
    AccountGone,
    EditConflict,
    FieldError,
    InvalidAccessToken,
    InvalidResetToken,
    RateLimited,
    UserNotFound,
    ValidationFailed,
)
from todo_core.ports.background import Background
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.mail import Mailer, PasswordChangedEmail, PasswordResetEmail
from todo_core.ports.passwords import PasswordHasher
from todo_core.ports.repositories import PasswordResetRepository, UserRepository
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.tokens import SecretTokens
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.accounts import GetProfile
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.authentication import Reauthenticate, Reauthentication
from todo_core.use_cases.retrying import retry_on_conflict
from todo_core.use_cases.revocation import RevokeSessions


@dataclass(frozen=True, slots=True)
class ReplacePassword:
    """Give a user another password. A step of `ChangePassword`, `ResetPassword` and `SetPassword`.

    Sessions are revoked, the open password reset is withdrawn, and an email notifies them.

    Raises:
        ValidationFailed: if the new password is not acceptable.
        InvalidResetToken: if `reset` is no longer the open reset.
        StaleVersion: if the account was changed since it was loaded.
    """

    unit_of_work: BeginUnitOfWork
    passwords: PasswordHasher
    policy: PasswordPolicy
    revoke_sessions: RevokeSessions
    mailer: Mailer
    clock: Clock
    security_log: SecurityLog

    def __call__(
        self,
        user: User,
        new_password: str,
        *,
        event: SecurityEvent,
        keep: SessionId | None = None,
        reset: PasswordReset | None = None,
    ) -> None:
        """Store the password. `reset` is what permits the change.

        All sessions are revoked, those at external issuers too. If `keep` is given, these are only
        the other sessions of this service.
        """
        # Hashing takes long, so it happens before the transaction.
        password_hash = self.passwords.hash(self._validate(user, new_password))
        now = self.clock.now()
        with self.unit_of_work() as work:
            # The account first, as in every use case: transactions that lock rows in different
            # orders could deadlock.
            work.users.save(user.with_password_hash(password_hash, now=now))
            if reset is None:
                work.password_resets.withdraw(user.id)
            else:
                work.password_resets.take(reset.token_hash)
            if keep is None:
                revoked = self.revoke_sessions.everywhere(work, user.id)
            else:
                revoked = work.sessions.revoke_all(user.id, keep=keep, now=now)
        self.revoke_sessions.announce(revoked, user_id=user.id)
        # Before the email: the change is recorded even if the mailer fails.
        self.security_log.record(event, user_id=user.id, session_id=keep)
        if user.email is not None:
            self.mailer.send(PasswordChangedEmail(to=user.email, name=user.name))

    def _validate(self, user: User, new_password: str) -> Password:
        try:
            return self.policy.accept(new_password, email=user.email or "", name=user.name)
        except ValidationFailed as failure:
            raise ValidationFailed(
                *(FieldError("new_password", error.code, error.message) for error in failure.errors)
            ) from None


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """Change the password of a user who gives the current one, and revoke their other sessions.

    Raises:
        ValidationFailed: if the current password is wrong, or the new one not acceptable.
        NoPassword: if the user logs in through an external issuer only.
        RateLimited: after too many attempts.
        AccountGone: if the account was deleted.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    reauthenticate: Reauthenticate
    replace_password: ReplacePassword

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
        """Count the attempt, and return the change itself.

        Raises:
            NoPassword: if the user logs in through an external issuer only.
            RateLimited: after too many attempts.
            AccountGone: if the account was deleted.
        """
        user = self.get_profile(user_id=user_id)
        admitted = self.reauthenticate.admit(user, current_password)
        return Admitted(
            lambda: retry_on_conflict(
                lambda: self._change(user_id, session_id, admitted, new_password)
            )
        )

    def _change(
        self,
        user_id: UserId,
        session_id: SessionId,
        admitted: Reauthentication,
        new_password: str,
    ) -> None:
        user = self.get_profile(user_id=user_id)
        self.reauthenticate(user, admitted)
        self.replace_password(
            user, new_password, event=SecurityEvent.PASSWORD_CHANGED, keep=session_id
        )


@dataclass(frozen=True, slots=True)
class ForgotPassword:
    """Send the user of an email a link with which they can choose a new password.

    Neither the response nor its time reveals whether there is such an account: all of the work
    happens in the background (OWASP ASVS 5.0, 6.3.8). No email is sent to users who log in
    through an external issuer only, since they have no password, nor to those of disabled accounts,
    nor to users who were sent several recently.

    Raises:
        RateLimited: after too many such requests from the address.
    """

    users: UserRepository
    unit_of_work: BeginUnitOfWork
    secret_tokens: SecretTokens
    limiter: RateLimiter
    mailer: Mailer
    background: Background
    clock: Clock
    security_log: SecurityLog
    lifetime: timedelta

    def __call__(self, *, email: str, address: str = "") -> None:
        self.limiter.hit(Limit.FORGOT_ADDRESS, address)
        self.background.run(lambda: self._try_to_send_reset(email))

    def _try_to_send_reset(self, email: str) -> None:
        try:
            retry_on_conflict(lambda: self._send_reset(email))
        except EditConflict:
            self.security_log.record(SecurityEvent.PASSWORD_RESET_WITHHELD)

    def _send_reset(self, email: str) -> None:
        try:
            user = self.users.get_by_email(EmailAddress(email))
        except (ValidationFailed, UserNotFound):
            return
        if user.password_hash is None or user.email is None or user.is_disabled:
            return
        token = self.secret_tokens.generate()
        try:
            self.limiter.hit(Limit.FORGOT_ACCOUNT, str(user.id))
        except RateLimited:
            self.security_log.record(SecurityEvent.PASSWORD_RESET_WITHHELD, user_id=user.id)
            return
        self._store(user, token)
        self.security_log.record(SecurityEvent.PASSWORD_RESET_REQUESTED, user_id=user.id)
        self.mailer.send(
            PasswordResetEmail(to=user.email, name=user.name, token=token, expires_in=self.lifetime)
        )

    def _store(self, user: User, token: str) -> None:
        """Store the reset on the condition that the account is still as it was loaded.

        Otherwise the email could go to an address that the user has just given up.
        """
        now = self.clock.now()
        reset = PasswordReset(
            user_id=user.id,
            token_hash=self.secret_tokens.hash(token),
            created_at=now,
            expires_at=now + self.lifetime,
        )
        with self.unit_of_work() as work:
            work.users.lock(user)
            work.password_resets.put(reset)


@dataclass(frozen=True, slots=True)
class ResetPassword:
    """Change the password of the user who was sent this token, and revoke all their sessions.

    A token can be used once.

    Raises:
        InvalidResetToken: if the token is unknown, used, replaced or expired, or the account was
            deleted or disabled.
        ValidationFailed: if the new password is not acceptable; the token remains valid.
        RateLimited: after too many attempts from this address.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    password_resets: PasswordResetRepository
    secret_tokens: SecretTokens
    replace_password: ReplacePassword
    limiter: RateLimiter
    clock: Clock

    def __call__(self, *, token: str, new_password: str, address: str = "") -> None:
        self.admit(token=token, new_password=new_password, address=address).complete()

    def admit(self, *, token: str, new_password: str, address: str = "") -> Admitted[None]:
        """Count the attempt, and return the reset itself.

        Raises:
            RateLimited: after too many attempts from this address.
        """
        self.limiter.hit(Limit.RESET_PASSWORD, address)
        return Admitted(lambda: retry_on_conflict(lambda: self._reset(token, new_password)))

    def _reset(self, token: str, new_password: str) -> None:
        reset = self.password_resets.get(self.secret_tokens.hash(token))
        if self.clock.now() >= reset.expires_at:
            raise InvalidResetToken
        try:
            user = self.get_profile(user_id=reset.user_id)
        except (AccountGone, InvalidAccessToken) as unusable:
            raise InvalidResetToken from unusable
        self.replace_password(user, new_password, event=SecurityEvent.PASSWORD_RESET, reset=reset)
