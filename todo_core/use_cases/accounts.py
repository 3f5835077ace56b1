"""A user's account: registering, reading, changing, exporting and deleting it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Unpack

from todo_core.entities.identity import Identity
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import Task
from todo_core.entities.task_query import ALL_TASKS, Position, TaskOrder, TaskQuery
from todo_core.entities.text import Validation
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import (
    EmailAddress,
    Password,
    PasswordPolicy,
    PersonName,
    ProfileFields,
    User,
    UserId,
)
from todo_core.errors import (
    AccountGone,
    EditConflict,
    InvalidAccessToken,
    RegistrationClosed,
    UserNotFound,
)
from todo_core.ports.background import Background
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.mail import EmailChangedEmail, Mailer
from todo_core.ports.passwords import PasswordHasher
from todo_core.ports.repositories import (
    IdentityRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.authentication import Reauthenticate, Reauthentication
from todo_core.use_cases.cleanup import BATCH, PurgeDeleted
from todo_core.use_cases.retrying import retry_on_conflict
from todo_core.use_cases.revocation import RevokeSessions


@dataclass(frozen=True, slots=True)
class AddUser:
    """Create an account with a name, an email and a password.

    A step of `RegisterUser` and `CreateUser`.

    Raises:
        ValidationFailed: naming every field that breaks its rules.
        EmailTaken: if another account has this email.
    """

    users: UserRepository
    passwords: PasswordHasher
    policy: PasswordPolicy
    identifiers: Identifiers
    clock: Clock
    security_log: SecurityLog

    def admit(self, *, name: str, email: str, password: str) -> Admitted[User]:
        """Validate the fields, and return the rest, which hashes the password.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        with Validation() as valid:
            valid_name = valid(PersonName, name)
            valid_email = valid(EmailAddress, email)
            valid_password = valid(
                lambda raw: self.policy.accept(raw, email=email, name=name), password
            )
        return Admitted(lambda: self._add(valid_name, valid_email, valid_password))

    def _add(self, name: PersonName, email: EmailAddress, password: Password) -> User:
        user = User.register(
            id=self.identifiers.user_id(),
            name=name,
            email=email,
            password_hash=self.passwords.hash(password),
            now=self.clock.now(),
        )
        self.users.add(user)
        self.security_log.record(SecurityEvent.REGISTERED, user_id=user.id)
        return user


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Create an account for the user themselves, with a name, an email and a password.

    The operator may close registration (`is_open`). Users of an external issuer do not register:
    their accounts are provisioned.

    Raises:
        RegistrationClosed: if registration is closed, even if the fields are not valid.
        ValidationFailed: naming every field that breaks its rules.
        EmailTaken: if another account has this email.
        RateLimited: after too many registrations from this address.
    """

    add_user: AddUser
    is_open: bool
    limiter: RateLimiter

    def __call__(self, *, name: str, email: str, password: str, address: str = "") -> User:
        return self.admit(name=name, email=email, password=password, address=address).complete()

    def admit(self, *, name: str, email: str, password: str, address: str = "") -> Admitted[User]:
        """Count and validate the registration, and return the rest of it.

        Raises:
            RegistrationClosed: if registration is closed.
            ValidationFailed: naming every field that breaks its rules.
            RateLimited: after too many registrations from this address.
        """
        if not self.is_open:
            raise RegistrationClosed
        self.limiter.hit(Limit.REGISTER, address)
        return self.add_user.admit(name=name, email=email, password=password)


@dataclass(frozen=True, slots=True)
class GetProfile:
    """Return a user's own account. A step of several use cases.

    Raises:
        AccountGone: if the account was deleted.
        InvalidAccessToken: if it was disabled, which revokes its sessions.
    """

    users: UserRepository

    def __call__(self, *, user_id: UserId) -> User:
        try:
            user = self.users.get(user_id)
        except UserNotFound as gone:
            raise AccountGone from gone
        if user.is_disabled:
            raise InvalidAccessToken
        return user


@dataclass(frozen=True, slots=True)
class ReadProfile:
    """Return a user's own profile, as a front end needs it at each page load.

    Raises:
        RateLimited: after too many reads by this user.
        AccountGone: if the account was deleted.
    """

    get_profile: GetProfile
    limiter: RateLimiter

    def __call__(self, *, user_id: UserId) -> User:
        self.limiter.hit(Limit.PROFILE, str(user_id))
        return self.get_profile(user_id=user_id)


@dataclass(frozen=True, slots=True)
class UpdateProfile:
    """Change a user's name, email, time zone, or whether they want emails of reminders.

    Fields that are not given keep their value.

    A change of the time zone moves the ends of the days on which tasks are due. A change of the
    email needs the current password. The old address is notified, and a password reset that was
    sent there is withdrawn.

    Raises:
        ValidationFailed: if a field breaks its rules, or the current password is missing or wrong.
        NoPassword: if a user without a password wants to change the email.
        EmailTaken: if another account has this email.
        RateLimited: after too many requests about the profile, too many changes of the time zone,
            or too many attempts to confirm the password.
        AccountGone: if the account was deleted.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    limiter: RateLimiter
    unit_of_work: BeginUnitOfWork
    reauthenticate: Reauthenticate
    mailer: Mailer
    changes: ChangePublisher
    clock: Clock
    security_log: SecurityLog

    def __call__(
        self,
        *,
        user_id: UserId,
        current_password: str | None = None,
        **fields: Unpack[ProfileFields],
    ) -> User:
        return self.admit(user_id=user_id, current_password=current_password, **fields).complete()

    def admit(
        self,
        *,
        user_id: UserId,
        current_password: str | None = None,
        **fields: Unpack[ProfileFields],
    ) -> Admitted[User]:
        """Validate and count the change, and return the rest of it.

        Raises:
            ValidationFailed: if a field breaks its rules, or the current password is missing.
            NoPassword: if a user without a password wants to change the email.
            RateLimited: as the change itself.
            AccountGone: if the account was deleted.
        """
        self.limiter.hit(Limit.PROFILE, str(user_id))
        user = self.get_profile(user_id=user_id)
        changed = self._apply(user, fields)
        if changed.time_zone != user.time_zone:
            self.limiter.hit(Limit.TIME_ZONE, str(user_id))
        needs_password = changed.email != user.email
        admitted = self.reauthenticate.admit(user, current_password) if needs_password else None
        return Admitted(
            lambda: retry_on_conflict(lambda: self._update(user_id, fields, admitted)),
            hashes=needs_password,
        )

    def _apply(self, user: User, fields: ProfileFields) -> User:
        with Validation() as valid:
            name = valid(PersonName, fields["name"]) if "name" in fields else user.name
            email = valid(EmailAddress, fields["email"]) if "email" in fields else user.email
            zone = valid(TimeZone, fields["time_zone"]) if "time_zone" in fields else None
        return user.with_profile(
            name=name,
            email=email,
            time_zone=zone,
            reminder_emails=fields.get("reminder_emails"),
            now=self.clock.now(),
        )

    def _update(
        self,
        user_id: UserId,
        fields: ProfileFields,
        admitted: Reauthentication | None,
    ) -> User:
        user = self.get_profile(user_id=user_id)
        changed = self._apply(user, fields)
        if changed is user:
            return user
        if changed.email != user.email:
            if admitted is None:
                raise EditConflict  # the email was changed since, and no password was counted
            self.reauthenticate(user, admitted)
        saved = self._save(user, changed)
        if changed.email != user.email:
            self.security_log.record(SecurityEvent.EMAIL_CHANGED, user_id=user_id)
            self._notify(user, changed.email)
        if changed.time_zone != user.time_zone:
            self.changes.publish(user_id)
        return saved

    def _notify(self, user: User, new_email: EmailAddress | None) -> None:
        if user.email is not None and new_email is not None:
            self.mailer.send(EmailChangedEmail(to=user.email, name=user.name, new_email=new_email))

    def _save(self, user: User, changed: User) -> User:
        with self.unit_of_work() as work:
            if changed.time_zone != user.time_zone:
                # Nobody reads the zone while the account is locked. A new email locks more of the
                # account, which comes after the tasks, as when a task is created.
                work.users.lock(user)
                work.tasks.move_due_days(user.id, changed.time_zone, now=changed.updated_at)
            saved = work.users.save(changed)
            if changed.email != user.email:
                work.password_resets.withdraw(user.id)
        return saved


