"""Tasks in SQL. Every statement on an existing task has the owner in its WHERE clause."""

import json
from collections.abc import Mapping, Sequence
from copy import replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, FromClause, Select, Table
from sqlmodel import (
    JSON,
    Boolean,
    String,
    Uuid,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    select,
    text,
    update,
)

from todo_adapters.sql import trash
from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.day_reminders import move_day_reminders
from todo_adapters.sql.errors import ConstraintErrors
from todo_adapters.sql.revisions import (
    HAS_ROOM,
    ONE,
    OPEN_OWNER,
    OWNER_ROW,
    ZERO,
    Advance,
    RevisedWrite,
    advance_owner,
    one_if,
)
from todo_adapters.sql.statements import AnyRow, Parameters, Query
from todo_adapters.sql.tables import (
    DELETED_TASKS,
    TASK_OWNERS,
    TASKS,
    DeletedTaskRow,
    TaskOwnerRow,
    TaskRow,
    UtcDateTime,
)
from todo_adapters.sql.tags import TAG_COUNTS
from todo_adapters.sql.task_changes import BEFORE_ALL, changes_statement
from todo_adapters.sql.task_lists import (
    Continues,
    can_divide,
    can_look_first,
    count_parameters,
    count_statement,
    first_look_parameters,
    first_look_statement,
    page_parameters,
    page_statement,
)
from todo_adapters.sql.task_rows import (
    EDITED_VALUES,
    NEW_VALUES,
    PLAIN_FIELDS,
    PLAIN_VALUES,
    STATE_FIELDS,
    STATE_VALUES,
    TASK_COLUMNS,
    edited_parameters,
    new_parameters,
    plain_parameters,
    state_parameters,
    to_task,
)
from todo_adapters.sql.users import LOCK_TIME_ZONE
from todo_core.entities.tags import TagCount
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_changes import Change, FoundChanges
from todo_core.entities.task_query import Found, Position, TaskOrder, TaskQuery
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

_OWNED = TASKS.c.owner_id == bindparam("owner")
_THIS_ONE = TASKS.c.id == bindparam("task_id")
_AS_LOADED = TASKS.c.version == bindparam("loaded_version")

_SELECT_OWNED = select(TaskRow).with_only_columns(*TASK_COLUMNS).where(_OWNED)
GET = _SELECT_OWNED.where(_THIS_ONE)
# The SQL must not depend on the number of ids. Both databases know this function; its other
# columns are in the way of a table-valued function of SQLAlchemy, so that it is text.
NAMED_IDS = text("SELECT CAST(key AS BIGINT) FROM json_each(:task_ids)").bindparams(
    bindparam("task_ids", type_=JSON)
)
LOCK = _SELECT_OWNED.where(TASKS.c.id.in_(NAMED_IDS)).order_by(TASKS.c.id).with_for_update()
_NAMED_FAMILIES = text(
    "SELECT CAST(key AS BIGINT) FROM json_each(:task_ids)"
    " UNION ALL SELECT id FROM tasks WHERE owner_id = :owner"
    " AND parent_id IN (SELECT CAST(key AS BIGINT) FROM json_each(:families))"
    " UNION ALL SELECT parent_id FROM tasks WHERE owner_id = :owner"
    " AND id IN (SELECT CAST(key AS BIGINT) FROM json_each(:families))"
).bindparams(
    bindparam("task_ids", type_=JSON),
    bindparam("families", type_=JSON),
    bindparam("owner", type_=Uuid),
)
LOCK_FAMILIES = (
    _SELECT_OWNED.where(TASKS.c.id.in_(_NAMED_FAMILIES)).order_by(TASKS.c.id).with_for_update()
)
_SUBTASKS = TASKS.alias("subtasks")
# Parents are deleted after their subtasks.
_HAS_SUBTASKS = exists(
    select(_SUBTASKS.c.id).where(
        _SUBTASKS.c.owner_id == bindparam("owner"), _SUBTASKS.c.parent_id == TASKS.c.id
    )
)
REMOVE_BATCH = delete(TASKS).where(
    _OWNED,
    TASKS.c.id.in_(
        select(TaskRow)
        .with_only_columns(TASKS.c.id)
        .where(_OWNED, ~_HAS_SUBTASKS)
        .limit(bindparam("limit"))
    ),
)


