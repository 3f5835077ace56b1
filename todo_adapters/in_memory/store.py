"""The state that the in-memory repositories share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from todo_core.entities.identity import Issuer, LinkedIdentity, Subject
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import User, UserId


@dataclass(slots=True)
class InMemoryStore:
    """Everything that is stored. Whoever reads or writes it holds the lock.

    Since entities are frozen, copying the dictionaries copies the state.
    """

    users: dict[UserId, User] = field(default_factory=dict)
    deleted_users: dict[UserId, datetime] = field(default_factory=dict)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    revoked_sessions: dict[SessionId, datetime] = field(default_factory=dict)
    external_revocations: dict[SessionId, datetime] = field(default_factory=dict)
    identities: dict[tuple[Issuer, Subject], LinkedIdentity] = field(default_factory=dict)
    password_resets: dict[UserId, PasswordReset] = field(default_factory=dict)
    tasks: dict[TaskId, Task] = field(default_factory=dict)
    lock: RLock = field(default_factory=RLock)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep others out; put everything back as it was if the block raises."""
        with self.lock:
            before = (
                dict(self.users),
                dict(self.deleted_users),
                dict(self.sessions),
                dict(self.revoked_sessions),
                dict(self.external_revocations),
                dict(self.identities),
                dict(self.password_resets),
                dict(self.tasks),
            )
            try:
                yield
            except BaseException:
                (
                    self.users,
                    self.deleted_users,
                    self.sessions,
                    self.revoked_sessions,
                    self.external_revocations,
                    self.identities,
                    self.password_resets,
                    self.tasks,
                ) = before
                raise
