"""Repositories: one for each kind of data that is stored.

Each method is atomic by itself. Several writes that must succeed or fail together need a
`todo_core.ports.unit_of_work`.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from todo_core.entities.idempotency import IdempotentRequest, KeptResponse
from todo_core.entities.identity import Identity, LinkedIdentity
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.stream_ticket import StreamTicket
from todo_core.entities.tags import TagCount
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_changes import FoundChanges
from todo_core.entities.task_query import Found, Position, TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import EmailAddress, User, UserId

UNLIMITED = 2**31 - 1
"""A quota that no owner can reach."""


class UserRepository(Protocol):
    """The accounts."""

    @abstractmethod
    def add(self, user: User) -> None:
        """Store a new user.

        If several users with the same email are added concurrently, exactly one call succeeds.

        Raises:
            EmailTaken: if a user has this email, compared by its `key`.
        """

    @abstractmethod
    def get(self, user_id: UserId) -> User:
        """Return the user with this id.

        Raises:
            UserNotFound: if there is none.
        """

    @abstractmethod
    def get_by_email(self, email: EmailAddress) -> User:
        """Return the user with this email, compared by its `key`.

        Raises:
            UserNotFound: if there is none.
        """

    @abstractmethod
    def list(self, *, email_part: str, limit: int) -> Sequence[User]:
        """Return at most `limit` users, the most recently created first.

        If `email_part` is not empty, these are users whose email contains it, compared in lower
        case.
        """

    @abstractmethod
    def time_zone(self, user_id: UserId) -> TimeZone:
        """Return the time zone of the user. It stays the same until the unit of work ends.

        Raises:
            UserNotFound: if there is no such user.
        """

    @abstractmethod
    def save(self, user: User) -> User:
        """Store a changed user, and return it with its version incremented.

        Raises:
            StaleVersion: if the stored version is no longer `user.version`, or
                the user was deleted.
            EmailTaken: if another user has the new email.
        """

    @abstractmethod
    def lock(self, user: User) -> None:
        """Lock the user until the unit of work ends, if the stored version is `user.version`.

        Raises:
            StaleVersion: if the stored version is no longer `user.version`, or
                the user was deleted.
        """

    @abstractmethod
    def remove(self, user: User) -> None:
        """Permanently delete the user and everything that they own.

        Raises:
            StaleVersion: as `lock` does.
        """

    @abstractmethod
    def mark_deleted(self, user: User, *, now: datetime) -> None:
        """Delete the user and everything that they own except for their tasks.

        From then on the user is not found, and their email can be registered again. The rest is
        deleted by `TaskRepository.remove_batch` and `purge`, including tasks that are added in
        the meantime.

        Raises:
            StaleVersion: as `lock` does.
        """

    @abstractmethod
    def list_marked_deleted(self, *, limit: int) -> Sequence[UserId]:
        """Return at most `limit` users who are marked as deleted, in the order of marking."""

    @abstractmethod
    def purge(self, user_id: UserId) -> bool:
        """Delete what is left of a user who is marked as deleted and has no tasks.

        Return whether the user was deleted. Otherwise nothing is changed.
        """


class SessionRepository(Protocol):
    """The sessions that can still be refreshed.

    Revoking a session deletes it and adds it to what `RevocationRepository.revoked_since`
    returns, both in one step.
    """

    @abstractmethod
    def add(self, session: Session) -> None:
        """Store a new session.

        Raises:
            AccountGone: if its user does not exist.
        """

    @abstractmethod
    def get(self, session_id: SessionId) -> Session:
        """Return the session with this id, of any user: a refresh token does not name its user.

        Raises:
            SessionNotFound: if there is none, or it was revoked.
        """

    @abstractmethod
    def list(self, user_id: UserId) -> Sequence[Session]:
        """Return all sessions of this user, the most recently refreshed first."""

    @abstractmethod
    def save_refreshed(self, session: Session) -> None:
        """Store that a session was refreshed from the previous generation to its own.

        If several calls do so concurrently, exactly one succeeds.

        Raises:
            StaleVersion: if the stored generation is not the previous one, or the
                session was revoked.
        """

    @abstractmethod
    def revoke(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        """Revoke one of this user's sessions.

        Raises:
            SessionNotFound: if this user has no such session.
        """

    @abstractmethod
    def revoke_all(
        self, user_id: UserId, *, keep: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        """Revoke all of this user's sessions except for `keep`, and return their ids."""

    @abstractmethod
    def revoke_least_recent(
        self, user_id: UserId, *, keep: int, now: datetime
    ) -> Sequence[SessionId]:
        """Revoke all of this user's sessions but the `keep` that were refreshed last.

        Return the ids of the revoked ones.
        """

    @abstractmethod
    def purge(self, *, expired_before: datetime, idle_since: datetime, limit: int) -> int:
        """Delete at most `limit` sessions that can no longer be refreshed, and return how many.

        These are sessions that expired before `expired_before`, or that were last
        refreshed before `idle_since`.
        """


