"""Changes of many tasks in one request.

Existing tasks are locked together with their subtasks, in one order, before anything is written. So
no two requests wait for each other, and no other request can change the tasks in between.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from math import ceil
from typing import TypeGuard

from todo_core.entities.task import Task, TaskId, need_zone
from todo_core.entities.task_operation import (
    Completion,
    Creation,
    Deletion,
    Edit,
    TaskOperation,
)
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import (
    FieldError,
    IdTaken,
    InvalidParent,
    PreconditionFailed,
    QuotaExceeded,
    StaleVersion,
    TaskNotFound,
    ValidationFailed,
)
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.editing import SaveTask
from todo_core.use_cases.locked_tasks import LockedTasks
from todo_core.use_cases.retrying import DEFAULT_ATTEMPTS, retry_on_conflict
from todo_core.use_cases.time_zones import LocateQuery, zone_of

MAX_OPERATIONS = 500
"""How many operations a request may have."""

OPERATIONS_PER_HIT = 50
"""How many operations count as one request against the limit."""

BATCH_SIZE = 100
"""How many of the tasks that a filter matches are changed in one transaction.

Other writers of the same owner wait for it, and on SQLite all other writers.
"""

MAX_TASKS_AT_ONCE = 2000
"""How many tasks the operations of a request may concern, subtasks included."""

type Outcome = Task | TaskId
"""The task after an operation, or the id of the task that it deleted."""

type ChangeOne = Callable[[LockedTasks, Task, TimeZone], int]
"""Changes one of these tasks, of an owner in this zone. Returns how many were changed with it."""


def hits_of(operations: Sequence[object]) -> int:
    """Return how many requests these operations count as against the limit, at least one."""
    return max(1, ceil(min(len(operations), MAX_OPERATIONS) / OPERATIONS_PER_HIT))


@dataclass(frozen=True, slots=True)
class ChangeTasks:
    """Apply several operations to the owner's tasks, in their order: all of them, or none.

    An operation sees what earlier ones have changed. It may delete a subtask that was deleted with
    its parent by an earlier one. An outcome is returned for each. The values of all operations are
    validated first. After that, the first operation that fails determines the error. Up to 50
    operations count as one request, up to 100 as two, and so on.

    Raises:
        ValidationFailed: if there are no operations or too many, or if values break their rules.
            Every such field is named, as `operations/3/update/title`. Also if
            they concern more than `MAX_TASKS_AT_ONCE` tasks, subtasks included.
        TaskNotFound: if the owner has no such task, even if another user has. The `field` of this
            error and of the next three names the operation, as `operations/3/update`.
        InvalidParent: if a task cannot be a subtask of its new parent.
        PreconditionFailed: if the task has another version than the operation names.
        QuotaExceeded: if the owner would have more than `max_tasks` tasks.
        AccountGone: if the owner was deleted.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    save: SaveTask
    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    identifiers: Identifiers
    changes: ChangePublisher
    clock: Clock
    max_tasks: int
    trash_lifetime: timedelta
    attempts: int = DEFAULT_ATTEMPTS

    def __call__(
        self, *, owner_id: UserId, operations: Sequence[TaskOperation]
    ) -> Sequence[Outcome]:
        for _ in range(hits_of(operations)):
            self.limiter.hit(Limit.TASKS, str(owner_id))
        _validate(operations)
        named = [task_id for each in operations for task_id in _named_in(each)]
        families = [each.id for each in operations if _concerns_subtasks(each)]
        creations = [each for each in operations if isinstance(each, Creation)]
        needs_zone = any(
            isinstance(each, Edit | Completion)
            or (isinstance(each, Creation) and need_zone(each.fields))
            for each in operations
        )

        def attempt() -> Sequence[Outcome]:
            # Before the transaction begins, if possible, because others may wait for its end.
            new = () if needs_zone else self._new(creations, owner_id, DEFAULT_TIME_ZONE)
            with self.unit_of_work() as work:
                zone = DEFAULT_TIME_ZONE
                if needs_zone:
                    zone = zone_of(owner_id, work.users)
                    new = self._new(creations, owner_id, zone)
                locked = LockedTasks(work.tasks, owner_id, named, families_of=families)
                _require_few(locked)
                batch = _Batch(
                    *(locked, self.save, new, zone, self.clock),
                    *(self.max_tasks, self.trash_lifetime),
                )
                return [
                    batch.apply(operation, field=_field(index, operation))
                    for index, operation in enumerate(operations)
                ]

        outcomes = retry_on_conflict(attempt, attempts=self.attempts)
        self.changes.publish(owner_id)
        return outcomes

    def _new(
        self, creations: Sequence[Creation], owner_id: UserId, zone: TimeZone
    ) -> Sequence[Task]:
        now = self.clock.now()
        ids = self.identifiers.task_ids(owner_id, len(creations), created_at=now)
        return [
            Task.create(id=task_id, owner_id=owner_id, now=now, zone=zone, **creation.fields)
            for task_id, creation in zip(ids, creations, strict=True)
        ]


