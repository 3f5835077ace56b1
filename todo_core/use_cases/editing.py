"""Changing one task, and what follows from it: steps that several use cases share."""

from collections.abc import Callable, Collection, Sequence
from copy import replace
from dataclasses import dataclass

from todo_core.entities.task import Task, TaskFields, TaskId
from todo_core.entities.task_changes import TOMBSTONE_LIFETIME
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import HasSubtasks, IdTaken, PreconditionFailed, StaleVersion
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.locked_tasks import LockedTasks
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
    """Save a changed task, with what follows from it for other tasks.

    The tasks were locked with the subtasks of this one, and with its new parent. A task that is
    completed completes its open subtasks. If it repeats, its successor is added with copies of its
    subtasks, which are open. A subtask that repeats has no successor if it is completed with its
    parent: it ends with it, or the copy goes on.

    If a task that repeats is reopened and its successor is unchanged, the successor is permanently
    deleted, and the task repeats again. If the successor or its subtasks were changed, they stay,
    and the task no longer repeats, unless it gets another rule at the same time. If its rule is
    taken away, the successor stays too, so that the repetition goes on in one of them.

    Raises:
        InvalidParent: if the task cannot be a subtask of its new parent.
        QuotaExceeded: if there is no room for the successor.
        IdTaken: if an identifier of the successor is in use.
    """

    identifiers: Identifiers
    clock: Clock
    max_tasks: int

    def __call__(self, locked: LockedTasks, before: Task, after: Task, zone: TimeZone) -> Task:
        if after.parent_id != before.parent_id:
            locked.require_parent(after.parent_id, subtask_id=after.id)
        if before.completed == after.completed:
            return locked.save(after)
        if not after.completed:
            return self._reopen(locked, before, after)
        subtasks = locked.subtasks(after.id)
        saved = self._complete(locked, after, subtasks, zone)
        for each in subtasks:
            if not each.completed:
                locked.save(each.edited(completed=True, now=after.updated_at))
        return saved

    def _complete(
        self, locked: LockedTasks, task: Task, subtasks: Sequence[Task], zone: TimeZone
    ) -> Task:
        if task.repetition is None:
            return locked.save(task)
        # A subtask that repeats and was completed by itself is followed by its own successor.
        in_order = sorted(
            (each for each in subtasks if each.next_id is None), key=lambda each: each.position
        )
        now = self.clock.now()
        task_id, *ids = self.identifiers.task_ids(task.owner_id, 1 + len(in_order), created_at=now)
        successor = task.successor(task_id, now=now, zone=zone)
        if successor is None or successor.due_date is None:
            return locked.save(task)
        saved = locked.save(replace(task, next_id=successor.id))
        locked.add(successor, most=self.max_tasks)
        due_day = zone.local(now).date() if task.due_date is None else task.due_date.local_day(zone)
        days = (successor.due_date.local_day(zone) - due_day).days
        # The copies have the same order: of tasks that are new at once, a larger id comes first.
        for each, copy_id in zip(in_order, sorted(ids, reverse=True), strict=True):
            copy = each.copied(copy_id, parent=successor, days=days, zone=zone)
            locked.add(copy, most=self.max_tasks)
        return saved

    def _reopen(self, locked: LockedTasks, before: Task, after: Task) -> Task:
        next_id = after.next_id
        task = replace(after, next_id=None)
        if next_id is None or task.repetition is None:
            return locked.save(task)
        locked.lock([next_id], families_of=[next_id])
        successor = locked.find(next_id)
        if successor is None:
            return locked.save(task)
        family = [successor, *locked.subtasks(next_id)]
        created_at = successor.created_at
        if any(each.version > 1 or each.created_at != created_at for each in family):
            has_new_rule = after.repetition != before.repetition
            return locked.save(task if has_new_rule else replace(task, repetition=None))
        saved = locked.save(task)
        expires_at = self.clock.now() + TOMBSTONE_LIFETIME
        locked.remove(next_id, expires_at=expires_at, permanently=True)
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
        InvalidParent: if the task cannot be a subtask of its new parent.
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

    In one of the caller's, it makes one attempt.
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
            changed = task.edited(now=self.clock.now(), **fields)
            if changed is task:
                return task, False
            try:
                is_completed_now = changed.completed and not task.completed
                saved = self.tasks.save(changed, loaded=task, completes_alone=is_completed_now)
            except HasSubtasks:
                return attempt_in_unit()
            return saved, True

        def attempt_in_unit() -> tuple[Task, bool]:
            try:
                with self.unit_of_work() as work:
                    zone = zone_of(owner_id, work.users)
                    task = require_expected(work.tasks.get(task_id, owner_id=owner_id), expected)
                    locked = _locked_for(work.tasks, task, fields_of(task))
                    task = require_expected(locked.get(task_id), expected)
                    changed = task.edited(now=self.clock.now(), zone=zone, **fields_of(task))
                    if changed is task:
                        return task, False
                    return self.save(locked, task, changed, zone), True
            except IdTaken:
                if not self.begins_units:
                    raise
                raise StaleVersion from None  # the next attempt has another identifier

        attempts = EDIT_ATTEMPTS if self.begins_units else 1
        task, has_changed = retry_on_conflict(attempt, attempts=attempts)
        if has_changed:
            self.changes.publish(owner_id)
        return task


def _locked_for(tasks: TaskRepository, task: Task, fields: TaskFields) -> LockedTasks:
    """Lock a task for a change of these fields, and the other tasks that it may concern."""
    parent_id = fields.get("parent_id")
    return LockedTasks(
        *(tasks, task.owner_id),
        [task.id, *([] if parent_id is None else [parent_id])],
        families_of=[task.id] if "completed" in fields else (),
    )