class RevocationRepository(Protocol):
    """The ids of revoked sessions, kept while an access token of theirs may be unexpired.

    They do not depend on the session or the user, which may both be deleted.
    """

    @abstractmethod
    def revoke_external(self, session_id: SessionId, *, now: datetime) -> None:
        """Revoke a session of an external issuer: its tokens that were issued until now.

        A later time replaces an earlier one.
        """

    @abstractmethod
    def external_revoked_at(self, session_id: SessionId) -> datetime | None:
        """Return when a session of an external issuer was revoked last.

        Return None if it never was, or if that was purged.
        """

    @abstractmethod
    def revoked_since(self, time: datetime) -> Sequence[SessionId]:
        """Return the sessions, our own and external ones, revoked at this time or later."""

    @abstractmethod
    def purge(
        self, *, revoked_before: datetime, revoked_externally_before: datetime, limit: int
    ) -> int:
        """Delete what was revoked before these times, and return how many revocations.

        At most `limit` of our own sessions and as many of external ones are deleted.
        """


class IdentityRepository(Protocol):
    """The identities of users at external issuers, and the users they belong to."""

    @abstractmethod
    def add(self, linked: LinkedIdentity) -> None:
        """Store a new identity and the user it belongs to.

        If several calls add the same identity concurrently, exactly one succeeds.

        Raises:
            IdentityTaken: if this issuer's subject already belongs to a user.
            AccountGone: if the user does not exist.
        """

    @abstractmethod
    def get(self, identity: Identity) -> LinkedIdentity:
        """Return the stored identity of the same issuer and subject, and its user.

        Raises:
            IdentityNotFound: if there is none.
        """

    @abstractmethod
    def list(self, user_id: UserId) -> Sequence[Identity]:
        """Return all identities of this user, the most recently changed first."""

    @abstractmethod
    def save(self, identity: Identity) -> None:
        """Store the name and email that the issuer now gives.

        Raises:
            StaleVersion: if what is stored was issued at the same time or later, or if
                the identity was deleted.
        """


class PasswordResetRepository(Protocol):
    """The open password resets, at most one for each user."""

    @abstractmethod
    def put(self, reset: PasswordReset) -> None:
        """Store a reset. It replaces the open reset of the user, if there is one.

        Raises:
            AccountGone: if its user does not exist.
        """

    @abstractmethod
    def get(self, token_hash: str) -> PasswordReset:
        """Return the reset with this token hash.

        Raises:
            InvalidResetToken: if there is none.
        """

    @abstractmethod
    def withdraw(self, user_id: UserId) -> None:
        """Delete the open reset of this user, if there is one."""

    @abstractmethod
    def take(self, token_hash: str) -> PasswordReset:
        """Delete the reset with this token hash, and return it.

        If several calls take the same reset concurrently, exactly one succeeds.

        Raises:
            InvalidResetToken: if there is none.
        """

    @abstractmethod
    def purge(self, *, expired_before: datetime, limit: int) -> int:
        """Delete at most `limit` resets that expired before this time, and return how many."""


