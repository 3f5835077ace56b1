"""Administration: what the operator of the service does with accounts, without their passwords.

No request over HTTP reaches these use cases. They are for the command line, whose caller has access
to the database anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from todo_core.entities.user import EmailAddress, User, UserId
from todo_core.errors import FieldError, UserNotFound, ValidationFailed
from todo_core.ports.clock import Clock
from todo_core.ports.repositories import UserRepository
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.accounts import AddUser, RemoveAccount
from todo_core.use_cases.passwords import ReplacePassword
from todo_core.use_cases.retrying import retry_on_conflict
from todo_core.use_cases.revocation import RevokeSessions


@dataclass(frozen=True, slots=True)
class FindUser:
    """Return the user with this id or this email.

    Raises:
        UserNotFound: if there is none.
    """

    users: UserRepository

    def __call__(self, id_or_email: str) -> User:
        try:
            return self.users.get(UserId(UUID(id_or_email)))
        except ValueError:
            pass  # it is no id
        try:
            return self.users.get_by_email(EmailAddress(id_or_email))
        except ValidationFailed as invalid:
            raise UserNotFound from invalid


@dataclass(frozen=True, slots=True)
class ListUsers:
    """Return at most `limit` users, the most recently created first.

    If `email_part` is given, these are users whose email contains it, in upper or lower case.
    """

    users: UserRepository

    def __call__(self, *, email_part: str = "", limit: int) -> Sequence[User]:
        return self.users.list(email_part=email_part, limit=limit)


@dataclass(frozen=True, slots=True)
class CreateUser:
    """Create an account, also while registration is closed.

    Raises:
        ValidationFailed: naming every field that breaks its rules.
        EmailTaken: if another account has this email.
    """

    add_user: AddUser

    def __call__(self, *, name: str, email: str, password: str) -> User:
        return self.add_user.admit(name=name, email=email, password=password).complete()


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Give a user another password, and revoke all of their sessions.

    The user is notified by email. A user who logged in through an external issuer only can then
    also log in here.

    Raises:
        UserNotFound: if there is no such user.
        ValidationFailed: if the password is not acceptable, or the user has no email.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    replace_password: ReplacePassword

    def __call__(self, *, user_id: UserId, new_password: str) -> None:
        retry_on_conflict(lambda: self._set(user_id, new_password))

    def _set(self, user_id: UserId, new_password: str) -> None:
        user = self.users.get(user_id)
        if user.email is None:
            raise ValidationFailed(
                FieldError("email", "required", "Without an email, a user cannot have a password.")
            )
        self.replace_password(user, new_password, event=SecurityEvent.PASSWORD_SET)


@dataclass(frozen=True, slots=True)
class RevokeUserSessions:
    """Revoke all sessions of a user, and return how many those were.

    Of those at external issuers, these are the tokens that were issued until now. Each identity
    counts as one session.

    Raises:
        UserNotFound: if there is no such user.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    unit_of_work: BeginUnitOfWork
    revoke_sessions: RevokeSessions

    def __call__(self, *, user_id: UserId) -> int:
        return retry_on_conflict(lambda: self._revoke(user_id))

    def _revoke(self, user_id: UserId) -> int:
        user = self.users.get(user_id)
        with self.unit_of_work() as work:
            # A concurrent login either is revoked here too, or takes place afterwards.
            work.users.lock(user)
            revoked = self.revoke_sessions.everywhere(work, user_id)
        self.revoke_sessions.announce(revoked, user_id=user_id)
        return len(revoked)


@dataclass(frozen=True, slots=True)
class DisableUser:
    """Disable an account: nobody can use it, until it is enabled again. Nothing of it is deleted.

    Logins are answered as if the password were wrong. All sessions are revoked, tokens of external
    issuers are refused, and an open password reset is withdrawn.

    Raises:
        UserNotFound: if there is no such user.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    unit_of_work: BeginUnitOfWork
    revoke_sessions: RevokeSessions
    clock: Clock
    security_log: SecurityLog

    def __call__(self, *, user_id: UserId) -> User:
        return retry_on_conflict(lambda: self._disable(user_id))

    def _disable(self, user_id: UserId) -> User:
        user = self.users.get(user_id)
        if user.is_disabled:
            return user
        with self.unit_of_work() as work:
            # The account first, so that a concurrent login either is revoked here too, or fails.
            saved = work.users.save(user.disabled(now=self.clock.now()))
            work.password_resets.withdraw(user_id)
            revoked = self.revoke_sessions.everywhere(work, user_id)
        self.revoke_sessions.announce(revoked, user_id=user_id)
        self.security_log.record(SecurityEvent.DISABLED, user_id=user_id)
        return saved


@dataclass(frozen=True, slots=True)
class EnableUser:
    """Enable a disabled account. Its user has to log in again.

    Raises:
        UserNotFound: if there is no such user.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    clock: Clock
    security_log: SecurityLog

    def __call__(self, *, user_id: UserId) -> User:
        return retry_on_conflict(lambda: self._enable(user_id))

    def _enable(self, user_id: UserId) -> User:
        user = self.users.get(user_id)
        if not user.is_disabled:
            return user
        saved = self.users.save(user.enabled(now=self.clock.now()))
        self.security_log.record(SecurityEvent.ENABLED, user_id=user_id)
        return saved


@dataclass(frozen=True, slots=True)
class DeleteUser:
    """Delete an account and everything that belongs to it, permanently.

    Raises:
        UserNotFound: if there is no such user.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    remove_account: RemoveAccount

    def __call__(self, *, user_id: UserId) -> None:
        retry_on_conflict(lambda: self.remove_account(self.users.get(user_id)))


@dataclass(frozen=True, slots=True)
class Administration:
    """What the operator can do with accounts."""

    find_user: FindUser
    list_users: ListUsers
    create_user: CreateUser
    set_password: SetPassword
    revoke_user_sessions: RevokeUserSessions
    disable_user: DisableUser
    enable_user: EnableUser
    delete_user: DeleteUser
