"""Where users, sessions, identities and tasks are kept.

Each method is atomic by itself. Where several must stand or fall together, see
`todo_core.ports.unit_of_work`.
"""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from todo_core.entities.identity import Identity, LinkedIdentity
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import Email, User, UserId


class UserRepository(Protocol):
    """The accounts."""

    @abstractmethod
    def add(self, user: User) -> None:
        """Store a new user.

        Of several who register one email at the same time exactly one succeeds.

        Raises:
            EmailTaken: if the email, compared by its `key`, belongs to an account.
        """

    @abstractmethod
    def get(self, user_id: UserId) -> User:
        """The user with this id.

        Raises:
            UserNotFound: if there is none.
        """

    @abstractmethod
    def get_by_email(self, email: Email) -> User:
        """The user with this email, compared by its `key`.

        Raises:
            UserNotFound: if there is none.
        """

    @abstractmethod
    def save(self, user: User) -> User:
        """Store a changed user, and return it with its version grown by one.

        Raises:
            StaleVersion: if the stored version is no longer `user.version`, or
                the user is gone.
            EmailTaken: if the new email belongs to another account.
        """

    @abstractmethod
    def confirm(self, user: User) -> None:
        """See that the user is stored as they are here, and keep them so until the work ends.

        Raises:
            StaleVersion: if the stored version is no longer `user.version`, or
                the user is gone.
        """

    @abstractmethod
    def remove(self, user: User) -> None:
        """Delete the user and everything that is theirs, for good.

        Raises:
            StaleVersion: as `confirm` does.
        """

    @abstractmethod
    def mark_deleted(self, user: User, *, now: datetime) -> None:
        """Delete the user and everything that is theirs but their tasks, which `purge` deletes.

        From then on the user is not found, and their email is free. A task that is added for
        them all the same is deleted with the others.

        Raises:
            StaleVersion: as `confirm` does.
        """

    @abstractmethod
    def marked(self, *, limit: int) -> Sequence[UserId]:
        """Return at most `limit` users who are marked as deleted, the first to be marked first."""

    @abstractmethod
    def purge(self, user_id: UserId) -> bool:
        """Delete what is left of a user who is marked as deleted and has no tasks.

        Return whether that was so; nothing is changed if it was not.
        """