class KeptResponseRepository(Protocol):
    """The responses to writes that a client may send again, by user and idempotency key."""

    @abstractmethod
    def claim(
        self, request: IdempotentRequest, *, now: datetime, kept_since: datetime
    ) -> KeptResponse | None:
        """Return the response that was kept for the user and key, or claim the key if none was.

        A claimed key belongs to the unit of work until that ends. If several units of work claim
        a key concurrently, one succeeds. The others fail, or wait for it and return what it has
        kept, depending on the storage. Responses that were claimed before `kept_since` count as
        deleted. Call it first in a unit of work: it locks the account before anything else.

        Raises:
            IdempotencyInProgress: if another unit of work has claimed the key.
            AccountGone: if the user does not exist.
        """

    @abstractmethod
    def keep(
        self,
        request: IdempotentRequest,
        response: KeptResponse,
        *,
        now: datetime,
        kept_since: datetime,
        most: int,
    ) -> None:
        """Store the response to a request whose key this unit of work has claimed.

        The user's responses may have `most` bytes together, by their `size`. They are counted from
        the first one on, and from zero again when that was kept before `kept_since`. Call it last
        in a unit of work: others of this user may wait for its end.

        Raises:
            TooManyKeptResponses: if they would have more.
        """

    @abstractmethod
    def purge(self, *, claimed_before: datetime, limit: int) -> int:
        """Delete at most `limit` responses, claimed before this time, and return how many."""


class StreamTicketRepository(Protocol):
    """The tickets that were issued and not used yet."""

    @abstractmethod
    def add(self, ticket: StreamTicket) -> None:
        """Store a new ticket.

        Raises:
            AccountGone: if its user does not exist.
        """

    @abstractmethod
    def take(self, token_hash: str) -> StreamTicket:
        """Delete the ticket with this token hash, and return it.

        If several calls take the same ticket concurrently, exactly one succeeds.

        Raises:
            InvalidAccessToken: if there is none.
        """

    @abstractmethod
    def purge(self, *, expired_before: datetime, limit: int) -> int:
        """Delete at most `limit` tickets that expired before this time, and return how many."""