_ADDED = advance_owner(
    total=TASK_OWNERS.c.total + ONE,
    completed=TASK_OWNERS.c.completed + one_if(bindparam("new_completed", type_=Boolean)),
).where(HAS_ROOM)
ADD = RevisedWrite(
    Advance(_ADDED, _ADDED),
    lambda revision, advanced: insert(TASKS).from_select(
        [*NEW_VALUES, TASKS.c.revision],
        select(*NEW_VALUES.values(), revision).where(advanced),  # type: ignore[call-overload]  # it knows four columns
    ),
)


def _recounted(loaded: FromClause) -> ColumnElement[int]:
    """Return how many tasks of the owner are completed after a save."""
    before = select(one_if(loaded.c.completed)).scalar_subquery()
    return TASK_OWNERS.c.completed + one_if(bindparam("new_completed", type_=Boolean)) - before


def _save(
    values: Mapping[str, ColumnElement[Any]], *conditions: ColumnElement[bool]
) -> RevisedWrite:
    """Return the write of a changed task, of which only these values are written."""
    recounts = "completed" in values
    return RevisedWrite(
        Advance.for_task(
            select(TASKS.c.completed).where(_OWNED, _THIS_ONE, _AS_LOADED, *conditions),
            lambda loaded: advance_owner(
                **({"completed": _recounted(loaded)} if recounts else {})
            ).where(exists(select(loaded.c.completed))),
        ),
        lambda revision, advanced: (
            update(TASKS)
            .where(_OWNED, _THIS_ONE, _AS_LOADED, advanced)
            .values(
                **values,
                version=TASKS.c.version + ONE,
                revision=revision,
            )
        ),
    )


_IS_ALONE = ~exists(
    select(_SUBTASKS.c.id).where(
        _SUBTASKS.c.owner_id == bindparam("owner"),
        _SUBTASKS.c.parent_id == bindparam("task_id"),
        _SUBTASKS.c.completed == false(),
    )
)
SAVE, SAVE_ALONE = _save(EDITED_VALUES), _save(EDITED_VALUES, _IS_ALONE)
# SQLite updates each index of a column that is written, even if its value stays the same.
SAVE_PLAIN = _save(PLAIN_VALUES)
SAVE_STATE, SAVE_STATE_ALONE = _save(STATE_VALUES), _save(STATE_VALUES, _IS_ALONE)


_COUNT = (
    select(TaskOwnerRow)
    .with_only_columns(TASK_OWNERS.c.revision, TASK_OWNERS.c.total, TASK_OWNERS.c.completed)
    .where(OWNER_ROW)
)
_COUNT_TASKS = (
    select(TaskRow)
    .with_only_columns(ZERO, func.count(), func.count(case((TASKS.c.completed, ONE))))
    .where(_OWNED)
)


def _revisions_of(owners: Select[tuple[UUID]]) -> Query:
    return (
        select(TaskOwnerRow)
        .with_only_columns(TASK_OWNERS.c.owner_id, TASK_OWNERS.c.revision)
        .where(TASK_OWNERS.c.owner_id.in_(owners))
    )


_in_json = func.json_each(bindparam("owners", type_=String)).table_valued("value")
REVISIONS = {
    "array": _revisions_of(select(func.unnest(bindparam("owners", type_=ARRAY(Uuid))))),
    "json": _revisions_of(select(_in_json.c.value)),
}
"""The revisions of several owners, by how a database takes them: see `has_arrays`."""


def _owned_in(table: Table) -> ColumnElement[bool]:
    return table.c.owner_id == bindparam("owner")


_WITH_TRASH = ((TASKS, TaskRow), (DELETED_TASKS, DeletedTaskRow))
# The tasks are locked in the order of their ids, like those of a bulk, and before the owner's row.
LOCK_DUE_DAYS = tuple(
    select(row)
    .with_only_columns(table.c.id, table.c.due_on)
    .where(_owned_in(table), table.c.due_on.is_not(None))
    .order_by(table.c.id)
    .with_for_update()
    for table, row in _WITH_TRASH
)
# By the id: there is no index of the days, so that a statement for each day would read all tasks.
MOVE_DUE_DAYS = tuple(
    update(table)
    .where(_owned_in(table), table.c.id == bindparam("task_id"))
    .values(due_at=bindparam("new_due_at", type_=UtcDateTime))
    for table, _ in _WITH_TRASH
)
ADVANCE_OWNER = advance_owner().where(TASK_OWNERS.c.revision > ZERO)

_CONSTRAINT_ERRORS = {
    "pk_tasks": IdTaken,
    # For SQLite the first one of these is violated: the owner has a row in `task_owners` by then.
    "fk_tasks_parent_id_tasks": InvalidParent,
    "fk_tasks_owner_id_users": AccountGone,
}
_NO_ACCOUNT = {"fk_task_owners_owner_id_users": AccountGone}
_STILL_PARENT = {"fk_tasks_parent_id_tasks": HasSubtasks}


