"""The use cases that change tasks, together."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from todo_core.entities.user import UserId
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.unit_of_work import UnitOfWork
from todo_core.use_cases.bulk import ChangeTasks
from todo_core.use_cases.ordering import MoveTask, ReorderTasks
from todo_core.use_cases.tasks import CreateTask, ToggleCompletion, UpdateTask
from todo_core.use_cases.trash import DeleteTask, RestoreTask


class _AlreadyCounted(RateLimiter):
    """Counts nothing, because the request was counted before."""

    def hit(self, limit: Limit, *key: str) -> None:
        pass

    def forgive(self, limit: Limit, *key: str) -> None:
        pass


_ALREADY_COUNTED = _AlreadyCounted()


class _NotYetStored(ChangePublisher):
    """Announces nothing, because changes are stored only when the unit of work ends."""

    def publish(self, owner_id: UserId) -> None:
        pass


_NOT_YET_STORED = _NotYetStored()


@dataclass(frozen=True, slots=True)
class TaskWrites:
    """The use cases that change tasks: each by itself, or all of them in one unit of work."""

    create_task: CreateTask
    update_task: UpdateTask
    toggle_completion: ToggleCompletion
    delete_task: DeleteTask
    restore_task: RestoreTask
    move_task: MoveTask
    reorder_tasks: ReorderTasks
    change_tasks: ChangeTasks

    def within(self, work: UnitOfWork) -> "TaskWrites":
        """Return the same use cases as part of this unit of work, in a request that was counted.

        Those that create tasks make one attempt: after an identifier that is in use, the database
        may refuse to continue the transaction. The caller begins another unit of work instead,
        and announces the changes when it has ended.
        """
        tasks, limiter, changes = work.tasks, _ALREADY_COUNTED, _NOT_YET_STORED

        def same() -> AbstractContextManager[UnitOfWork]:
            return nullcontext(work)

        change = replace(
            self.update_task.change,
            tasks=tasks,
            unit_of_work=same,
            changes=changes,
            begins_units=False,
        )
        return TaskWrites(
            create_task=replace(
                self.create_task,
                tasks=tasks,
                unit_of_work=same,
                limiter=limiter,
                changes=changes,
                attempts=1,
            ),
            update_task=replace(self.update_task, change=change, limiter=limiter),
            toggle_completion=replace(self.toggle_completion, change=change, limiter=limiter),
            delete_task=replace(
                self.delete_task,
                tasks=tasks,
                unit_of_work=same,
                limiter=limiter,
                changes=changes,
                begins_units=False,
            ),
            restore_task=replace(
                self.restore_task,
                unit_of_work=same,
                limiter=limiter,
                changes=changes,
                attempts=1,
            ),
            move_task=replace(
                self.move_task, unit_of_work=same, limiter=limiter, changes=changes, attempts=1
            ),
            reorder_tasks=replace(
                self.reorder_tasks, unit_of_work=same, limiter=limiter, changes=changes, attempts=1
            ),
            change_tasks=replace(
                self.change_tasks,
                unit_of_work=same,
                limiter=limiter,
                changes=changes,
                attempts=1,
            ),
        )
