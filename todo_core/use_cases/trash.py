"""Deleting tasks, and restoring them from the trash."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_changes import TOMBSTONE_LIFETIME
from todo_core.entities.user import UserId
from todo_core.errors import HasSubtasks, TaskNotFound
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.editing import EDIT_ATTEMPTS, require_expected
from todo_core.use_cases.locked_tasks import LockedTasks
from todo_core.use_cases.retrying import DEFAULT_ATTEMPTS, retry_on_conflict
from todo_core.use_cases.time_zones import zone_of


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """Move one of the owner's tasks to the trash, with its subtasks, or delete it permanently.

    The trash keeps it for `trash_lifetime`. A task that is already in the trash is found only if
    it is to be deleted `permanently`. `expected` is as in `UpdateTask`.

    Raises:
        TaskNotFound, PreconditionFailed, EditConflict, RateLimited: as `UpdateTask` does.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock
    trash_lifetime: timedelta
    begins_units: bool = True
    """Whether it begins units of work of its own, so that it can try again in another one.

    In one of the caller's, it makes one attempt.
    """

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

        def attempt() -> None:
            remove = self._remove if self.begins_units else self._remove_family
            try:
                remove(owner_id, task_id, expires_at, permanently, expected)
            except TaskNotFound:
                if not permanently:
                    raise
                self._erase(owner_id, task_id, expires_at, expected)

        self.limiter.hit(Limit.TASKS, str(owner_id))
        retry_on_conflict(attempt, attempts=EDIT_ATTEMPTS if self.begins_units else 1)
        self.changes.publish(owner_id)

    def _remove(
        self,
        owner_id: UserId,
        task_id: TaskId,
        expires_at: datetime,
        permanently: bool,
        expected: Collection[int] | None,
    ) -> None:
        version = None
        if expected is not None:
            version = require_expected(self.tasks.get(task_id, owner_id=owner_id), expected).version
        try:
            self.tasks.remove(
                task_id,
                owner_id=owner_id,
                expires_at=expires_at,
                permanently=permanently,
                version=version,
            )
        except HasSubtasks:
            self._remove_family(owner_id, task_id, expires_at, permanently, expected)

    def _remove_family(
        self,
        owner_id: UserId,
        task_id: TaskId,
        expires_at: datetime,
        permanently: bool,
        expected: Collection[int] | None,
    ) -> None:
        with self.unit_of_work() as work:
            locked = LockedTasks(work.tasks, owner_id, [task_id], parents=[task_id])
            require_expected(locked.get(task_id), expected)
            locked.remove(task_id, expires_at=expires_at, permanently=permanently)

    def _erase(
        self,
        owner_id: UserId,
        task_id: TaskId,
        expires_at: datetime,
        expected: Collection[int] | None,
    ) -> None:
        """Erase a task in the trash, and the subtasks that were deleted with it."""
        with self.unit_of_work() as work:
            # Before the tasks, like a change of the zone, which locks all tasks of the owner.
            zone_of(owner_id, work.users)
            task = work.tasks.get_in_trash(task_id, owner_id=owner_id)
            version = None if expected is None else require_expected(task, expected).version
            subtasks = work.tasks.deleted_with(task_id, owner_id=owner_id)
            work.tasks.erase(task_id, owner_id=owner_id, expires_at=expires_at, version=version)
            for subtask_id in subtasks:
                work.tasks.erase(subtask_id, owner_id=owner_id, expires_at=expires_at)


@dataclass(frozen=True, slots=True)
class RestoreTask:
    """Move one of the owner's tasks out of the trash, with the subtasks that were deleted with it.

    A subtask whose parent was deleted or has become a subtask itself is one no more.

    Raises:
        TaskNotFound: if the task is not in the trash of the owner, even if another user has it.
        QuotaExceeded: if the owner would have more than `max_tasks` tasks.
        IdTaken: if another task of the owner has got the same id in the meantime.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock
    max_tasks: int
    attempts: int = DEFAULT_ATTEMPTS

    def __call__(self, *, owner_id: UserId, task_id: TaskId) -> Task:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        restored = retry_on_conflict(
            partial(self._restore, owner_id, task_id), attempts=self.attempts
        )
        self.changes.publish(owner_id)
        return restored

    def _restore(self, owner_id: UserId, task_id: TaskId) -> Task:
        now = self.clock.now()
        with self.unit_of_work() as work:
            # Before the tasks, like a change of the zone, which locks all tasks of the owner.
            zone_of(owner_id, work.users)
            parent_id = work.tasks.get_in_trash(task_id, owner_id=owner_id).parent_id
            subtasks: Sequence[TaskId] = ()
            if parent_id is None:
                subtasks = work.tasks.deleted_with(task_id, owner_id=owner_id)
            elif not LockedTasks(work.tasks, owner_id, [parent_id]).can_have(parent_id):
                parent_id = None
            restore = partial(work.tasks.restore, owner_id=owner_id, now=now, most=self.max_tasks)
            restored = restore(task_id, parent_id=parent_id)
            for subtask_id in subtasks:
                restore(subtask_id, parent_id=task_id)
            return restored


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
