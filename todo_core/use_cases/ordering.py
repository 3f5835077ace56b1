"""The order that an owner gives their tasks by hand."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict, Unpack

from todo_core.entities.rank import Rank
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import FieldError, StaleVersion, TaskNotFound, ValidationFailed
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.bulk import MAX_OPERATIONS, hits_of
from todo_core.use_cases.editing import require_expected
from todo_core.use_cases.locked_tasks import LockedTasks
from todo_core.use_cases.retrying import DEFAULT_ATTEMPTS, retry_on_conflict
from todo_core.use_cases.tasks import LONGEST_PAGE


class Place(TypedDict, total=False):
    """Where a task is moved: next to which other task, and of which one it becomes a subtask."""

    before: TaskId
    after: TaskId
    parent_id: TaskId | None


_IN_ORDER = TaskQuery(order=TaskOrder.POSITION, descending=False)


@dataclass(frozen=True, slots=True)
class MoveTask:
    """Move one of the owner's tasks before or after another one, in the order of positions.

    Only the moved task changes, unless there is no room: then others around the place get new
    positions. Moving a task next to itself changes nothing. If a `parent_id` is given, the task
    becomes a subtask of that task, or of none if it is None. `expected` is as in `UpdateTask`.

    Raises:
        TaskNotFound: if the owner has no such task, or not the other one, even if another user has.
        PreconditionFailed: if the task has none of the expected versions.
        InvalidParent: if the task cannot be a subtask of its new parent.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock
    attempts: int = DEFAULT_ATTEMPTS

    def __call__(
        self,
        *,
        owner_id: UserId,
        task_id: TaskId,
        expected: Collection[int] | None = None,
        **place: Unpack[Place],
    ) -> Task:
        def attempt() -> Task:
            with self.unit_of_work() as work:
                return self._move(work.tasks, owner_id, task_id, place, expected)

        self.limiter.hit(Limit.TASKS, str(owner_id))
        moved = retry_on_conflict(attempt, attempts=self.attempts)
        self.changes.publish(owner_id)
        return moved

    def _move(
        self,
        tasks: TaskRepository,
        owner_id: UserId,
        task_id: TaskId,
        place: Place,
        expected: Collection[int] | None,
    ) -> Task:
        task = require_expected(tasks.get(task_id, owner_id=owner_id), expected)
        before, after = place.get("before"), place.get("after")
        other_id = before if after is None else after
        other = None
        if other_id is not None and other_id != task_id:
            other = tasks.get(other_id, owner_id=owner_id)
        if other is None:
            return self._save(tasks, task, place, expected)
        neighbour = _neighbour(tasks, other, task_id, is_next=after is not None)
        first, second = (neighbour, other) if after is None else (other, neighbour)
        position = self._between(task, first, second)
        if position is not None and not position.is_too_long:
            return self._save(tasks, task, place, expected, position=position)
        positions = _with_room(tasks, task, first)
        ids = [each.id for each, _ in positions]
        task = self._save(tasks, task, place, expected, also=ids)
        positions = [(task if each.id == task.id else each, rank) for each, rank in positions]
        return _place(tasks, owner_id, positions, self.clock)[task.id]

    def _save(
        self,
        tasks: TaskRepository,
        task: Task,
        place: Place,
        expected: Collection[int] | None,
        *,
        position: Rank | None = None,
        also: Sequence[TaskId] = (),
    ) -> Task:
        """Store the task with the parent of this place, and at this position, if any changes.

        Those that are to be placed later are locked `also`: locks in another order could deadlock.
        """
        now = self.clock.now()
        parent_id = place.get("parent_id", task.parent_id)
        if parent_id == task.parent_id:
            moved = task.moved(position or task.position, now=now)
            return task if moved is task else tasks.save(moved)
        named = [task.id] if parent_id is None else [task.id, parent_id]
        locked = LockedTasks(tasks, task.owner_id, [*named, *also])
        task = require_expected(locked.get(task.id), expected)
        changed = task.edited(parent_id=parent_id, now=now)
        if changed.parent_id != task.parent_id:
            locked.require_parent(parent_id, subtask_id=task.id)
        changed = changed.moved(position or task.position, now=now)
        return task if changed is task else locked.save(changed)

    def _between(self, task: Task, first: Task | None, second: Task | None) -> Rank | None:
        """Return a position between these two, or None if they have the same."""
        if first is None:
            before = None if second is None else second.position
            return Rank.first(before, now=self.clock.now(), task_id=task.id)
        if second is None:
            return Rank.between(first.position, None)
        return (
            None
            if first.position == second.position
            else Rank.between(first.position, second.position)
        )


