"""A person's account: opening it, looking at it, changing it, taking it along, deleting it."""

from collections.abc import Sequence
from dataclasses import dataclass

from todo_core.entities.identity import Identity
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import UNCHANGED, Task, Unchanged
from todo_core.entities.text import Validation
from todo_core.entities.user import Email, Password, PasswordPolicy, PersonName, User, UserId
from todo_core.errors import (
    AccountGone,
    EditConflict,
    RegistrationClosed,
    StaleVersion,
    UserNotFound,
)
from todo_core.ports.background import Background
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import RateLimiter
from todo_core.ports.mail import EmailChangedLetter, Mailer
from todo_core.ports.repositories import (
    IdentityRepository,
    SessionRepository,
    TaskRepository,
    UserRepository,
)
from todo_core.ports.security import EndedSessions, PasswordHasher
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork, UnitOfWork
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.authentication import Reauthenticate, Reauthentication
from todo_core.use_cases.cleanup import BATCH, PurgeDeleted
from todo_core.use_cases.ending import announce_ended

ATTEMPTS = 3
"""How often a change starts over when the account is saved by somebody else meanwhile."""


@dataclass(frozen=True, slots=True)
class RegisterUser:
    """Somebody opens an account with their name, email and a password.

    An operator may close registration (`is_open`). Users of an external issuer do not
    register: it decides who is one of them.

    Raises:
        RegistrationClosed: whatever was sent, if registration is closed.
        ValidationFailed: naming every field that breaks its rules.
        EmailTaken: if the email belongs to an account already.
        RateLimited: after too many registrations from this address.
    """

    users: UserRepository
    passwords: PasswordHasher
    policy: PasswordPolicy
    is_open: bool
    limiter: RateLimiter
    identifiers: Identifiers
    clock: Clock
    log: SecurityLog

    def __call__(self, *, name: str, email: str, password: str, address: str = "") -> User:
        return self.admit(name=name, email=email, password=password, address=address).complete()

    def admit(self, *, name: str, email: str, password: str, address: str = "") -> Admitted[User]:
        """Count and validate the registration, and return the rest of it.

        Raises:
            RegistrationClosed: if this service takes no registrations.
            ValidationFailed: naming every field that breaks its rules.
            RateLimited: after too many registrations from this address.
        """
        if not self.is_open:
            raise RegistrationClosed
        self.limiter.hit("register", address)
        with Validation() as valid:
            valid_name = valid(PersonName, name)
            valid_email = valid(Email, email)
            valid_password = valid(
                lambda raw: self.policy.accept(raw, email=email, name=name), password
            )
        return Admitted(lambda: self._register(valid_name, valid_email, valid_password))

    def _register(self, name: PersonName, email: Email, password: Password) -> User:
        user = User.register(
            id=self.identifiers.user_id(),
            name=name,
            email=email,
            password_hash=self.passwords.hash(password),
            now=self.clock.now(),
        )
        self.users.add(user)
        self.log.record(SecurityEvent.REGISTERED, user_id=user.id)
        return user


@dataclass(frozen=True, slots=True)
class GetProfile:
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


@dataclass(frozen=True, slots=True)
class ReadProfile:
    """A user reads their own profile, as a front end does at each page load.

    Raises:
        RateLimited: after too many reads by this user.
        AccountGone: if the account does not exist any more.
    """

    get_profile: GetProfile
    limiter: RateLimiter

    def __call__(self, *, user_id: UserId) -> User:
        self.limiter.hit("profile", str(user_id))
        return self.get_profile(user_id=user_id)


