"""Tasks in memory."""

import operator
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from copy import replace
from datetime import datetime

from todo_adapters.in_memory.store import DeletedTask, InMemoryStore, TaskKey
from todo_core.entities.due_date import DueDate
from todo_core.entities.reminders import GRACE, Reminders
from todo_core.entities.tags import TagCount
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_changes import Change, FoundChanges
from todo_core.entities.task_query import Found, Position, TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.errors import (
    AccountGone,
    HasSubtasks,
    IdTaken,
    InvalidParent,
    QuotaExceeded,
    StaleVersion,
    TaskNotFound,
)
from todo_core.ports.repositories import UNLIMITED, TaskRepository


class InMemoryTaskRepository(TaskRepository):
    """Tasks in memory."""

    def __init__(self, store: InMemoryStore) -> None:
        self._store = store

    def add(self, task: Task, *, most: int = UNLIMITED) -> None:
        with self._store.lock:
            if task.owner_id not in self._store.users:
                raise AccountGone
            self._require_room(task.owner_id, most)
            if (task.owner_id, task.id) in self._store.tasks:
                raise IdTaken
            self._require_parent(task)
            self._put(task)
            self._set_next_reminder(task, task.remind_at)

    def page(
        self,
        owner_id: UserId,
        query: TaskQuery,
        *,
        limit: int,
        after: Position | None = None,
        offset: int = 0,
    ) -> Found:
        with self._store.lock:
            matching = self._matching(owner_id, query)
            revision = self._store.owner_revisions.get(owner_id, 0)
        if after is not None:
            place = after.sort_key(descending=query.descending)
            follows = operator.lt if query.descending else operator.gt
            matching = [
                each
                for each in matching
                if follows(each[0].sort_key(descending=query.descending), place)
            ]
        found = matching[offset : offset + limit]
        last = found[-1][0] if offset + limit < len(matching) else None
        return Found([task for _, task in found], revision if found else 0, last)

    def count(self, owner_id: UserId, query: TaskQuery) -> int:
        return len(self._matching(owner_id, query))

    def _matching(self, owner_id: UserId, query: TaskQuery) -> Sequence[tuple[Position, Task]]:
        """Return the tasks that match the query and their places, in its order."""
        with self._store.lock:
            tasks = self._trash() if query.deleted else self._living()
            matching = [
                (Position.of(task, query.order, revision=revision), task)
                for task, revision in tasks
                if task.owner_id == owner_id and query.includes(task)
            ]

        def place(each: tuple[Position, Task]) -> tuple[object, ...]:
            return each[0].sort_key(descending=query.descending)

        return sorted(matching, key=place, reverse=query.descending)

    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        with self._store.lock:
            task = self._store.tasks.get((owner_id, task_id))
        if task is None:
            raise TaskNotFound
        return task

    def save(
        self,
        task: Task,
        *,
        loaded: Task | None = None,  # noqa: ARG002 - it stores all fields
        completes_alone: bool = False,
    ) -> Task:
        with self._store.lock:
            open_subtasks = TaskQuery(parent_id=task.id, completed=False)
            if completes_alone and self.count(task.owner_id, open_subtasks):
                raise HasSubtasks
            stored = self._store.tasks.get((task.owner_id, task.id))
            if stored is None or stored.version != task.version:
                raise StaleVersion
            self._require_parent(task)
            saved = replace(
                task,
                due_date=_moved_since(task.due_date, stored.due_date),
                reminders=_reminders_moved_since(task, stored),
                created_at=stored.created_at,
                version=task.version + 1,
            )
            self._put(saved)
            if (saved.reminders, saved.completed) != (stored.reminders, stored.completed):
                self._set_next_reminder(saved, task.remind_at)
            return saved

    def lock(
        self, task_ids: Sequence[TaskId], *, owner_id: UserId, families_of: Sequence[TaskId] = ()
    ) -> Sequence[Task]:
        named, families = {*task_ids}, {*families_of}
        with self._store.lock:
            owned = [task for task in self._store.tasks.values() if task.owner_id == owner_id]
        for task in owned:
            if task.id in families and task.parent_id is not None:
                named.add(task.parent_id)
            if task.parent_id in families:
                named.add(task.id)
        return sorted((task for task in owned if task.id in named), key=lambda task: task.id)

    def remove(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        permanently: bool = False,
        version: int | None = None,
    ) -> None:
        key = owner_id, task_id
        with self._store.lock:
            stored = self._store.tasks.get((owner_id, task_id))
            if version is not None and (stored is None or stored.version != version):
                raise StaleVersion
            if stored is None:
                raise TaskNotFound
            if self.count(owner_id, TaskQuery(parent_id=task_id)):
                raise HasSubtasks
            self._delete(key)
            self._store.deleted_tasks[key] = DeletedTask(
                None if permanently else stored, self._next_revision(owner_id), expires_at
            )

    def restore(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        now: datetime,
        most: int,
        parent_id: TaskId | None = None,
    ) -> Task:
        with self._store.lock:
            task = self._in_trash(task_id, owner_id)
            self._require_room(owner_id, most)
            if (owner_id, task_id) in self._store.tasks:
                raise IdTaken
            restored = replace(task, parent_id=parent_id, version=task.version + 1, updated_at=now)
            self._require_parent(restored)
            del self._store.deleted_tasks[owner_id, task_id]
            self._put(restored)
            self._set_next_reminder(restored, restored.remind_at)
            return restored

    def get_in_trash(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        with self._store.lock:
            return self._in_trash(task_id, owner_id)

    def lock_in_trash(self, task_id: TaskId, *, owner_id: UserId) -> Sequence[Task]:
        with self._store.lock:
            task = self._in_trash(task_id, owner_id)
            expires_at = self._store.deleted_tasks[owner_id, task_id].expires_at
            subtasks = [
                deleted.task
                for _, deleted in sorted(self._store.deleted_tasks.items())
                if deleted.task is not None
                and deleted.task.owner_id == owner_id
                and deleted.task.parent_id == task_id
                and deleted.expires_at == expires_at
            ]
            return [task, *subtasks]

    def erase(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        version: int | None = None,
    ) -> None:
        with self._store.lock:
            try:
                task = self._in_trash(task_id, owner_id)
            except TaskNotFound:
                if version is None:
                    raise
                raise StaleVersion from None
            if version not in (None, task.version):
                raise StaleVersion
            self._erase((owner_id, task_id), expires_at)

    def erase_expired(self, *, now: datetime, expires_at: datetime, limit: int) -> int:
        with self._store.lock:
            expired = [
                key
                for key, deleted in self._store.deleted_tasks.items()
                if deleted.task is not None and deleted.expires_at < now
            ][:limit]
            for key in expired:
                self._erase(key, expires_at)
            return len(expired)

    def purge_tombstones(self, *, now: datetime, limit: int) -> int:
        with self._store.lock:
            expired = [
                key
                for key, deleted in self._store.deleted_tasks.items()
                if deleted.task is None and deleted.expires_at < now
            ][:limit]
            return self._purge(expired)

    def purge_excess(self, *, most: int, limit: int) -> int:
        with self._store.lock:
            for owner_id in self._store.users:
                keys = [key for key in self._store.deleted_tasks if key[0] == owner_id]
                if len(keys) > most:
                    keys.sort(key=lambda key: self._store.deleted_tasks[key].revision)
                    return self._purge(keys[: min(len(keys) - most, limit)])
            return 0

    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        with self._store.lock:
            removed = [key for key in self._store.tasks if key[0] == owner_id][:limit]
            for key in removed:
                self._delete(key)
            purged = [key for key in self._store.deleted_tasks if key[0] == owner_id]
            return len(removed) + self._purge(purged[: limit - len(removed)])

    def changes(self, owner_id: UserId, *, after: int | None, limit: int) -> FoundChanges:
        with self._store.lock:
            changed = [
                Change(task.id, self._store.task_revisions[owner_id, task.id], task)
                for _, task in self._matching(owner_id, TaskQuery())
            ]
            deleted = [
                Change(key[1], deleted.revision, None)
                for key, deleted in self._store.deleted_tasks.items()
                if key[0] == owner_id
            ]
            return FoundChanges(
                sorted(
                    (
                        change
                        for change in (*changed, *deleted)
                        if after is None or change.revision > after
                    ),
                    key=lambda change: change.revision,
                )[:limit],
                self._store.owner_revisions.get(owner_id, 0),
                self._store.purged_revisions.get(owner_id, 0),
            )

    def counts(self, owner_id: UserId) -> TaskCounts:
        with self._store.lock:
            owned = [task for task in self._store.tasks.values() if task.owner_id == owner_id]
            return TaskCounts(
                self._store.owner_revisions.get(owner_id, 0),
                total=len(owned),
                completed=sum(task.completed for task in owned),
            )

    def tag_counts(self, owner_id: UserId, *, limit: int) -> Sequence[TagCount]:
        names = defaultdict[str, list[str]](list)
        with self._store.lock:
            for task in self._store.tasks.values():
                if task.owner_id == owner_id:
                    for tag in task.tags:
                        names[tag.key].append(tag)
        by_count = sorted(names.items(), key=lambda each: (-len(each[1]), each[0]))
        return [TagCount(min(each), len(each)) for _, each in by_count[:limit]]

    def move_due_days(self, owner_id: UserId, zone: TimeZone, *, now: datetime) -> None:
        def moved(task: Task) -> Task:
            if task.due_date is None or task.due_date.day is None:
                return task
            due_date = task.due_date.in_zone(zone)
            reminders = task.reminders.for_due_date(due_date, zone)
            return replace(task, due_date=due_date, reminders=reminders)

        with self._store.lock:
            tasks, deleted_tasks = self._store.tasks, self._store.deleted_tasks
            for key in [key for key in tasks if key[0] == owner_id]:
                task = tasks[key]
                tasks[key] = moved(task)
                if tasks[key] is not task and task.reminders.has_relative:
                    self._set_next_reminder(task, tasks[key].next_reminder(now - GRACE))
            for key in [key for key in deleted_tasks if key[0] == owner_id]:
                deleted = deleted_tasks[key]
                if deleted.task is not None:
                    deleted_tasks[key] = replace(deleted, task=moved(deleted.task))
            if owner_id in self._store.owner_revisions:
                self._next_revision(owner_id)

    def revisions(self, owner_ids: Sequence[UserId]) -> Mapping[UserId, int]:
        with self._store.lock:
            return {owner: self._store.owner_revisions.get(owner, 0) for owner in owner_ids}

    def _require_room(self, owner_id: UserId, most: int) -> None:
        if self.counts(owner_id).total >= most:
            raise QuotaExceeded

    def _require_parent(self, task: Task) -> None:
        parent = task.owner_id, task.parent_id
        if task.parent_id is not None and parent not in self._store.tasks:
            raise InvalidParent

    def _living(self) -> Iterator[tuple[Task, int]]:
        return ((task, self._store.task_revisions[key]) for key, task in self._store.tasks.items())

    def _trash(self) -> Iterator[tuple[Task, int]]:
        return (
            (each.task, each.revision)
            for each in self._store.deleted_tasks.values()
            if each.task is not None
        )

    def _in_trash(self, task_id: TaskId, owner_id: UserId) -> Task:
        deleted = self._store.deleted_tasks.get((owner_id, task_id))
        if deleted is None or deleted.task is None:
            raise TaskNotFound
        return deleted.task

    def _erase(self, key: TaskKey, expires_at: datetime) -> None:
        revision = self._store.deleted_tasks[key].revision
        self._store.deleted_tasks[key] = DeletedTask(None, revision, expires_at)

    def _purge(self, keys: Sequence[TaskKey]) -> int:
        purged = self._store.purged_revisions
        for key in keys:
            revision = self._store.deleted_tasks.pop(key).revision
            purged[key[0]] = max(revision, purged.get(key[0], 0))
        return len(keys)

    def _put(self, task: Task) -> None:
        key = task.owner_id, task.id
        self._store.tasks[key] = task
        self._store.task_revisions[key] = self._next_revision(task.owner_id)

    def _set_next_reminder(self, task: Task, moment: datetime | None) -> None:
        key = task.owner_id, task.id
        self._store.next_reminders.pop(key, None)
        if moment is not None:
            self._store.next_reminders[key] = moment

    def _delete(self, key: TaskKey) -> None:
        self._store.next_reminders.pop(key, None)
        del self._store.tasks[key]
        del self._store.task_revisions[key]

    def _next_revision(self, owner_id: UserId) -> int:
        revision = self._store.owner_revisions.get(owner_id, 0) + 1
        self._store.owner_revisions[owner_id] = revision
        return revision


def _moved_since(due_date: DueDate | None, stored: DueDate | None) -> DueDate | None:
    """Return the due date, or the stored one if that is the same day, which may end later by now.

    The owner may have moved to another time zone since the task was loaded.
    """
    if due_date is None or stored is None or due_date.day is None:
        return due_date
    return stored if stored.day == due_date.day else due_date


def _reminders_moved_since(task: Task, stored: Task) -> Reminders:
    """Return the reminders, or the stored ones if these are the same and count from the same day.

    As in `_moved_since`, they may have other moments by now.
    """
    due_date, before = task.due_date, stored.due_date
    if due_date is None or before is None or due_date.day is None or due_date.day != before.day:
        return task.reminders
    return stored.reminders if stored.reminders.are_like(task.reminders) else task.reminders
