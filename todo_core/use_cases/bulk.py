"""Changes of many tasks in one request.

Existing tasks are locked together, in one order, before anything is written. So no two requests
wait for each other, and nobody else can change the tasks in between.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from math import ceil

from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import (
    Completion,
    Creation,
    Deletion,
    Edit,
    TaskOperation,
)
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import (
    FieldError,
    IdTaken,
    PreconditionFailed,
    QuotaExceeded,
    StaleVersion,
    TaskNotFound,
    ValidationFailed,
)
from todo_core.ports.changes import Changes
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.retrying import USUAL_ATTEMPTS, retry_on_conflict

MOST_OPERATIONS = 500
"""How many operations a request may have."""

OPERATIONS_PER_HIT = 50
"""How many operations count as one request against the limit."""

BATCH_SIZE = 100
"""How many tasks one transaction changes, of any number that a filter chooses.

Other writers of the same owner wait for it, and on SQLite all other writers.
"""

type Outcome = Task | TaskId
"""The task after an operation, or the id of the task that it deleted."""


@dataclass(frozen=True, slots=True)
class ChangeTasks:
    """Apply several operations to the owner's tasks, in their order: all of them, or none.

    An operation sees what earlier ones have changed. Return an outcome for each. The values of
    all operations are checked first; then the first operation that fails decides. Up to 50
    operations count as one request, up to 100 as two, and so on.

    Raises:
        ValidationFailed: if there are no operations or too many, or if values break their rules.
            Every such field is named, as `operations/3/update/title`.
        TaskNotFound: if the owner has no such task, even if another user has. Its `field`, and
            those of the next two, name the operation, as `operations/3/update`.
        PreconditionFailed: if the task has another version than the operation names.
        QuotaExceeded: if the owner would have more than `max_tasks` tasks.
        AccountGone: if the owner was deleted.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    identifiers: Identifiers
    changes: Changes
    clock: Clock
    max_tasks: int
    trash_lifetime: timedelta
    attempts: int = USUAL_ATTEMPTS

    def __call__(
        self, *, owner_id: UserId, operations: Sequence[TaskOperation]
    ) -> Sequence[Outcome]:
        hits = ceil(min(len(operations), MOST_OPERATIONS) / OPERATIONS_PER_HIT)
        for _ in range(max(1, hits)):
            self.limiter.hit(Limit.TASKS, str(owner_id))
        _validate(operations)
        named = [each.id for each in operations if not isinstance(each, Creation)]

        def attempt() -> Sequence[Outcome]:
            # Before the transaction begins, because others may wait for its end.
            new = self._new([each for each in operations if isinstance(each, Creation)], owner_id)
            with self.unit_of_work() as work:
                found = work.tasks.lock(named, owner_id=owner_id) if named else ()
                batch = _Batch(
                    work.tasks, found, new, self.clock, self.max_tasks, self.trash_lifetime
                )
                return [
                    batch.apply(operation, field=_field(index, operation))
                    for index, operation in enumerate(operations)
                ]

        outcomes = retry_on_conflict(attempt, attempts=self.attempts)
        self.changes.publish(owner_id)
        return outcomes

    def _new(self, creations: Sequence[Creation], owner_id: UserId) -> Sequence[Task]:
        now = self.clock.now()
        ids = self.identifiers.task_ids(len(creations), created_at=now)
        return [
            Task.create(
                id=task_id,
                owner_id=owner_id,
                title=creation.title,
                description=creation.description,
                now=now,
            )
            for task_id, creation in zip(ids, creations, strict=True)
        ]