class _Batch:
    """Applies operations to tasks that are locked, and to new ones."""

    def __init__(
        self,
        locked: LockedTasks,
        save: SaveTask,
        new: Sequence[Task],
        zone: TimeZone,
        clock: Clock,
        max_tasks: int,
        trash_lifetime: timedelta,
    ) -> None:
        self._locked = locked
        self._save = save
        self._new = iter(new)
        self._zone = zone
        self._clock = clock
        self._max_tasks = max_tasks
        self._trash_lifetime = trash_lifetime
        self._deleted_subtasks: dict[TaskId, Task] = {}

    def apply(self, operation: TaskOperation, *, field: str) -> Outcome:
        try:
            return self._apply(operation)
        except (TaskNotFound, PreconditionFailed, InvalidParent, QuotaExceeded) as error:
            error.field = "/".join(filter(None, (field, error.field)))
            raise
        except ValidationFailed as failure:  # values that are not valid for this task
            errors = (replace(each, field=f"{field}/{each.field}") for each in failure.errors)
            raise ValidationFailed(*errors) from None

    def _apply(self, operation: TaskOperation) -> Outcome:
        if isinstance(operation, Creation):
            return self._add(next(self._new))
        if isinstance(operation, Deletion):
            return self._delete(operation)
        task = _as_expected(self._locked.get(operation.id), operation)
        changed = self._changed(task, operation)
        if changed is task:
            return task
        try:
            return self._save(self._locked, task, changed, self._zone)
        except IdTaken:
            raise StaleVersion from None  # the next attempt has other identifiers

    def _add(self, task: Task) -> Task:
        self._locked.require_parent(task.parent_id)
        try:
            self._locked.add(task, most=self._max_tasks)
        except IdTaken:
            raise StaleVersion from None  # the next attempt has other identifiers
        return task

    def _changed(self, task: Task, operation: Edit | Completion) -> Task:
        now = self._clock.now()
        if isinstance(operation, Completion):
            return task.with_completion(operation.completed, now=now)
        return task.edited(now=now, zone=self._zone, **operation.fields)

    def _delete(self, operation: Deletion) -> TaskId:
        """Delete a task, unless it was deleted with its parent by an earlier operation."""
        deleted = self._deleted_subtasks.pop(operation.id, None)
        task = _as_expected(deleted or self._locked.get(operation.id), operation)
        if deleted is None:
            expires_at = self._clock.now() + self._trash_lifetime
            subtasks = self._locked.remove(task.id, expires_at=expires_at)
            self._deleted_subtasks.update((each.id, each) for each in subtasks)
        return task.id


def _as_expected(task: Task, operation: Edit | Completion | Deletion) -> Task:
    if operation.version not in (None, task.version):
        raise PreconditionFailed(task.version)
    return task


def _named_in(operation: TaskOperation) -> Iterator[TaskId]:
    """Yield the task of an operation, and the parent that it is to have."""
    if not isinstance(operation, Creation):
        yield operation.id
    if isinstance(operation, Creation | Edit) and (parent_id := operation.fields.get("parent_id")):
        yield parent_id


def _concerns_subtasks(operation: TaskOperation) -> TypeGuard[Completion | Deletion | Edit]:
    """Return whether an operation may change the subtasks of its task."""
    if isinstance(operation, Edit):
        return "completed" in operation.fields
    return isinstance(operation, Completion | Deletion)


def _require_few(locked: LockedTasks) -> None:
    if len(locked) > MAX_TASKS_AT_ONCE:
        message = f"Operations must concern at most {MAX_TASKS_AT_ONCE} tasks, subtasks included."
        raise ValidationFailed(FieldError("operations", "too_many_subtasks", message))


def _field(index: int, operation: TaskOperation) -> str:
    return f"operations/{index}/{operation.kind}"