@dataclass(frozen=True, slots=True)
class UpdateProfile:
    """A person changes their name or email. What they do not mention stays as it is.

    Another email needs the current password, and a notice goes to the old address;
    a reset that was mailed there is withdrawn.

    Raises:
        ValidationFailed: if the name or the email breaks its rules, or the current
            password is missing or wrong.
        NoPassword: if another email is asked for by a person without a password.
        EmailTaken: if the email belongs to another account.
        RateLimited: after too many wrong passwords.
        AccountGone: if the account does not exist any more.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    unit_of_work: BeginUnitOfWork
    reauthenticate: Reauthenticate
    mailer: Mailer
    clock: Clock
    log: SecurityLog

    def __call__(
        self,
        *,
        user_id: UserId,
        name: str | Unchanged = UNCHANGED,
        email: str | Unchanged = UNCHANGED,
        current_password: str | None = None,
    ) -> User:
        return self.admit(
            user_id=user_id, name=name, email=email, current_password=current_password
        ).complete()

    def admit(
        self,
        *,
        user_id: UserId,
        name: str | Unchanged = UNCHANGED,
        email: str | Unchanged = UNCHANGED,
        current_password: str | None = None,
    ) -> Admitted[User]:
        """Validate the change, count the password if it needs one, and return the rest of it.

        Raises:
            ValidationFailed: if the name or the email breaks its rules, or the current
                password is missing.
            NoPassword: if another email is asked for by a user without a password.
            RateLimited: after too many wrong passwords.
            AccountGone: if the account does not exist any more.
        """
        user = self.get_profile(user_id=user_id)
        changed = self._changed(user, name, email)
        if changed.email == user.email:
            return Admitted(lambda: self._update(user_id, name, email, None), hashes=False)
        admitted = self.reauthenticate.admit(user, current_password)
        return Admitted(lambda: self._update(user_id, name, email, admitted))

    def _changed(self, user: User, name: str | Unchanged, email: str | Unchanged) -> User:
        with Validation() as valid:
            new_name = user.name if name is UNCHANGED else valid(PersonName, name)
            new_email = user.email if email is UNCHANGED else valid(Email, email)
        return user.with_profile(name=new_name, email=new_email, now=self.clock.now())

    def _update(
        self,
        user_id: UserId,
        name: str | Unchanged,
        email: str | Unchanged,
        admitted: Reauthentication | None,
    ) -> User:
        for _ in range(ATTEMPTS):
            user = self.get_profile(user_id=user_id)
            changed = self._changed(user, name, email)
            if changed is user:
                return user
            if changed.email != user.email:
                if admitted is None:
                    break  # the email was the same a moment ago: no password was counted
                self.reauthenticate(user, admitted)
            try:
                saved = self._saved(user, changed)
            except StaleVersion:
                continue
            if changed.email != user.email:
                self.log.record(SecurityEvent.EMAIL_CHANGED, user_id=user_id)
                self._notify(user, changed.email)
            return saved
        raise EditConflict

    def _notify(self, user: User, new_email: Email | None) -> None:
        if user.email is not None and new_email is not None:
            self.mailer.send(EmailChangedLetter(to=user.email, name=user.name, new_email=new_email))

    def _saved(self, user: User, changed: User) -> User:
        with self.unit_of_work() as work:
            saved = work.users.save(changed)
            if changed.email != user.email:
                work.password_resets.withdraw(user.id)
        return saved


@dataclass(frozen=True, slots=True)
class Export:
    """All that is stored about a person."""

    user: User
    identities: Sequence[Identity]
    sessions: Sequence[Session]
    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True)
class ExportAccount:
    """A person takes along all that is stored about them (GDPR, articles 15 and 20).

    An export is expensive, so it is counted before anything is read.

    Raises:
        RateLimited: after too many exports by this user.
        AccountGone: if the account does not exist any more.
    """

    get_profile: GetProfile
    identities: IdentityRepository
    sessions: SessionRepository
    tasks: TaskRepository
    limiter: RateLimiter
    log: SecurityLog

    def __call__(self, *, user_id: UserId) -> Export:
        self.limiter.hit("export", str(user_id))
        user = self.get_profile(user_id=user_id)
        self.log.record(SecurityEvent.EXPORTED, user_id=user_id)
        return Export(
            user,
            self.identities.list(user_id),
            self.sessions.list(user_id),
            self.tasks.list(user_id),
        )


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    """A person deletes their account, and with it everything that is theirs, for good.

    With fewer than `BATCH` tasks, everything is deleted in one transaction. Otherwise a short
    transaction marks the account as deleted and removes everything but the remaining tasks. They
    are unreachable as soon as the access tokens are revoked: here at once, in other processes
    within the interval in which they check. The email can be registered again. The tasks are
    deleted in the background, in batches, so that no other request waits for a long transaction.
    If that is interrupted, `CleanUp` completes it.

    They give their password once more, if they have one; who comes through an external
    issuer proves who they are to that (`caller_identity`). Its tokens up to the one that
    they call with open no new account.

    Raises:
        ValidationFailed: if the current password is missing or wrong.
        RateLimited: after too many wrong passwords.
        AccountGone: if the account does not exist any more.
        EditConflict: if the account keeps being changed at the same time.
    """

    get_profile: GetProfile
    unit_of_work: BeginUnitOfWork
    reauthenticate: Reauthenticate
    ended_sessions: EndedSessions
    purge_deleted: PurgeDeleted
    background: Background
    clock: Clock
    log: SecurityLog

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
            RateLimited: after too many wrong passwords.
            AccountGone: if the account does not exist any more.
        """
        user = self.get_profile(user_id=user_id)
        if user.password_hash is None:
            return Admitted(lambda: self._delete(user_id, None, caller_identity), hashes=False)
        admitted = self.reauthenticate.admit(user, current_password)
        return Admitted(lambda: self._delete(user_id, admitted, caller_identity))

    def _delete(
        self,
        user_id: UserId,
        admitted: Reauthentication | None,
        caller_identity: Identity | None,
    ) -> None:
        for _ in range(ATTEMPTS):
            user = self.get_profile(user_id=user_id)
            if user.password_hash is not None:
                if admitted is None:
                    break  # there was no password a moment ago: none was counted
                self.reauthenticate(user, admitted)
            try:
                with self.unit_of_work() as work:
                    # In this order, a login at the same time either is ended here
                    # too, or finds the account gone.
                    work.users.lock(user)
                    ended = self._end_sessions(work, user_id, caller_identity)
                    is_marked = work.tasks.remove_batch(user_id, limit=BATCH) == BATCH
                    if is_marked:
                        work.users.mark_deleted(user, now=self.clock.now())
                    else:
                        work.users.remove(user)
            except StaleVersion:
                continue
            announce_ended(ended, user_id=user_id, ended_sessions=self.ended_sessions, log=self.log)
            self.log.record(SecurityEvent.DELETED, user_id=user_id)
            if is_marked:
                self.background.run(self._purge)
            return
        raise EditConflict

    def _purge(self) -> None:
        """Delete one batch, and let others have their turn before the next."""
        if self.purge_deleted():
            self.background.run(self._purge)

    def _end_sessions(
        self, work: UnitOfWork, user_id: UserId, caller_identity: Identity | None
    ) -> Sequence[SessionId]:
        now = self.clock.now()
        # Its clock may be ahead; and a token that does not say when it was issued counts
        # as issued when it expires.
        until = now if caller_identity is None else max(now, caller_identity.issued_at)
        external = [identity.session_id for identity in work.identities.list(user_id)]
        for session_id in external:
            work.revocations.revoke_external(session_id, now=until)
        return [*work.sessions.revoke_all(user_id, now=now), *external]