EXPORT_PAGE = 200
"""How many tasks of an export are read at once. In JSON, they usually have less than 64 KiB."""

_TRASH = TaskQuery(deleted=True, order=TaskOrder.UPDATED_AT)
"""In the order of deletion, which has an index: the trash would be sorted again for each page."""


@dataclass(frozen=True, slots=True)
class Export:
    """Everything that is stored about a user.

    The tasks, the newest first, come in `pages`, and those in the trash, the last one that was
    deleted first, in `trash_pages`. Each page is read when it is requested, so that no more than
    one is in memory, and nothing is held in between.

    Raises, when a page is requested:
        AccountGone: if the account was deleted in the meantime.
        InvalidAccessToken: if the session of the caller was revoked in the meantime.
    """

    user: User
    identities: Sequence[Identity]
    sessions: Sequence[Session]
    pages: Iterator[Sequence[Task]]
    trash_pages: Iterator[Sequence[Task]]


@dataclass(frozen=True, slots=True)
class ExportAccount:
    """Return everything that is stored about a user (GDPR, articles 15 and 20).

    An export is expensive, so it is counted before anything is read.

    The pages of tasks are not of one moment. The place of a task, its time of creation and its
    id, never changes, so each task that exists throughout is exported once, as it was when its
    page was read. A task that is deleted or created in the meantime is exported or not.

    `session_id` is the session of the caller, if it is our own: the export ends when the session
    is revoked.

    Raises:
        RateLimited: after too many exports by this user.
        AccountGone: if the account was deleted.
    """

    get_profile: GetProfile
    identities: IdentityRepository
    sessions: SessionRepository
    tasks: TaskRepository
    revoked_sessions: RevokedSessions
    limiter: RateLimiter
    security_log: SecurityLog

    def __call__(self, *, user_id: UserId, session_id: SessionId | None = None) -> Export:
        self.limiter.hit(Limit.EXPORT, str(user_id))
        user = self.get_profile(user_id=user_id)
        self.security_log.record(SecurityEvent.EXPORTED, user_id=user_id)
        return Export(
            user,
            self.identities.list(user_id),
            self.sessions.list(user_id),
            self._pages(user_id, session_id, ALL_TASKS),
            self._pages(user_id, session_id, _TRASH),
        )

    def _pages(
        self, user_id: UserId, session_id: SessionId | None, query: TaskQuery
    ) -> Iterator[Sequence[Task]]:
        after: Position | None = None
        while True:
            found = self.tasks.page(user_id, query, limit=EXPORT_PAGE, after=after)
            if session_id is not None and session_id in self.revoked_sessions:
                raise InvalidAccessToken
            if found.last is None:
                # The tasks of a deleted account disappear in batches: these may not be the last.
                self.get_profile(user_id=user_id)
                yield found.tasks
                return
            yield found.tasks
            after = found.last