def _validate(operations: Sequence[TaskOperation]) -> None:
    if not operations:
        raise ValidationFailed(
            FieldError("operations", "too_short", "Operations must not be empty.")
        )
    if len(operations) > MAX_OPERATIONS:
        message = f"Operations must have at most {MAX_OPERATIONS} items."
        raise ValidationFailed(FieldError("operations", "too_long", message))
    errors: list[FieldError] = []
    for index, operation in enumerate(operations):
        try:
            operation.validate()
        except ValidationFailed as failure:
            place = _field(index, operation)
            errors += (replace(each, field=f"{place}/{each.field}") for each in failure.errors)
    if errors:
        raise ValidationFailed(*errors)


@dataclass(frozen=True, slots=True)
class ChangeMatchingTasks:
    """Change each of the owner's tasks that a query matches, and return how many were changed.

    Subtasks that change with them count too. A step of `CompleteMatchingTasks` and
    `DeleteMatchingTasks`. The tasks are changed in batches, in the order of creation from the
    newest on. So no task is changed twice, and tasks that are created in the meantime are left
    alone.

    Raises:
        EditConflict: if other requests keep getting in the way.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    changes: ChangePublisher
    locate: LocateQuery

    def __call__(self, owner_id: UserId, query: TaskQuery, change: ChangeOne) -> int:
        query = replace(self.locate(owner_id, query), order=TaskOrder.CREATED_AT, descending=True)
        changed = 0
        after: Position | None = None
        while True:
            found = self.tasks.page(owner_id, query, limit=BATCH_SIZE, after=after)
            remaining: Sequence[TaskId] = [task.id for task in found.tasks]
            while remaining:
                count, remaining = retry_on_conflict(
                    partial(self._change_batch, remaining, owner_id, query, change)
                )
                changed += count
                self.changes.publish(owner_id)
            if found.last is None:
                return changed
            after = found.last

    def _change_batch(
        self, batch: Sequence[TaskId], owner_id: UserId, query: TaskQuery, change: ChangeOne
    ) -> tuple[int, Sequence[TaskId]]:
        """Change these tasks, and return how many were changed and which ones remain.

        Some remain if those before them have many subtasks.
        """
        changed = 0
        with self.unit_of_work() as work:
            zone = zone_of(owner_id, work.users)
            locked = LockedTasks(work.tasks, owner_id, batch, families_of=batch)
            for index, task_id in enumerate(batch):
                if changed >= MAX_OPERATIONS:
                    return changed, batch[index:]
                task = locked.find(task_id)
                # Another request may have changed it, or it was changed with its parent.
                if task is None or not query.includes(task):
                    continue
                parent = None if task.parent_id is None else locked.find(task.parent_id)
                if parent is not None and query.includes(parent):
                    continue  # it is changed with its parent, as if only that matched
                changed += change(locked, task, zone)
        return changed, ()


@dataclass(frozen=True, slots=True)
class CompleteMatchingTasks:
    """Complete all of the owner's tasks that a query matches, with their subtasks.

    Return how many were open.

    They are completed in batches, so an error may leave some of them open. Repeat it then.

    Raises:
        QuotaExceeded: if there is no room for the tasks that follow those that repeat.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    change_matching: ChangeMatchingTasks
    save: SaveTask
    limiter: RateLimiter
    clock: Clock

    def __call__(self, *, owner_id: UserId, query: TaskQuery) -> int:
        def complete(locked: LockedTasks, task: Task, zone: TimeZone) -> int:
            open_subtasks = [each for each in locked.subtasks(task.id) if not each.completed]
            try:
                completed = task.edited(completed=True, now=self.clock.now())
                self.save(locked, task, completed, zone)
            except IdTaken:
                raise StaleVersion from None  # the next attempt has other identifiers
            return 1 + len(open_subtasks)

        self.limiter.hit(Limit.TASKS, str(owner_id))
        if query.completed:
            return 0
        still_open = replace(query, completed=False)
        return self.change_matching(owner_id, still_open, complete)


@dataclass(frozen=True, slots=True)
class DeleteMatchingTasks:
    """Move all of the owner's tasks that a query matches to the trash, with their subtasks.

    Return how many they are.

    They are deleted in batches, so an error may leave some of them. Repeat it then.

    Raises:
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    change_matching: ChangeMatchingTasks
    limiter: RateLimiter
    clock: Clock
    trash_lifetime: timedelta

    def __call__(self, *, owner_id: UserId, query: TaskQuery) -> int:
        expires_at = self.clock.now() + self.trash_lifetime

        def delete(locked: LockedTasks, task: Task, _: TimeZone) -> int:
            return 1 + len(locked.remove(task.id, expires_at=expires_at))

        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.change_matching(owner_id, query, delete)
