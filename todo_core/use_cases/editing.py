"""Changing one task, and what follows from it: steps that several use cases share."""

from collections.abc import Callable, Collection
from copy import replace
from dataclasses import dataclass

from todo_core.entities.task import Task, TaskFields, TaskId
from todo_core.entities.task_changes import TOMBSTONE_LIFETIME
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import IdTaken, PreconditionFailed, StaleVersion, TaskNotFound
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.retrying import retry_on_conflict
from todo_core.use_cases.time_zones import zone_of

EDIT_ATTEMPTS = 50
"""How often an edit of a task is attempted.

Of concurrent edits, one succeeds at each attempt. So this many concurrent edits of one task all
succeed.
"""


def require_expected(task: Task, expected: Collection[int] | None) -> Task:
    """Return the task, if it has one of the expected versions or none are given.

    Raises:
        PreconditionFailed: if the task has none of the expected versions.
    """
    if expected is not None and task.version not in expected:
        raise PreconditionFailed(task.version)
    return task


@dataclass(frozen=True, slots=True)
class SaveTask:
    """Save a changed task. If it repeats and was completed, add its successor in the same write.

    If such a task is reopened and its successor is unchanged, the successor is permanently deleted,
    and the task repeats again. If the successor was changed, it stays, and the task no longer
    repeats.

    Raises:
        StaleVersion: if the task was changed since it was loaded.
        QuotaExceeded: if there is no room for the successor.
        IdTaken: if the identifier of the successor is in use.
    """

    identifiers: Identifiers
    clock: Clock
    max_tasks: int

    def __call__(self, tasks: TaskRepository, before: Task, after: Task, zone: TimeZone) -> Task:
        if before.completed == after.completed:
            return tasks.save(after)
        return self._complete(tasks, after, zone) if after.completed else self._reopen(tasks, after)

    def _complete(self, tasks: TaskRepository, task: Task, zone: TimeZone) -> Task:
        if task.repetition is None:
            return tasks.save(task)
        now = self.clock.now()
        [task_id] = self.identifiers.task_ids(1, created_at=now)
        successor = task.successor(task_id, now=now, zone=zone)
        if successor is None:
            return tasks.save(task)
        saved = tasks.save(replace(task, next_id=successor.id))
        tasks.add(successor, most=self.max_tasks)
        return saved

    def _reopen(self, tasks: TaskRepository, task: Task) -> Task:
        owner_id, next_id = task.owner_id, task.next_id
        task = replace(task, next_id=None)
        if next_id is None:
            return tasks.save(task)
        # In this order, like a bulk, which has locked the task already.
        if not tasks.lock([task.id], owner_id=owner_id):
            raise StaleVersion
        successors = tasks.lock([next_id], owner_id=owner_id)
        if any(each.version > 1 for each in successors):
            return tasks.save(replace(task, repetition=None))
        saved = tasks.save(task)
        expires_at = self.clock.now() + TOMBSTONE_LIFETIME
        for each in successors:
            tasks.remove(each.id, owner_id=owner_id, expires_at=expires_at, permanently=True)
        return saved


@dataclass(frozen=True, slots=True)
class ChangeTask:
    """Change fields of one of the owner's tasks, and publish it if anything is different.

    `fields_of` gets the task and returns the new values of fields. A change whose effect depends on
    the time zone of the owner, or that concerns another task too, is made in a unit of work.

    Raises:
        TaskNotFound: if the owner has no such task, even if another user has.
        PreconditionFailed: if the task has none of the expected versions.
        ValidationFailed: naming every field that breaks its rules.
        QuotaExceeded: if there is no room for the successor of a task that repeats.
        EditConflict: if the task keeps being changed at the same time.
        IdTaken: if the identifier of a successor is in use, in a unit of work of the caller's.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    changes: ChangePublisher
    clock: Clock
    save: SaveTask
    begins_units: bool = True
    """Whether it begins units of work of its own, so that it can try again in another one.

    In one of the caller's, the task is locked first, and the only attempt is not overtaken.
    """

    def __call__(
        self,
        owner_id: UserId,
        task_id: TaskId,
        fields_of: Callable[[Task], TaskFields],
        expected: Collection[int] | None,
    ) -> Task:
        def attempt() -> tuple[Task, bool]:
            if not self.begins_units:
                return attempt_in_unit()
            task = require_expected(self.tasks.get(task_id, owner_id=owner_id), expected)
            fields = fields_of(task)
            if task.needs_unit(fields):
                return attempt_in_unit()
            return self._change(self.tasks, task, fields, DEFAULT_TIME_ZONE)

        def attempt_in_unit() -> tuple[Task, bool]:
            try:
                with self.unit_of_work() as work:
                    zone = zone_of(owner_id, work.users)
                    task = require_expected(self._load(work.tasks, owner_id, task_id), expected)
                    return self._change(work.tasks, task, fields_of(task), zone)
            except IdTaken:
                if not self.begins_units:
                    raise
                raise StaleVersion from None  # the next attempt has another identifier

        attempts = EDIT_ATTEMPTS if self.begins_units else 1
        task, has_changed = retry_on_conflict(attempt, attempts=attempts)
        if has_changed:
            self.changes.publish(owner_id)
        return task

    def _load(self, tasks: TaskRepository, owner_id: UserId, task_id: TaskId) -> Task:
        if self.begins_units:
            return tasks.get(task_id, owner_id=owner_id)
        for task in tasks.lock([task_id], owner_id=owner_id):
            return task
        raise TaskNotFound

    def _change(
        self, tasks: TaskRepository, task: Task, fields: TaskFields, zone: TimeZone
    ) -> tuple[Task, bool]:
        changed = task.edited(now=self.clock.now(), zone=zone, **fields)
        return (task, False) if changed is task else (self.save(tasks, task, changed, zone), True)
