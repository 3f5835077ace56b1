"""Deleting tasks, and restoring them from the trash."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_changes import TOMBSTONE_LIFETIME
from todo_core.entities.user import UserId
from todo_core.errors import TaskNotFound
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.use_cases.editing import EDIT_ATTEMPTS, require_expected
from todo_core.use_cases.retrying import retry_on_conflict


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Move one of the owner's tasks to the trash, or delete it permanently.

    The trash keeps it for `trash_lifetime`. A task that is already in the trash is found only if
    it is to be deleted `permanently`. `expected` is as in `UpdateTask`.

    Raises:
        TaskNotFound, PreconditionFailed, EditConflict, RateLimited: as `UpdateTask` does.
    """

    tasks: TaskRepository
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock
    trash_lifetime: timedelta

    def __call__(
        self,
        *,
        owner_id: UserId,
        task_id: TaskId,
        permanently: bool = False,
        expected: Collection[int] | None = None,
    ) -> None:
        kept_for = TOMBSTONE_LIFETIME if permanently else self.trash_lifetime
        expires_at = self.clock.now() + kept_for

        def version_of(get: Callable[..., Task]) -> int | None:
            if expected is None:
                return None
            return require_expected(get(task_id, owner_id=owner_id), expected).version

        def attempt() -> None:
            try:
                self.tasks.remove(
                    task_id,
                    owner_id=owner_id,
                    expires_at=expires_at,
                    permanently=permanently,
                    version=version_of(self.tasks.get),
                )
            except TaskNotFound:
                if not permanently:
                    raise
                self.tasks.erase(
                    task_id,
                    owner_id=owner_id,
                    expires_at=expires_at,
                    version=version_of(self.tasks.get_in_trash),
                )

        self.limiter.hit(Limit.TASKS, str(owner_id))
        retry_on_conflict(attempt, attempts=EDIT_ATTEMPTS)
        self.changes.publish(owner_id)


@dataclass(frozen=True, slots=True)
class RestoreTask:
    """Move one of the owner's tasks out of the trash.

    Raises:
        TaskNotFound: if the task is not in the trash of the owner, even if another user has it.
        QuotaExceeded: if the owner has `max_tasks` tasks.
        IdTaken: if another task of the owner has got the same id in the meantime.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock
    max_tasks: int

    def __call__(self, *, owner_id: UserId, task_id: TaskId) -> Task:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        task = self.tasks.restore(
            task_id, owner_id=owner_id, now=self.clock.now(), most=self.max_tasks
        )
        self.changes.publish(owner_id)
        return task


@dataclass(frozen=True, slots=True)
class PurgeTrash:
    """Remove from the trash what has expired, and what exceeds the quota of its owner.

    An owner may have `max_tasks` deleted tasks. Each call changes a bounded number of rows and
    returns how many. Call it until it returns 0; several processes may do so at once.
    """

    tasks: TaskRepository
    clock: Clock
    max_tasks: int

    def __call__(self, *, limit: int) -> int:
        now = self.clock.now()
        return (
            self.tasks.erase_expired(now=now, expires_at=now + TOMBSTONE_LIFETIME, limit=limit)
            + self.tasks.purge_tombstones(now=now, limit=limit)
            + self.tasks.purge_excess(most=self.max_tasks, limit=limit)
        )