@dataclass(frozen=True, slots=True)
class RemoveAccount:
    """Delete an account and everything that belongs to it, permanently.

    A step of `DeleteAccount` and `DeleteUser`.

    With fewer than `BATCH` tasks, everything is deleted in one transaction. Otherwise a short
    transaction marks the account as deleted and removes everything but the remaining tasks. They
    are unreachable as soon as the access tokens are revoked: immediately in this process, and in
    others within the interval in which they check. The email can be registered again. The tasks are
    deleted in the background, in batches, so that no other request waits for a long transaction.
    If that is interrupted, `CleanUp` completes it.

    Tokens of an external issuer until now, or until `issued_until` if that is later, do not create
    a new account.

    Raises:
        StaleVersion: if the account was changed since it was loaded.
    """

    unit_of_work: BeginUnitOfWork
    revoke_sessions: RevokeSessions
    purge_deleted: PurgeDeleted
    background: Background
    clock: Clock
    security_log: SecurityLog

    def __call__(self, user: User, *, issued_until: datetime | None = None) -> None:
        with self.unit_of_work() as work:
            # In this order, a concurrent login either is revoked here too, or finds no account.
            work.users.lock(user)
            revoked = self.revoke_sessions.everywhere(work, user.id, issued_until=issued_until)
            has_more_tasks = work.tasks.remove_batch(user.id, limit=BATCH) == BATCH
            if has_more_tasks:
                work.users.mark_deleted(user, now=self.clock.now())
            else:
                work.users.remove(user)
        self.revoke_sessions.announce(revoked, user_id=user.id)
        self.security_log.record(SecurityEvent.DELETED, user_id=user.id)
        if has_more_tasks:
            self.background.run(self._purge)

    def _purge(self) -> None:
        """Delete one batch. The next one is another job, so that other jobs can run in between."""
        if self.purge_deleted():
            self.background.run(self._purge)


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    """Delete the account of a user who asks for it, and everything that belongs to it.

    Users who have a password must give it again. For users of an external issuer, the access
    token suffices (`caller_identity` is what it says about them). Tokens of the issuer up to that
    one do not create a new account.

    Raises:
        ValidationFailed: if the current password is missing or wrong.
        RateLimited: after too many attempts to confirm the password.
        AccountGone: if the account was deleted.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    reauthenticate: Reauthenticate
    remove_account: RemoveAccount

    def __call__(
        self,
        *,
        user_id: UserId,
        current_password: str | None = None,
        caller_identity: Identity | None = None,
    ) -> None:
        self.admit(
            user_id=user_id, current_password=current_password, caller_identity=caller_identity
        ).complete()

    def admit(
        self,
        *,
        user_id: UserId,
        current_password: str | None = None,
        caller_identity: Identity | None = None,
    ) -> Admitted[None]:
        """Count the password if the user has one, and return the deletion itself.

        Raises:
            ValidationFailed: if the current password is missing.
            RateLimited: after too many attempts to confirm the password.
            AccountGone: if the account was deleted.
        """
        user = self.get_profile(user_id=user_id)
        needs_password = user.password_hash is not None
        admitted = self.reauthenticate.admit(user, current_password) if needs_password else None
        return Admitted(
            lambda: retry_on_conflict(lambda: self._delete(user_id, admitted, caller_identity)),
            hashes=needs_password,
        )

    def _delete(
        self,
        user_id: UserId,
        admitted: Reauthentication | None,
        caller_identity: Identity | None,
    ) -> None:
        user = self.get_profile(user_id=user_id)
        if user.password_hash is not None:
            if admitted is None:
                raise EditConflict  # the user has got a password since, and none was counted
            self.reauthenticate(user, admitted)
        # A token that does not say when it was issued counts as issued when it expires.
        issued_until = caller_identity.issued_at if caller_identity is not None else None
        self.remove_account(user, issued_until=issued_until)