def _write_of(
    task: Task, loaded: Task | None, *, completes_alone: bool
) -> tuple[RevisedWrite, Parameters]:
    """Return the write of a changed task that suffices for what differs, and its values."""
    different = set(Task._fields) if loaded is None else task.fields_unlike(loaded)
    if different <= PLAIN_FIELDS:
        return SAVE_PLAIN, plain_parameters(task)
    if different <= STATE_FIELDS:
        return (SAVE_STATE_ALONE if completes_alone else SAVE_STATE), state_parameters(task)
    return (SAVE_ALONE if completes_alone else SAVE), edited_parameters(task)


class SqlTaskRepository(TaskRepository):
    """Tasks in the table `tasks`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, task: Task, *, most: int = UNLIMITED) -> None:
        if not self._write(ADD, {**new_parameters(task), "most": most}):
            self._raise_no_room(task.owner_id)

    def _raise_no_room(self, owner_id: UserId) -> NoReturn:
        has_row = self._executor.row(_COUNT, {"owner": owner_id}) is not None
        raise QuotaExceeded if has_row else AccountGone

    def page(
        self,
        owner_id: UserId,
        query: TaskQuery,
        *,
        limit: int,
        after: Position | None = None,
        offset: int = 0,
    ) -> Found:
        if query.order is TaskOrder.DUE_DATE and can_divide(query, offset=offset):
            return self._by_due_date(owner_id, query, limit=limit, after=after)
        return self._page(owner_id, query, limit=limit, after=after, offset=offset)

    def _by_due_date(
        self, owner_id: UserId, query: TaskQuery, *, limit: int, after: Position | None
    ) -> Found:
        """Return a page of the tasks with a due date, which an index has in order, then of others.

        A task that gains or loses its due date between the two queries may be missing, or be on
        the page twice.
        """
        dated = Found([], 0, None)
        if after is None or after.value is not None:
            dated = self._page(owner_id, replace(query, has_due=True), limit=limit, after=after)
            if dated.last is not None:
                return dated
            after = None
        rest = limit - len(dated.tasks)
        others = self._page(owner_id, replace(query, has_due=False), limit=rest, after=after)
        last = others.last
        if last is not None and not rest:
            last = Position.of(dated.tasks[-1], query.order, revision=0)
        return Found([*dated.tasks, *others.tasks], dated.revision or others.revision, last)

    def _page(
        self,
        owner_id: UserId,
        query: TaskQuery,
        *,
        limit: int,
        after: Position | None = None,
        offset: int = 0,
    ) -> Found:
        continues, limits_parts = Continues.after(after), self._executor.dialect.limits_parts
        read = limit + 1  # the additional one tells whether more tasks follow
        if can_look_first(query, offset=offset):
            found = self._found(
                owner_id,
                query,
                first_look_statement(query, continues=continues, limits_parts=limits_parts),
                first_look_parameters(owner_id, query, limit=read, after=after),
                limit,
            )
            if found.last is not None:
                return found
        return self._found(
            owner_id,
            query,
            page_statement(query, continues=continues, skips=offset > 0, limits_parts=limits_parts),
            page_parameters(owner_id, query, limit=read, after=after, offset=offset),
            limit,
        )

    def _found(
        self,
        owner_id: UserId,
        query: TaskQuery,
        statement: Query,
        parameters: Parameters,
        limit: int,
    ) -> Found:
        is_by_change = query.order is TaskOrder.UPDATED_AT
        owner_revision = 0
        revisions: list[int] = []

        def of_owner(row: AnyRow) -> Task:
            nonlocal owner_revision
            *fields, revision = row
            owner_revision = revision or 0  # of an owner who has no row yet, it is null
            if is_by_change:
                revisions.append(fields.pop())
            return to_task(fields, owner_id)

        tasks = self._executor.entities(statement, parameters, of_owner)
        if len(tasks) <= limit:
            return Found(tasks, owner_revision, None)
        revision = revisions[limit - 1] if is_by_change else 0
        last = Position.of(tasks[limit - 1], query.order, revision=revision)
        return Found(tasks[:limit], owner_revision, last)

    def count(self, owner_id: UserId, query: TaskQuery) -> int:
        parameters = count_parameters(owner_id, query)
        [count] = self._executor.values(count_statement(query), parameters)
        return int(count)

    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        row = self._executor.row(GET, {"owner": owner_id, "task_id": task_id})
        if row is None:
            raise TaskNotFound
        return to_task(row, owner_id)

    def save(
        self, task: Task, *, loaded: Task | None = None, completes_alone: bool = False
    ) -> Task:
        write, values = _write_of(task, loaded, completes_alone=completes_alone)
        saved = self._change(
            write,
            {
                **values,
                "owner": task.owner_id,
                "task_id": task.id,
                "loaded_version": task.version,
            },
        )
        if not saved:
            open_subtasks = TaskQuery(parent_id=task.id, completed=False)
            if completes_alone and self.count(task.owner_id, open_subtasks):
                raise HasSubtasks
            raise StaleVersion
        return replace(task, version=task.version + 1)

    def lock(
        self, task_ids: Sequence[TaskId], *, owner_id: UserId, families_of: Sequence[TaskId] = ()
    ) -> Sequence[Task]:
        # Sorted by id, PostgreSQL locks them in this order. SQLite has locked the database.
        named = {"owner": owner_id, "task_ids": dict.fromkeys(map(str, task_ids))}
        of_owner = partial(to_task, owner_id=owner_id)
        if not families_of:
            return self._executor.entities(LOCK, named, of_owner)
        families = {**named, "families": dict.fromkeys(map(str, families_of))}
        return self._executor.entities(LOCK_FAMILIES, families, of_owner)

    def remove(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        permanently: bool = False,
        version: int | None = None,
    ) -> None:
        this_one = {
            "owner": owner_id,
            "task_id": task_id,
            "expires_at": expires_at,
            "permanently": permanently,
        }
        write = trash.REMOVE
        if version is not None:
            write, this_one = trash.REMOVE_LOADED, {**this_one, "loaded_version": version}
        if self._change(write, this_one, _STILL_PARENT):
            return
        if self.count(owner_id, TaskQuery(parent_id=task_id)):
            stored = self._executor.row(GET, {"owner": owner_id, "task_id": task_id})
            if stored is not None and version in (None, to_task(stored, owner_id).version):
                raise HasSubtasks
        raise TaskNotFound if version is None else StaleVersion

    def restore(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        now: datetime,
        most: int,
        parent_id: TaskId | None = None,
    ) -> Task:
        this_one = {"owner": owner_id, "task_id": task_id}
        with self._executor.atomically() as executor:
            # Otherwise `move_due_days` could look for the task where it is not any more.
            executor.rows(LOCK_TIME_ZONE, {"user_id": owner_id})
            row = executor.row(trash.LOCK_IN_TRASH, this_one)
            if row is None:
                raise TaskNotFound
            task = to_task(row, owner_id)
            restored = replace(task, parent_id=parent_id, version=task.version + 1, updated_at=now)
            parameters = {
                **this_one,
                "new_updated_at": now,
                "new_parent_id": parent_id,
                "new_remind_at": restored.remind_at,
                "most": most,
            }
            if not executor.write_revised(trash.RESTORE, parameters, _CONSTRAINT_ERRORS):
                self._raise_no_room(owner_id)
        return restored

    def get_in_trash(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        row = self._executor.row(trash.GET_IN_TRASH, {"owner": owner_id, "task_id": task_id})
        if row is None:
            raise TaskNotFound
        return to_task(row, owner_id)

    def lock_in_trash(self, task_id: TaskId, *, owner_id: UserId) -> Sequence[Task]:
        this_one = {"owner": owner_id, "task_id": task_id}
        of_owner = partial(to_task, owner_id=owner_id)
        found = self._executor.entities(trash.LOCK_FAMILY_IN_TRASH, this_one, of_owner)
        family = sorted(found, key=lambda task: (task.id != task_id, task.id))
        if not family or family[0].id != task_id:
            raise TaskNotFound
        return family

    def erase(
        self,
        task_id: TaskId,
        *,
        owner_id: UserId,
        expires_at: datetime,
        version: int | None = None,
    ) -> None:
        this_one = {"owner": owner_id, "task_id": task_id, "new_expires_at": expires_at}
        if version is not None:
            if not self._executor.write(
                trash.ERASE_LOADED, {**this_one, "loaded_version": version}
            ):
                raise StaleVersion
        elif not self._executor.write(trash.ERASE, this_one):
            raise TaskNotFound

    def erase_expired(self, *, now: datetime, expires_at: datetime, limit: int) -> int:
        with self._executor.atomically() as executor:
            expired = executor.rows(trash.EXPIRED_IN_TRASH, {"now": now, "limit": limit})
            erased = [
                {"owner": owner_id, "task_id": task_id, "new_expires_at": expires_at}
                for owner_id, task_id, _ in expired
            ]
            if erased:
                executor.write_many(trash.ERASE, erased)
        return len(erased)

    def purge_tombstones(self, *, now: datetime, limit: int) -> int:
        with self._executor.atomically() as executor:
            return trash.purge(
                executor, executor.rows(trash.EXPIRED_TOMBSTONES, {"now": now, "limit": limit})
            )

    def purge_excess(self, *, most: int, limit: int) -> int:
        with self._executor.atomically() as executor:
            for owner_id, deleted in executor.rows(trash.WITH_EXCESS, {"kept": most}):
                oldest = {"owner": owner_id, "limit": min(deleted - most, limit)}
                return trash.purge(executor, executor.rows(trash.OLDEST_DELETED, oldest))
        return 0

    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        removed = self._executor.write(REMOVE_BATCH, {"owner": owner_id, "limit": limit})
        if removed < limit:
            removed += self._executor.write(
                trash.REMOVE_DELETED_BATCH, {"owner": owner_id, "limit": limit - removed}
            )
        return removed

    def changes(self, owner_id: UserId, *, after: int | None, limit: int) -> FoundChanges:
        parameters = {
            "owner": owner_id,
            "after": BEFORE_ALL if after is None else after,
            "limit": limit,
        }
        rows = self._executor.rows(
            changes_statement(limits_parts=self._executor.dialect.limits_parts), parameters
        )
        revision, purged = rows[0][:2]
        return FoundChanges(
            [
                Change(row[4], row[2], None if row[3] else to_task(row[4:], owner_id))
                for row in rows
                if row[2] is not None
            ],
            revision,
            purged,
        )

    def counts(self, owner_id: UserId) -> TaskCounts:
        row = self._executor.row(_COUNT, {"owner": owner_id})
        if row is None:
            # They have not written a task since owners have rows, so theirs are few or old.
            [row] = self._executor.rows(_COUNT_TASKS, {"owner": owner_id})
        return TaskCounts(*row)

    def tag_counts(self, owner_id: UserId, *, limit: int) -> Sequence[TagCount]:
        kind = "array" if self._executor.dialect.has_arrays else "json"
        rows = self._executor.rows(TAG_COUNTS[kind], {"owner": owner_id, "limit": limit})
        return [TagCount(name, count) for name, count in rows]

    def move_due_days(self, owner_id: UserId, zone: TimeZone, *, now: datetime) -> None:
        with self._executor.atomically() as executor:
            for lock, move in zip(LOCK_DUE_DAYS, MOVE_DUE_DAYS, strict=True):
                due = executor.rows(lock, {"owner": owner_id})
                ends = {day: zone.end_of(day) for day in {day for _, day in due}}
                moved = [
                    {"owner": owner_id, "task_id": task_id, "new_due_at": ends[day]}
                    for task_id, day in due
                ]
                if moved:
                    executor.write_many(move, moved)
            move_day_reminders(executor, owner_id, zone, now=now)
            executor.write(ADVANCE_OWNER, {"owner": owner_id})

    def revisions(self, owner_ids: Sequence[UserId]) -> Mapping[UserId, int]:
        if self._executor.dialect.has_arrays:
            rows = self._executor.rows(REVISIONS["array"], {"owners": list(owner_ids)})
        else:
            owners = json.dumps([owner.hex for owner in owner_ids])  # as SQLite stores them
            rows = self._executor.rows(REVISIONS["json"], {"owners": owners})
        return dict.fromkeys(owner_ids, 0) | dict(map(tuple, rows))

    def _change(
        self,
        write: RevisedWrite,
        parameters: Parameters,
        errors: ConstraintErrors = _CONSTRAINT_ERRORS,
    ) -> int:
        """Run the write of an existing task, of which an owner without an account has none."""
        try:
            return self._write(write, parameters, errors)
        except AccountGone:
            return 0

    def _write(
        self,
        write: RevisedWrite,
        parameters: Parameters,
        errors: ConstraintErrors = _CONSTRAINT_ERRORS,
    ) -> int:
        """Run the write, and add the owner's row if it is missing."""
        written = self._executor.write_revised(write, parameters, errors)
        if not written:
            # If another transaction adds the row at the same time, this one waits for it.
            self._executor.write(OPEN_OWNER, parameters, _NO_ACCOUNT)
            written = self._executor.write_revised(write, parameters, errors)
        return written