@dataclass(frozen=True, slots=True)
class ReorderTasks:
    """Give several of the owner's tasks an order: all of them, or none. Return them in this order.

    They share out the positions that they have, so that all other tasks stay where they are. They
    count as several requests, as in `ChangeTasks`.

    Raises:
        ValidationFailed: if there are no tasks, too many, or one of them twice.
        TaskNotFound: if the owner does not have all of them, even if another user has.
        EditConflict: if other requests keep getting in the way.
        RateLimited: after too many requests of this user about tasks.
    """

    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    changes: ChangePublisher
    clock: Clock
    attempts: int = DEFAULT_ATTEMPTS

    def __call__(self, *, owner_id: UserId, task_ids: Sequence[TaskId]) -> Sequence[Task]:
        for _ in range(hits_of(task_ids)):
            self.limiter.hit(Limit.TASKS, str(owner_id))
        _validate(task_ids)
        reordered = retry_on_conflict(
            partial(self._reorder, owner_id, task_ids), attempts=self.attempts
        )
        self.changes.publish(owner_id)
        return reordered

    def _reorder(self, owner_id: UserId, task_ids: Sequence[TaskId]) -> Sequence[Task]:
        with self.unit_of_work() as work:
            found = work.tasks.lock(task_ids, owner_id=owner_id)
            if len(found) != len(task_ids):
                raise TaskNotFound
            by_id = {task.id: task for task in found}
            named = [by_id[task_id] for task_id in task_ids]
            if len({task.position for task in found}) < len(found):
                positions = _in_this_order(named, _all_in_order(work.tasks, owner_id))
            else:
                ranks = sorted(task.position for task in found)
                positions = list(zip(named, ranks, strict=True))
            placed = _place(work.tasks, owner_id, positions, self.clock)
            return [placed[task_id] for task_id in task_ids]


def _with_room(
    tasks: TaskRepository, task: Task, first: Task | None
) -> Sequence[tuple[Task, Rank]]:
    """Return positions for the task after the `first` one, and new ones for those around it.

    Raises:
        StaleVersion: if the `first` one was deleted in the meantime.
    """
    others = [each for each in _all_in_order(tasks, task.owner_id) if each.id != task.id]
    ids = [None, *(each.id for each in others)]
    first_id = None if first is None else first.id
    if first_id not in ids:
        raise StaleVersion
    place = ids.index(first_id)
    start, ranks = Rank.spread_around(place, [each.position for each in others])
    around = [*others[start:place], task, *others[place : start + len(ranks) - 1]]
    return list(zip(around, ranks, strict=True))


def _neighbour(tasks: TaskRepository, other: Task, moved: TaskId, *, is_next: bool) -> Task | None:
    """Return the task after or before the other one, leaving out the one to be moved."""
    query = replace(_IN_ORDER, descending=not is_next)
    place = Position(other.position, other.id)
    found = tasks.page(other.owner_id, query, limit=2, after=place).tasks
    return next((task for task in found if task.id != moved), None)


def _all_in_order(tasks: TaskRepository, owner_id: UserId) -> Sequence[Task]:
    everything: list[Task] = []
    after: Position | None = None
    while True:
        found = tasks.page(owner_id, _IN_ORDER, limit=LONGEST_PAGE, after=after)
        everything += found.tasks
        after = found.last
        if after is None:
            return everything


def _in_this_order(named: Sequence[Task], in_order: Sequence[Task]) -> Sequence[tuple[Task, Rank]]:
    """Return new positions for these tasks, several of which have the same, and for those around.

    All tasks that are in the same place get positions of their own.

    Raises:
        StaleVersion: if one of them was deleted in the meantime.
    """
    ranks = [task.position for task in in_order]
    for place in range(1, len(ranks)):
        if ranks[place - 1] == ranks[place]:
            start, spread = Rank.spread_around(place, [*ranks[:place], *ranks[place + 1 :]])
            ranks[start : start + len(spread)] = spread
    names = {task.id for task in named}
    places = [place for place, task in enumerate(in_order) if task.id in names]
    if len(places) < len(named):
        raise StaleVersion
    reordered = [*in_order]
    for place, task in zip(places, named, strict=True):
        reordered[place] = task
    return [
        (task, rank)
        for task, rank in zip(reordered, ranks, strict=True)
        if task.id in names or task.position != rank
    ]


def _place(
    tasks: TaskRepository,
    owner_id: UserId,
    positions: Sequence[tuple[Task, Rank]],
    clock: Clock,
) -> Mapping[TaskId, Task]:
    """Lock these tasks, give them their positions, and return all of them.

    Raises:
        StaleVersion: if one of them was changed or deleted in the meantime.
    """
    now = clock.now()
    versions = {task.id: task.version for task, _ in positions}
    locked = tasks.lock([*versions], owner_id=owner_id)
    if {task.id: task.version for task in locked} != versions:
        raise StaleVersion
    ranks = {task.id: rank for task, rank in positions}
    placed = {}
    for task in locked:
        moved = task.moved(ranks[task.id], now=now)
        placed[task.id] = task if moved is task else tasks.save(moved)
    return placed


def _validate(task_ids: Sequence[TaskId]) -> None:
    if not task_ids:
        message = "Task ids must not be empty."
        raise ValidationFailed(FieldError("task_ids", "too_short", message))
    if len(task_ids) > MAX_OPERATIONS:
        message = f"Task ids must have at most {MAX_OPERATIONS} items."
        raise ValidationFailed(FieldError("task_ids", "too_long", message))
    if len(set(task_ids)) < len(task_ids):
        message = "Task ids must not name a task twice."
        raise ValidationFailed(FieldError("task_ids", "repeated", message))
