"""The state that the in-memory repositories share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from threading import RLock

from todo_core.entities.fired_reminder import FiredReminder
from todo_core.entities.idempotency import IdempotencyKey, KeptResponse
from todo_core.entities.identity import Issuer, LinkedIdentity, Subject
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.stream_ticket import StreamTicket
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import User, UserId

type TaskKey = tuple[UserId, TaskId]
"""The key of a task: its owner, and its id among the owner's tasks."""


@dataclass(frozen=True, slots=True)
class DeletedTask:
    """A deleted task: what is in the trash until it expires, or None after that."""

    task: Task | None
    revision: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class KeptResponseRecord:
    """When an idempotency key was claimed, and the response, if one was kept since."""

    claimed_at: datetime
    response: KeptResponse | None


@dataclass(frozen=True, slots=True)
class KeptSize:
    """How many bytes of responses were kept for a user since this time."""

    since: datetime
    size: int


@dataclass(frozen=True, slots=True)
class FiredReminderRecord:
    """A fired reminder, when its email is to be sent, if ever, and how often that was tried."""

    reminder: FiredReminder
    fired_at: datetime
    email_due_at: datetime | None
    attempts: int = 0


@dataclass(slots=True)
class InMemoryStore:
    """Everything that is stored. Hold the lock to read or write it.

    Since entities are frozen, copying the dictionaries copies the state.
    """

    users: dict[UserId, User] = field(default_factory=dict)
    deleted_users: dict[UserId, datetime] = field(default_factory=dict)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    revoked_sessions: dict[SessionId, datetime] = field(default_factory=dict)
    external_revocations: dict[SessionId, datetime] = field(default_factory=dict)
    identities: dict[tuple[Issuer, Subject], LinkedIdentity] = field(default_factory=dict)
    password_resets: dict[UserId, PasswordReset] = field(default_factory=dict)
    kept_responses: dict[tuple[UserId, IdempotencyKey], KeptResponseRecord] = field(
        default_factory=dict
    )
    kept_sizes: dict[UserId, KeptSize] = field(default_factory=dict)
    stream_tickets: dict[str, StreamTicket] = field(default_factory=dict)
    tasks: dict[TaskKey, Task] = field(default_factory=dict)
    task_revisions: dict[TaskKey, int] = field(default_factory=dict)
    deleted_tasks: dict[TaskKey, DeletedTask] = field(default_factory=dict)
    owner_revisions: dict[UserId, int] = field(default_factory=dict)
    purged_revisions: dict[UserId, int] = field(default_factory=dict)
    next_reminders: dict[TaskKey, datetime] = field(default_factory=dict)
    fired_reminders: dict[tuple[UserId, TaskId, datetime], FiredReminderRecord] = field(
        default_factory=dict
    )
    lock: RLock = field(default_factory=RLock)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock, and restore the previous state if the block raises."""
        names = [each.name for each in fields(self) if each.name != "lock"]
        with self.lock:
            before = {name: dict(getattr(self, name)) for name in names}
            try:
                yield
            except BaseException:
                for name in names:
                    setattr(self, name, before[name])
                raise