class SessionRepository(Protocol):
    """The sessions, and for a while the ids of those that have ended."""

    @abstractmethod
    def add(self, session: Session) -> None:
        """Store a new session.

        Raises:
            AccountGone: if its user does not exist (any more).
        """

    @abstractmethod
    def get(self, session_id: SessionId) -> Session:
        """The session with this id, whosever it is: a refresh token names nobody.

        Raises:
            SessionNotFound: if there is none, or it has ended.
        """

    @abstractmethod
    def list(self, user_id: UserId) -> Sequence[Session]:
        """All sessions of this person, the one that was refreshed last first."""

    @abstractmethod
    def save_refreshed(self, session: Session) -> None:
        """Store that a session was refreshed, from the generation before to its own.

        Of several who refresh at the same time exactly one succeeds.

        Raises:
            StaleVersion: if the stored generation is not the one before, or the
                session has ended.
        """

    @abstractmethod
    def end(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        """End one of this person's sessions.

        Raises:
            SessionNotFound: if they have no such session.
        """

    @abstractmethod
    def end_all(
        self, user_id: UserId, *, but: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        """End all of this person's sessions, but perhaps one; the ids of those that ended."""

    @abstractmethod
    def end_oldest(self, user_id: UserId, *, keep: int, now: datetime) -> Sequence[SessionId]:
        """Revoke all of this user's sessions but the `keep` that were refreshed last.

        Returns the ids of those that were revoked.
        """

    @abstractmethod
    def note_external_end(self, session_id: SessionId, *, now: datetime) -> None:
        """Note that what an external issuer vouches for ends: its tokens are good no longer."""

    @abstractmethod
    def external_end(self, session_id: SessionId) -> datetime | None:
        """When this was noted last; None if it never was, or is forgotten."""

    @abstractmethod
    def ended_since(self, time: datetime) -> Sequence[SessionId]:
        """The sessions that were ended, by whomever, at this time or later."""

    @abstractmethod
    def forget(
        self,
        *,
        expired: datetime,
        idle: datetime,
        ended: datetime,
        ended_externally: datetime,
        limit: int,
    ) -> int:
        """Remove at most `limit` sessions, and as many notes of ended ones, for good.

        These are sessions whose `expires_at` is before `expired` or whose
        `refreshed_at` is before `idle`, and notes of sessions that were ended
        before `ended`, or before `ended_externally` if it is an external issuer's.
        Returns how many it was.
        """


class IdentityRepository(Protocol):
    """Which account is whose, of the people of external issuers."""

    @abstractmethod
    def add(self, person: LinkedIdentity) -> None:
        """Store whose a new identity is.

        Of several who add one at the same time exactly one succeeds.

        Raises:
            IdentityTaken: if this issuer's subject has an account already.
            AccountGone: if the user does not exist (any more).
        """

    @abstractmethod
    def get(self, identity: Identity) -> LinkedIdentity:
        """The one of the same issuer and subject.

        Raises:
            IdentityNotFound: if there is none.
        """

    @abstractmethod
    def list(self, user_id: UserId) -> Sequence[Identity]:
        """All identities of this person, the one that changed last first."""

    @abstractmethod
    def save(self, identity: Identity) -> None:
        """Store what the issuer now says of somebody who has an account.

        Raises:
            StaleVersion: if something that was issued as late is stored already, or
                the identity is gone.
        """


class PasswordResetRepository(Protocol):
    """The open password resets, at most one a person."""

    @abstractmethod
    def put(self, reset: PasswordReset) -> None:
        """Store a reset, in the place of the one that the person had.

        Raises:
            AccountGone: if its user does not exist (any more).
        """

    @abstractmethod
    def get(self, token_hash: str) -> PasswordReset:
        """The reset with this hash.

        Raises:
            InvalidResetToken: if there is none.
        """

    @abstractmethod
    def withdraw(self, user_id: UserId) -> None:
        """Remove the reset that this person has open, if any."""

    @abstractmethod
    def take(self, token_hash: str) -> PasswordReset:
        """Remove the reset with this hash, and return it.

        Of several who take one at the same time exactly one gets it.

        Raises:
            InvalidResetToken: if there is none.
        """

    @abstractmethod
    def forget(self, *, expired: datetime, limit: int) -> int:
        """Remove at most `limit` resets that expired before a time; how many it was."""


class TaskRepository(Protocol):
    """The tasks. Every method takes the owner: another's task cannot be asked for."""

    @abstractmethod
    def add(self, task: Task) -> None:
        """Store a new task, under `task.owner_id`.

        Raises:
            IdTaken: if its id is in use, by whomever.
            AccountGone: if its owner does not exist (any more).
        """

    @abstractmethod
    def list(self, owner_id: UserId, *, completed: bool | None = None) -> Sequence[Task]:
        """All tasks of this owner, the newest first (by `created_at`, then by id).

        With `completed` given, only those that are, or only those that are not.
        An owner without tasks, or who does not exist, has an empty list.
        """

    @abstractmethod
    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        """The owner's task of this id.

        Raises:
            TaskNotFound: if this owner has no such task.
        """

    @abstractmethod
    def save(self, task: Task) -> Task:
        """Store a changed task, and return it with its version grown by one.

        Only title, description, completed and updated_at can change.

        Raises:
            StaleVersion: if `task.owner_id` has no task with this id whose stored
                version is `task.version`: changed since, removed, or never theirs.
        """

    @abstractmethod
    def remove(self, task_id: TaskId, *, owner_id: UserId) -> None:
        """Delete this owner's task for good.

        Raises:
            TaskNotFound: if this owner has no such task.
        """

    @abstractmethod
    def remove_some(self, owner_id: UserId, *, limit: int) -> int:
        """Delete at most `limit` of this owner's tasks, and return how many it was."""