class TaskRepository(Protocol):
    """The tasks. Every method takes the owner: a task of another user cannot be reached.

    Each change of a task takes the next revision of its owner. Changes become visible in the
    order of their revisions.
    """

    @abstractmethod
    def add(self, task: Task, *, most: int = UNLIMITED) -> None:
        """Store a new task of `task.owner_id`, who may have at most `most` tasks.

        Raises:
            IdTaken: if another task of this owner has this id.
            InvalidParent: if this owner has no task with the id `task.parent_id`.
            QuotaExceeded: if they already have that many.
            AccountGone: if its owner does not exist.
        """

    @abstractmethod
    def page(
        self,
        owner_id: UserId,
        query: TaskQuery,
        *,
        limit: int,
        after: Position | None = None,
        offset: int = 0,
    ) -> Found:
        """Return at most `limit` of the owner's tasks that match the query, in its order.

        The first is the one that follows the position `after`, if that is given, and then
        `offset` more. There are none if the owner does not exist.
        """

    @abstractmethod
    def count(self, owner_id: UserId, query: TaskQuery) -> int:
        """Return how many of the owner's tasks match the query."""

    @abstractmethod
    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        """Return the owner's task with this id.

        Raises:
            TaskNotFound: if this owner has no such task.
        """

    @abstractmethod
    def save(
        self, task: Task, *, loaded: Task | None = None, completes_alone: bool = False
    ) -> Task:
        """Store a changed task, and return it with its version incremented.

        If it `completes_alone`, it must have no open subtasks. All fields but `created_at` can
        change. Given the task as it was `loaded`, a repository need not write the fields that are
        the same. If the task is still due on the same day, the day ends when the stored one does:
        the owner may have moved to another time zone meanwhile. So it is with reminders that count
        from this day. The reminders are fired from the minute before `updated_at` on, if they or
        `completed` have changed, and otherwise as before.

        Raises:
            HasSubtasks: if it was to be alone and has open subtasks.
            StaleVersion: if `task.owner_id` has no task with this id whose stored
                version is `task.version`: it was changed, deleted, or never theirs.
            InvalidParent: if this owner has no task with the id `task.parent_id`.
        """

    @abstractmethod
    def lock(
        self, task_ids: Sequence[TaskId], *, owner_id: UserId, families_of: Sequence[TaskId] = ()
    ) -> Sequence[Task]:
        """Return those of these tasks that the owner has, and relatives of those in `families_of`.

        Relatives are the parent and the subtasks. The tasks are in the order of their ids. No other
        unit of work can change or delete them until this one ends. The ids may repeat. Call it at
        most once in a unit of work, and before any other method for tasks: locks in another order
        could deadlock.
        """

    @abstractmethod
    def remove(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        permanently: bool = False,
        version: int | None = None,
    ) -> None:
        """Move this owner's task to the trash, if it has this version or none is given.

        It is kept there until `expires_at`. If it is removed `permanently`, only the fact that it
        was deleted is kept until then, as its tombstone.

        Raises:
            HasSubtasks: if it has subtasks, or was restored in the meantime.
            TaskNotFound: if no version is given, and this owner has no such task.
            StaleVersion: if this owner has no task with this id and the given version.
        """

    @abstractmethod
    def restore(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        now: datetime,
        most: int,
        parent_id: TaskId | None = None,
    ) -> Task:
        """Move this owner's task out of the trash, as a subtask of this parent, and return it.

        Its version is incremented, and its `updated_at` is `now`. The owner may have at most `most`
        tasks.

        Raises:
            TaskNotFound: if the task is not in the trash of this owner.
            InvalidParent: if the owner has no task with the id `parent_id`.
            QuotaExceeded: if they already have that many tasks.
            IdTaken: if another task of this owner has got this id in the meantime.
        """

    @abstractmethod
    def get_in_trash(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        """Return the task with this id in the trash of this owner.

        Raises:
            TaskNotFound: if the task is not in the trash of this owner.
        """

    @abstractmethod
    def lock_in_trash(self, task_id: TaskId, *, owner_id: UserId) -> Sequence[Task]:
        """Return the task with this id in this owner's trash, and the subtasks deleted with it.

        These are the subtasks in the trash that expire when it does, in the order of their ids. No
        other unit of work can restore or erase them until this one ends. Call it before any method
        that writes: locks in another order could deadlock.

        Raises:
            TaskNotFound: if the task is not in the trash of this owner.
        """

    @abstractmethod
    def erase(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        version: int | None = None,
    ) -> None:
        """Replace a task in the trash of this owner with its tombstone, kept until `expires_at`.

        It must have this version, if one is given.

        Raises:
            TaskNotFound: if no version is given, and the task is not in the trash of this owner.
            StaleVersion: if no task with this id and the given version is in it.
        """

    @abstractmethod
    def erase_expired(self, *, now: datetime, expires_at: datetime, limit: int) -> int:
        """Replace at most `limit` expired tasks in the trash with tombstones. Return how many.

        The tombstones are kept until `expires_at`.
        """

    @abstractmethod
    def purge_tombstones(self, *, now: datetime, limit: int) -> int:
        """Delete at most `limit` expired tombstones, and return how many."""

    @abstractmethod
    def purge_excess(self, *, most: int, limit: int) -> int:
        """Delete the oldest deleted tasks of one owner who has more than `most` of them.

        At most `limit` are deleted, until `most` are left. Tombstones count as well as tasks in
        the trash. Return how many were deleted; 0 means that no owner has more than `most`.
        """

    @abstractmethod
    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        """Delete at most `limit` tasks of an owner who is being deleted, and return how many.

        The trash is included. No revision is taken, and the owner's counts are wrong afterwards.
        """

    @abstractmethod
    def changes(self, owner_id: UserId, *, after: int | None, limit: int) -> FoundChanges:
        """Return at most `limit` changes that follow this revision, or the first if it is None.

        Each task has one change, the newest.
        """

    @abstractmethod
    def counts(self, owner_id: UserId) -> TaskCounts:
        """Return the owner's revision and how many tasks they have."""

    @abstractmethod
    def tag_counts(self, owner_id: UserId, *, limit: int) -> Sequence[TagCount]:
        """Return the owner's tags, those of most tasks first, and then in the order of their keys.

        Of several spellings, the name is the first in the order of code points.
        """

    @abstractmethod
    def move_due_days(self, owner_id: UserId, zone: TimeZone, *, now: datetime) -> None:
        """Set at which moment the tasks are due that are due on a day, from now on in this zone.

        Their reminders move too, and those of which the moment has passed then are not fired. Tasks
        in the trash are moved as well. The account of the owner must be locked (see
        `UserRepository.lock`). The tasks keep their versions and revisions, since their owner has
        changed nothing of them, but the owner takes the next revision, since lists change.
        """

    @abstractmethod
    def revisions(self, owner_ids: Sequence[UserId]) -> Mapping[UserId, int]:
        """Return the revision of each of these owners: 0 for those who have never written a task.

        All are read at one moment. Some owners may not exist.
        """
