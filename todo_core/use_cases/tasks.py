"""What users do with their tasks. Each request about tasks counts against the user's limit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

from todo_core.entities.tags import TagCount
from todo_core.entities.task import (
    NewTaskFields,
    Task,
    TaskCounts,
    TaskFields,
    TaskId,
    need_zone,
    parsed,
)
from todo_core.entities.task_query import ALL_TASKS, Position, TaskPage, TaskQuery
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import IdTaken, StaleVersion
from todo_core.ports.changes import ChangePublisher
from todo_core.ports.clock import Clock
from todo_core.ports.cursors import Cursors
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import TaskRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.editing import ChangeTask
from todo_core.use_cases.locked_tasks import LockedTasks
from todo_core.use_cases.time_zones import LocateQuery, zone_of

CREATION_ATTEMPTS = 3
"""How often a new task is stored, with another identifier. A second one is almost never needed."""

LONGEST_PAGE = 500
"""How many tasks a page has at most."""

MOST_TAGS = 1000
"""How many tags are listed at most."""


@dataclass(frozen=True, slots=True)
class CreateTask:
    """Create a task, which is not completed yet.

    Raises:
        ValidationFailed: naming every field that breaks its rules.
        InvalidParent: if it cannot be a subtask of its parent.
        QuotaExceeded: if the owner has `max_tasks` tasks.
        AccountGone: if the owner was deleted.
        IdTaken: if each of the `attempts` to choose an identifier met one in use.
        StaleVersion: if at each attempt other requests changed the parent.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    unit_of_work: BeginUnitOfWork
    limiter: RateLimiter
    identifiers: Identifiers
    changes: ChangePublisher
    clock: Clock
    max_tasks: int
    attempts: int = CREATION_ATTEMPTS

    def __call__(self, *, owner_id: UserId, **fields: Unpack[NewTaskFields]) -> Task:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        for remaining in reversed(range(self.attempts)):
            try:
                task = self._attempt(owner_id, fields)
                break
            except (IdTaken, StaleVersion):
                if not remaining:
                    raise
        self.changes.publish(owner_id)
        return task

    def _attempt(self, owner_id: UserId, fields: NewTaskFields) -> Task:
        parent_id = fields.get("parent_id")
        if parent_id is None and not need_zone(fields):
            return self._add(self.tasks, owner_id, DEFAULT_TIME_ZONE, fields)
        with self.unit_of_work() as work:
            zone = zone_of(owner_id, work.users)
            if parent_id is not None:
                parsed(fields, zone)  # so that all that is wrong is reported, and then the parent
                LockedTasks(work.tasks, owner_id, [parent_id]).require_parent(parent_id)
            return self._add(work.tasks, owner_id, zone, fields)

    def _add(
        self, tasks: TaskRepository, owner_id: UserId, zone: TimeZone, fields: NewTaskFields
    ) -> Task:
        now = self.clock.now()
        [task_id] = self.identifiers.task_ids(owner_id, 1, created_at=now)
        task = Task.create(id=task_id, owner_id=owner_id, now=now, zone=zone, **fields)
        tasks.add(task, most=self.max_tasks)
        return task


