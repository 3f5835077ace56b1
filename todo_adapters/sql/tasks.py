"""Tasks in SQL. Every statement on an existing task has the owner in its WHERE clause."""

from dataclasses import replace

from sqlalchemy import ColumnElement
from sqlmodel import (
    Boolean,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.revisions import (
    ONE,
    OPEN_OWNER,
    OWNER_ROW,
    ZERO,
    RevisedWrite,
    advance_owner,
)
from todo_adapters.sql.rows import plain_text
from todo_adapters.sql.statements import AnyRow, Parameters
from todo_adapters.sql.tables import TASK_OWNERS, TASKS, TaskOwnerRow, TaskRow
from todo_adapters.sql.task_lists import (
    TASK_COLUMNS,
    count_parameters,
    count_statement,
    page_parameters,
    page_statement,
)
from todo_core.entities.task import Description, Task, TaskCounts, TaskId, Title
from todo_core.entities.task_query import Found, Position, TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, IdTaken, StaleVersion, TaskNotFound
from todo_core.ports.repositories import TaskRepository

_OWNED = TASKS.c.owner_id == bindparam("owner")
_THIS_ONE = TASKS.c.id == bindparam("task_id")
_AS_LOADED = TASKS.c.version == bindparam("loaded_version")

_NEW_VALUES = {
    TASKS.c.owner_id: bindparam("owner", type_=TASKS.c.owner_id.type),
    **{column: bindparam(f"new_{column.name}", type_=column.type) for column in TASK_COLUMNS},
}
GET = select(TaskRow).with_only_columns(*TASK_COLUMNS).where(_OWNED, _THIS_ONE)
REMOVE_BATCH = delete(TASKS).where(
    _OWNED,
    TASKS.c.id.in_(
        select(TaskRow).with_only_columns(TASKS.c.id).where(_OWNED).limit(bindparam("limit"))
    ),
)


def _count(completed: ColumnElement[bool]) -> ColumnElement[int]:
    return case((completed, ONE), else_=ZERO)


ADD = RevisedWrite(
    advance_owner(
        total=TASK_OWNERS.c.total + ONE,
        completed=TASK_OWNERS.c.completed + _count(bindparam("new_completed", type_=Boolean)),
    ),
    lambda revision, advanced: insert(TASKS).from_select(
        [*_NEW_VALUES, TASKS.c.revision],
        select(*_NEW_VALUES.values(), revision).where(advanced),  # type: ignore[call-overload]  # it knows four columns
    ),
)
_loaded = (
    select(TASKS.c.completed).where(_OWNED, _THIS_ONE, _AS_LOADED).with_for_update().cte("loaded")
)
SAVE = RevisedWrite(
    advance_owner(
        completed=TASK_OWNERS.c.completed
        + _count(bindparam("new_completed", type_=Boolean))
        - select(_count(_loaded.c.completed)).scalar_subquery(),
    ).where(exists(select(_loaded.c.completed))),
    lambda revision, advanced: (
        update(TASKS)
        .where(_OWNED, _THIS_ONE, _AS_LOADED, advanced)
        .values(
            title=bindparam("new_title"),
            description=bindparam("new_description"),
            completed=bindparam("new_completed"),
            updated_at=bindparam("new_updated_at"),
            version=TASKS.c.version + ONE,
            revision=revision,
        )
    ),
)
_existing = select(TASKS.c.completed).where(_OWNED, _THIS_ONE).with_for_update().cte("existing")
REMOVE = RevisedWrite(
    advance_owner(
        total=TASK_OWNERS.c.total - ONE,
        completed=TASK_OWNERS.c.completed - select(_count(_existing.c.completed)).scalar_subquery(),
    ).where(exists(select(_existing.c.completed))),
    lambda _, advanced: delete(TASKS).where(_OWNED, _THIS_ONE, advanced),
)
REMOVE_LOADED = RevisedWrite(
    advance_owner(
        total=TASK_OWNERS.c.total - ONE,
        completed=TASK_OWNERS.c.completed - select(_count(_loaded.c.completed)).scalar_subquery(),
    ).where(exists(select(_loaded.c.completed))),
    lambda _, advanced: delete(TASKS).where(_OWNED, _THIS_ONE, _AS_LOADED, advanced),
)
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
_CONSTRAINT_ERRORS = {
    "pk_tasks": IdTaken,
    "fk_tasks_owner_id_users": AccountGone,
    "fk_task_owners_owner_id_users": AccountGone,
}


class SqlTaskRepository(TaskRepository):
    """Tasks in the table `tasks`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, task: Task) -> None:
        if not self._write(ADD, _to_row(task)):
            raise AccountGone

    def page(
        self,
        owner_id: UserId,
        query: TaskQuery,
        *,
        limit: int,
        after: Position | None = None,
        offset: int = 0,
    ) -> Found:
        statement = page_statement(
            query,
            continues=after is not None,
            skips=offset > 0,
            limits_parts=self._executor.dialect.limits_parts,
        )
        parameters = page_parameters(owner_id, query, limit=limit, after=after, offset=offset)
        revision = 0

        def to_task(row: AnyRow) -> Task:
            nonlocal revision
            revision = row[-1] or 0  # an owner who has not written since they have rows has none
            return _to_task(row[:-1], owner_id)

        tasks = self._executor.entities(statement, parameters, to_task)
        return Found(tasks, revision)

    def count(self, owner_id: UserId, query: TaskQuery) -> int:
        parameters = count_parameters(owner_id, query)
        [count] = self._executor.values(count_statement(query), parameters)
        return int(count)

    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        row = self._executor.row(GET, {"owner": owner_id, "task_id": task_id})
        if row is None:
            raise TaskNotFound
        return _to_task(row, owner_id)

    def save(self, task: Task) -> Task:
        saved = self._write(
            SAVE,
            {
                "owner": task.owner_id,
                "task_id": task.id,
                "loaded_version": task.version,
                "new_title": plain_text(task.title),
                "new_description": plain_text(task.description),
                "new_completed": task.completed,
                "new_updated_at": task.updated_at,
            },
        )
        if not saved:
            raise StaleVersion
        return replace(task, version=task.version + 1)

    def remove(self, task_id: TaskId, *, owner_id: UserId, version: int | None = None) -> None:
        this_one = {"owner": owner_id, "task_id": task_id}
        if version is not None:
            if not self._write(REMOVE_LOADED, {**this_one, "loaded_version": version}):
                raise StaleVersion
        elif not self._write(REMOVE, this_one):
            raise TaskNotFound

    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        return self._executor.write(REMOVE_BATCH, {"owner": owner_id, "limit": limit})

    def counts(self, owner_id: UserId) -> TaskCounts:
        row = self._executor.row(_COUNT, {"owner": owner_id})
        if row is None:
            # They have not written a task since owners have rows, so theirs are few or old.
            [row] = self._executor.rows(_COUNT_TASKS, {"owner": owner_id})
        return TaskCounts(*row)

    def _write(self, write: RevisedWrite, parameters: Parameters) -> int:
        """Run the write, and add the owner's row if it is missing."""
        written = self._executor.write_revised(write, parameters, _CONSTRAINT_ERRORS)
        if not written:
            # If another transaction adds the row at the same time, this one waits for it.
            self._executor.write(OPEN_OWNER, parameters, _CONSTRAINT_ERRORS)
            written = self._executor.write_revised(write, parameters, _CONSTRAINT_ERRORS)
        return written


def _to_row(task: Task) -> Parameters:
    return {
        "owner": task.owner_id,
        "new_id": task.id,
        "new_title": plain_text(task.title),
        "new_description": plain_text(task.description),
        "new_completed": task.completed,
        "new_version": task.version,
        "new_created_at": task.created_at,
        "new_updated_at": task.updated_at,
    }


def _to_task(row: AnyRow, owner_id: UserId) -> Task:
    task_id, title, description, completed, version, created_at, updated_at = row
    # By position: for a list of tasks, keywords would take a tenth longer.
    return Task(
        task_id,
        owner_id,
        Title.stored(title),
        None if description is None else Description.stored(description),
        completed,
        version,
        created_at,
        updated_at,
    )