class _Batch:
    """Applies operations to tasks that are locked, and to new ones."""

    def __init__(
        self,
        tasks: TaskRepository,
        found: Sequence[Task],
        new: Sequence[Task],
        clock: Clock,
        max_tasks: int,
        trash_lifetime: timedelta,
    ) -> None:
        self._tasks = tasks
        self._current = {task.id: task for task in found}
        self._new = iter(new)
        self._clock = clock
        self._max_tasks = max_tasks
        self._trash_lifetime = trash_lifetime

    def apply(self, operation: TaskOperation, *, field: str) -> Outcome:
        try:
            return self._apply(operation)
        except (TaskNotFound, PreconditionFailed, QuotaExceeded) as error:
            error.field = field
            raise

    def _apply(self, operation: TaskOperation) -> Outcome:
        if isinstance(operation, Creation):
            return self._add(next(self._new))
        task = self._expected(operation)
        if isinstance(operation, Deletion):
            self._tasks.remove(
                task.id,
                owner_id=task.owner_id,
                expires_at=self._clock.now() + self._trash_lifetime,
                version=task.version,
            )
            del self._current[task.id]
            return task.id
        changed = _changed(task, operation, self._clock)
        if changed is not task:
            changed = self._current[task.id] = self._tasks.save(changed)
        return changed

    def _add(self, task: Task) -> Task:
        try:
            self._tasks.add(task, most=self._max_tasks)
        except IdTaken:
            raise StaleVersion from None  # the next attempt has other identifiers
        self._current[task.id] = task
        return task

    def _expected(self, operation: Edit | Completion | Deletion) -> Task:
        task = self._current.get(operation.id)
        if task is None:
            raise TaskNotFound
        if operation.version not in (None, task.version):
            raise PreconditionFailed(task.version)
        return task


def _changed(task: Task, operation: Edit | Completion, clock: Clock) -> Task:
    if isinstance(operation, Completion):
        return task.with_completion(operation.completed, now=clock.now())
    return task.edited(
        title=operation.title,
        description=operation.description,
        completed=operation.completed,
        now=clock.now(),
    )


def _field(index: int, operation: TaskOperation) -> str:
    return f"operations/{index}/{operation.kind}"


def _validate(operations: Sequence[TaskOperation]) -> None:
    if not operations:
        raise ValidationFailed(
            FieldError("operations", "too_short", "Operations must not be empty.")
        )
    if len(operations) > MOST_OPERATIONS:
        message = f"Operations must have at most {MOST_OPERATIONS} items."
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
class CompleteMatchingTasks:
    """Complete all of the owner's tasks that a query chooses, and return how many were open.

    They are completed in batches, so an error may leave some of them open. Repeat it then.

    Raises:
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: Changes
    clock: Clock

    def __call__(self, *, owner_id: UserId, query: TaskQuery) -> int:
        def complete(tasks: TaskRepository, task: Task) -> None:
            tasks.save(task.edited(completed=True, now=self.clock.now()))

        self.limiter.hit(Limit.TASKS, str(owner_id))
        if query.completed:
            return 0
        still_open = replace(query, completed=False)
        return _for_each_match(
            self.tasks, self.unit_of_work, self.changes, owner_id, still_open, complete
        )


@dataclass(frozen=True, slots=True)
class DeleteMatchingTasks:
    """Move all of the owner's tasks that a query chooses to the trash, and return how many.

    They are deleted in batches, so an error may leave some of them. Repeat it then.

    Raises:
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: Changes
    clock: Clock
    trash_lifetime: timedelta

    def __call__(self, *, owner_id: UserId, query: TaskQuery) -> int:
        expires_at = self.clock.now() + self.trash_lifetime

        def delete(tasks: TaskRepository, task: Task) -> None:
            tasks.remove(task.id, owner_id=owner_id, expires_at=expires_at, version=task.version)

        self.limiter.hit(Limit.TASKS, str(owner_id))
        return _for_each_match(self.tasks, self.unit_of_work, self.changes, owner_id, query, delete)


def _for_each_match(
    tasks: TaskRepository,
    unit_of_work: BeginUnitOfWork,
    changes: Changes,
    owner_id: UserId,
    query: TaskQuery,
    change: Callable[[TaskRepository, Task], None],
) -> int:
    """Change each task that the query chooses, in batches, and return how many were changed.

    The batches follow the order of creation from the newest on, so tasks that are created
    meanwhile are not looked at, and no task is looked at twice.
    """
    query = replace(query, order=TaskOrder.CREATED_AT, descending=True)

    def change_batch(batch: Sequence[Task]) -> int:
        with unit_of_work() as work:
            locked = work.tasks.lock([task.id for task in batch], owner_id=owner_id)
            # Another request may have changed them before they were locked.
            matching = [task for task in locked if query.includes(task)]
            for task in matching:
                change(work.tasks, task)
            return len(matching)

    changed = 0
    after: Position | None = None
    while True:
        found = tasks.page(owner_id, query, limit=BATCH_SIZE, after=after)
        if found.tasks:
            changed += retry_on_conflict(partial(change_batch, found.tasks))
            changes.publish(owner_id)
        if found.last is None:
            return changed
        after = found.last