@dataclass(frozen=True, slots=True)
class ListTasks:
    """List a page of the owner's tasks.

    A page begins at the start, after `offset` tasks, or where the page that issued the `cursor`
    ended. With cursors, each task that keeps its position is listed once, even if others are
    created or deleted in the meantime. The total is counted if `counts` is true. If the owner's
    revision is one of those that the client has (`known`), the page is unchanged and empty.

    Raises:
        InvalidCursor: if the cursor is not one of this query and this owner.
        AccountGone: if times in the owner's time zone are asked for, and the owner was deleted.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    cursors: Cursors
    limiter: RateLimiter
    locate: LocateQuery

    def __call__(
        self,
        *,
        owner_id: UserId,
        query: TaskQuery = ALL_TASKS,
        limit: int = LONGEST_PAGE,
        cursor: str | None = None,
        offset: int = 0,
        counts: bool = False,
        known: Collection[int] = (),
    ) -> TaskPage:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        if known and (revision := self.tasks.counts(owner_id).revision) in known:
            return TaskPage([], revision, is_unchanged=True)
        after = None if cursor is None else self._position(cursor, owner_id, query)
        located = self.locate(owner_id, query)
        found = self.tasks.page(owner_id, located, limit=limit, after=after, offset=offset)
        total = self._total(owner_id, located) if counts else None
        following = None if found.last is None else self._cursor(found.last, owner_id, query)
        return TaskPage(found.tasks, found.revision, following, total)

    def _cursor(self, last: Position, owner_id: UserId, query: TaskQuery) -> str:
        return self.cursors.issue(str(last), scope=_list_scope(owner_id, query))

    def _position(self, cursor: str, owner_id: UserId, query: TaskQuery) -> Position:
        written = self.cursors.read(cursor, scope=_list_scope(owner_id, query))
        return Position.parse(written, query.order)

    def _total(self, owner_id: UserId, query: TaskQuery) -> int:
        if not query.has_only_status:
            return self.tasks.count(owner_id, query)
        counts = self.tasks.counts(owner_id)
        if query.completed is None:
            return counts.total
        return counts.completed if query.completed else counts.pending


def _list_scope(owner_id: UserId, query: TaskQuery) -> str:
    return f"list {owner_id} {query.fingerprint}"


@dataclass(frozen=True, slots=True)
class CountTasks:
    """Return how many tasks the owner has, and how many of them are overdue.

    Raises:
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    limiter: RateLimiter
    clock: Clock

    def __call__(self, *, owner_id: UserId) -> TaskCounts:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        overdue = TaskQuery(overdue=True, now=self.clock.now())
        return replace(self.tasks.counts(owner_id), overdue=self.tasks.count(owner_id, overdue))


@dataclass(frozen=True, slots=True)
class ListTags:
    """Return the owner's tags, those of most tasks first: at most `MOST_TAGS`.

    Raises:
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    limiter: RateLimiter

    def __call__(self, *, owner_id: UserId) -> Sequence[TagCount]:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.tasks.tag_counts(owner_id, limit=MOST_TAGS)


@dataclass(frozen=True, slots=True)
class GetTask:
    """Return one of the owner's tasks.

    Raises:
        TaskNotFound: if the owner has no such task, even if another user has.
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    limiter: RateLimiter

    def __call__(self, *, owner_id: UserId, task_id: TaskId) -> Task:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.tasks.get(task_id, owner_id=owner_id)


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """Change fields of one of the owner's tasks. Fields that are not given keep their value.

    Concurrent changes of different fields all take effect. A caller who wants to exclude other
    changes gives the `expected` versions, of which the task must have one. Completing a task
    completes its subtasks, and creates the next one if it repeats (see
    `todo_core.use_cases.editing.SaveTask`).

    Raises:
        TaskNotFound: if the owner has no such task, even if another user has.
        PreconditionFailed: if the task has none of the expected versions.
        ValidationFailed: naming every field that breaks its rules.
        InvalidParent: if the task cannot be a subtask of its new parent.
        QuotaExceeded: if there is no room for the next task of one that repeats.
        EditConflict: if the task keeps being changed at the same time.
        RateLimited: after too many requests of this user about tasks.
    """

    change: ChangeTask
    limiter: RateLimiter

    def __call__(
        self,
        *,
        owner_id: UserId,
        task_id: TaskId,
        expected: Collection[int] | None = None,
        **fields: Unpack[TaskFields],
    ) -> Task:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.change(owner_id, task_id, lambda _: fields, expected)


@dataclass(frozen=True, slots=True)
class ToggleCompletion:
    """Set whether one of the owner's tasks is completed, or invert it if `completed` is None.

    Concurrent inversions each take effect, one after the other. `expected` is as in `UpdateTask`.

    Raises:
        TaskNotFound, PreconditionFailed, EditConflict, RateLimited: as `UpdateTask` does.
        QuotaExceeded: as `UpdateTask` does.
    """

    change: ChangeTask
    limiter: RateLimiter

    def __call__(
        self,
        *,
        owner_id: UserId,
        task_id: TaskId,
        completed: bool | None = None,
        expected: Collection[int] | None = None,
    ) -> Task:
        def toggled(task: Task) -> TaskFields:
            return {"completed": not task.completed if completed is None else completed}

        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.change(owner_id, task_id, toggled, expected)
