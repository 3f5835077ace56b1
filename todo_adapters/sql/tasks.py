"""Tasks in SQL. Every statement on an existing task has the owner in its WHERE clause."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sqlmodel import bindparam, delete, insert, select, update

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.rows import plain_text
from todo_adapters.sql.statements import AnyRow, Parameters
from todo_adapters.sql.tables import TASKS, TaskRow
from todo_core.entities.task import Description, Task, TaskId, Title
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, IdTaken, StaleVersion, TaskNotFound
from todo_core.ports.repositories import TaskRepository

_OWNED = TASKS.c.user_id == bindparam("owner_id")
_THIS_ONE = TASKS.c.id == bindparam("task_id")

# The owner is not selected: a row that was found belongs to the owner who was asked for.
_COLUMNS = (
    TASKS.c.id,
    TASKS.c.title,
    TASKS.c.description,
    TASKS.c.completed,
    TASKS.c.version,
    TASKS.c.created_at,
    TASKS.c.updated_at,
)

ADD = insert(TASKS)
_SELECT_OWNED = select(TaskRow).with_only_columns(*_COLUMNS).where(_OWNED)
LIST = _SELECT_OWNED.order_by(TASKS.c.created_at.desc(), TASKS.c.id.desc())
LIST_BY_COMPLETION = LIST.where(TASKS.c.completed == bindparam("completed"))
GET = _SELECT_OWNED.where(_THIS_ONE)
SAVE = (
    update(TASKS)
    .where(_OWNED, _THIS_ONE, TASKS.c.version == bindparam("loaded_version"))
    .values(
        title=bindparam("new_title"),
        description=bindparam("new_description"),
        completed=bindparam("new_completed"),
        updated_at=bindparam("new_updated_at"),
        version=TASKS.c.version + 1,
    )
)
REMOVE = delete(TASKS).where(_OWNED, _THIS_ONE)
# Only the inner query names the owner: if the outer one did too, SQLite would scan all of the
# owner's tasks for the few that are meant.
REMOVE_BATCH = delete(TASKS).where(
    TASKS.c.id.in_(
        select(TaskRow).with_only_columns(TASKS.c.id).where(_OWNED).limit(bindparam("limit"))
    )
)
_CONSTRAINT_ERRORS = {"pk_tasks": IdTaken, "fk_tasks_user_id_users": AccountGone}


class SqlTaskRepository(TaskRepository):
    """Tasks in the table `tasks`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, task: Task) -> None:
        self._executor.write(ADD, _to_row(task), _CONSTRAINT_ERRORS)

    def list(self, owner_id: UserId, *, completed: bool | None = None) -> Sequence[Task]:
        to_task = partial(_to_task, owner_id=owner_id)
        if completed is None:
            return self._executor.entities(LIST, {"owner_id": owner_id}, to_task)
        owned = {"owner_id": owner_id, "completed": completed}
        return self._executor.entities(LIST_BY_COMPLETION, owned, to_task)

    def get(self, task_id: TaskId, *, owner_id: UserId) -> Task:
        row = self._executor.row(GET, {"owner_id": owner_id, "task_id": task_id})
        if row is None:
            raise TaskNotFound
        return _to_task(row, owner_id)

    def save(self, task: Task) -> Task:
        saved = self._executor.write(
            SAVE,
            {
                "owner_id": task.owner_id,
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

    def remove(self, task_id: TaskId, *, owner_id: UserId) -> None:
        if not self._executor.write(REMOVE, {"owner_id": owner_id, "task_id": task_id}):
            raise TaskNotFound

    def remove_batch(self, owner_id: UserId, *, limit: int) -> int:
        return self._executor.write(REMOVE_BATCH, {"owner_id": owner_id, "limit": limit})


def _to_row(task: Task) -> Parameters:
    return {
        "id": task.id,
        "user_id": task.owner_id,
        "title": plain_text(task.title),
        "description": plain_text(task.description),
        "completed": task.completed,
        "version": task.version,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
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
