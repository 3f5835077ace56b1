"""Changes of many tasks in one request.

Existing tasks are locked together with their subtasks, in one order, before anything is written. So
no two requests wait for each other, and no other request can change the tasks in between.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from itertools import count
from math import ceil
from typing import TypeGuard

from todo_core.entities.idempotency import IdempotentRequest
from todo_core.entities.task import Task, TaskId, need_zone
from todo_core.entities.task_operation import (
    Completion,
    Creation,
    Deletion,
    Edit,
    TaskOperation,
)
from todo_core.entities.task_query import Found, Position, TaskOrder, TaskQuery
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
from todo_core.ports.unit_of_work import BeginUnitOfWork, UnitOfWork
from todo_core.use_cases.editing import SaveTask
from todo_core.use_cases.locked_tasks import LockedTasks
from todo_core.use_cases.once import write_once_within
from todo_core.use_cases.retrying import DEFAULT_ATTEMPTS, retry_on_conflict
from todo_core.use_cases.time_zones import LocateQuery, zone_of

MAX_OPERATIONS = 500
"""How many operations a request may have."""

OPERATIONS_PER_HIT = 50
"""How many operations count as one request against the limit."""

_ORDER = TaskOrder.CREATED_AT
"""The order in which the tasks that a filter matches are changed, from the newest on."""

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
                batch = _Operations(
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


class _Operations:
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
class MatchingChanged:
    """How many tasks a change of all that match has changed: now, or if it is a replay, earlier."""

    count: int
    is_replay: bool = False


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a unit of work has changed, and where the next one continues, unless it was the last.

    `run` is the time of the first of these units of work.
    """

    changed: int
    after: Position | None
    run: str

    @classmethod
    def parse(cls, kept: bytes) -> "_Batch":
        changed, after, run = kept.decode().split("\n")
        return cls(int(changed), Position.parse(after, _ORDER) if after else None, run)

    def __bytes__(self) -> bytes:
        return f"{self.changed}\n{self.after or ''}\n{self.run}".encode()


@dataclass(frozen=True, slots=True)
class ChangeMatchingTasks:
    """Change each of the owner's tasks that a query matches, and return how many were changed.

    Subtasks that change with them count too. A step of `CompleteMatchingTasks` and
    `DeleteMatchingTasks`. The tasks are changed in batches, in the order of creation from the
    newest on. So no task is changed twice, and tasks that are created in the meantime are left
    alone.

    With `once`, each batch takes effect once: the same request, sent again after an error or a lost
    connection, counts the batches that are done and continues after them.

    Raises:
        EditConflict: if other requests keep getting in the way.
        TodoError: with `once`, as `write_once_within` does.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    changes: ChangePublisher
    clock: Clock
    locate: LocateQuery

    def __call__(
        self, owner_id: UserId, query: TaskQuery, change: ChangeOne, once: IdempotentRequest | None
    ) -> MatchingChanged:
        query = replace(self.locate(owner_id, query), order=_ORDER, descending=True)
        changed, is_replay = 0, once is not None
        part, run, after = once, self.clock.now().isoformat(), None
        for number in count(1):
            found = self.tasks.page(owner_id, query, limit=BATCH_SIZE, after=after)
            if part is None and not found.tasks:
                break
            change_batch = partial(self._change_batch, found, owner_id, query, change, run)
            batch, is_done = retry_on_conflict(partial(self._apply, change_batch, part))
            if not is_done:
                self.changes.publish(owner_id)
            changed += batch.changed
            is_replay &= is_done
            run, after = batch.run, batch.after
            if after is None:
                break
            part = None if once is None else once.part(number, run=run)
        return MatchingChanged(changed, is_replay)

    def _apply(
        self, change_batch: Callable[[UnitOfWork], _Batch], part: IdempotentRequest | None
    ) -> tuple[_Batch, bool]:
        """Change a batch, unless this part of the request has changed it before."""
        with self.unit_of_work() as work:
            if part is None:
                return change_batch(work), False
            written = write_once_within(
                work, part, lambda: bytes(change_batch(work)), now=self.clock.now()
            )
            return _Batch.parse(written.response), written.is_replay

    def _change_batch(
        self,
        found: Found,
        owner_id: UserId,
        query: TaskQuery,
        change: ChangeOne,
        run: str,
        work: UnitOfWork,
    ) -> _Batch:
        """Change these tasks, or those before one if they have many subtasks."""
        changed = 0
        ids = [task.id for task in found.tasks]
        zone = zone_of(owner_id, work.users)
        locked = LockedTasks(work.tasks, owner_id, ids, families_of=ids)
        for index, task_id in enumerate(ids):
            if changed >= MAX_OPERATIONS:
                last = Position.of(found.tasks[index - 1], _ORDER, revision=0)
                return _Batch(changed, last, run)
            task = locked.find(task_id)
            # Another request may have changed it, or it was changed with its parent.
            if task is None or not query.includes(task):
                continue
            parent = None if task.parent_id is None else locked.find(task.parent_id)
            if parent is not None and query.includes(parent):
                continue  # it is changed with its parent, as if only that matched
            changed += change(locked, task, zone)
        return _Batch(changed, found.last, run)


@dataclass(frozen=True, slots=True)
class CompleteMatchingTasks:
    """Complete all of the owner's tasks that a query matches, with their subtasks.

    Return how many were open.

    They are completed in batches, so an error may leave some of them open. Repeat it then: with
    `once`, this does not also complete the tasks that follow those that repeat.

    Raises:
        QuotaExceeded: if there is no room for the tasks that follow those that repeat.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
        TodoError: with `once`, as `write_once_within` does.
    """

    change_matching: ChangeMatchingTasks
    save: SaveTask
    limiter: RateLimiter
    clock: Clock

    def __call__(
        self, *, owner_id: UserId, query: TaskQuery, once: IdempotentRequest | None = None
    ) -> MatchingChanged:
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
            return MatchingChanged(0)
        still_open = replace(query, completed=False)
        return self.change_matching(owner_id, still_open, complete, once)


@dataclass(frozen=True, slots=True)
class DeleteMatchingTasks:
    """Move all of the owner's tasks that a query matches to the trash, with their subtasks.

    Return how many they are.

    They are deleted in batches, so an error may leave some of them. Repeat it then: with `once`,
    this leaves those alone that were created in the meantime.

    Raises:
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
        TodoError: with `once`, as `write_once_within` does.
    """

    change_matching: ChangeMatchingTasks
    limiter: RateLimiter
    clock: Clock
    trash_lifetime: timedelta

    def __call__(
        self, *, owner_id: UserId, query: TaskQuery, once: IdempotentRequest | None = None
    ) -> MatchingChanged:
        expires_at = self.clock.now() + self.trash_lifetime

        def delete(locked: LockedTasks, task: Task, _: TimeZone) -> int:
            return 1 + len(locked.remove(task.id, expires_at=expires_at))

        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.change_matching(owner_id, query, delete, once)
