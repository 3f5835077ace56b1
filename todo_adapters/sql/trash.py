"""The trash in SQL: tasks that move to it and back, and what is left of them.

A row of `deleted_tasks` with a title is in the trash. One without is a tombstone, from which it is
known that the task was deleted.
"""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, null, union_all
from sqlalchemy.orm import aliased
from sqlmodel import (
    BigInteger,
    Boolean,
    Integer,
    bindparam,
    case,
    delete,
    exists,
    select,
    update,
)

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.revisions import (
    HAS_ROOM,
    ONE,
    OWNER_ROW,
    RevisedMove,
    advance_owner,
    one_if,
)
from todo_adapters.sql.statements import AnyRow
from todo_adapters.sql.tables import (
    DELETED_TASKS,
    TASK_OWNERS,
    TASKS,
    DeletedTaskRow,
    TaskOwnerRow,
    TaskRow,
    UtcDateTime,
)
from todo_adapters.sql.task_rows import CONTENT, TASK_COLUMNS
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId


def _trash(*conditions: ColumnElement[bool]) -> RevisedMove:
    return RevisedMove(
        lambda found: advance_owner(
            total=TASK_OWNERS.c.total - ONE,
            completed=TASK_OWNERS.c.completed - select(one_if(found.c.completed)).scalar_subquery(),
            deleted=TASK_OWNERS.c.deleted + ONE,
        ).where(exists(select(found.c.completed))),
        TASKS,
        DELETED_TASKS,
        conditions,
        lambda task: {
            **{name: _unless_permanently(task[name]) for name in CONTENT},
            "expires_at": bindparam("expires_at", type_=UtcDateTime),
        },
    )


def _unless_permanently(column: ColumnElement[str]) -> ColumnElement[str]:
    return case((bindparam("permanently", type_=Boolean), null()), else_=column)


_SUBTASK = aliased(TaskRow)
_HAS_SUBTASKS = exists(
    select(_SUBTASK.id).where(
        _SUBTASK.owner_id == bindparam("owner"), _SUBTASK.parent_id == bindparam("task_id")
    )
)
_THIS_TASK = (
    TASKS.c.owner_id == bindparam("owner"),
    TASKS.c.id == bindparam("task_id"),
    ~_HAS_SUBTASKS,
)
REMOVE = _trash(*_THIS_TASK)
REMOVE_LOADED = _trash(*_THIS_TASK, TASKS.c.version == bindparam("loaded_version"))

_DELETED_OWNED = DELETED_TASKS.c.owner_id == bindparam("owner")
_IN_TRASH = DELETED_TASKS.c.title.is_not(None)
_THIS_IN_TRASH = (_DELETED_OWNED, DELETED_TASKS.c.id == bindparam("task_id"), _IN_TRASH)
RESTORE = RevisedMove(
    lambda found: advance_owner(
        total=TASK_OWNERS.c.total + ONE,
        completed=TASK_OWNERS.c.completed + select(one_if(found.c.completed)).scalar_subquery(),
        deleted=TASK_OWNERS.c.deleted - ONE,
    ).where(exists(select(found.c.completed)), HAS_ROOM),
    DELETED_TASKS,
    TASKS,
    _THIS_IN_TRASH,
    lambda deleted: {
        "parent_id": bindparam("new_parent_id", type_=BigInteger),
        "version": deleted.version + ONE,
        "updated_at": bindparam("new_updated_at", type_=UtcDateTime),
        "remind_at": bindparam("new_remind_at", type_=UtcDateTime),
    },
)
_SUBTASK_IN_TRASH, _PARENT = aliased(DeletedTaskRow), aliased(DeletedTaskRow)
_DELETED_WITH_PARENT = select(_SUBTASK_IN_TRASH.id).where(
    _SUBTASK_IN_TRASH.owner_id == bindparam("owner"),
    _SUBTASK_IN_TRASH.parent_id == bindparam("task_id"),
    exists(
        select(_PARENT.id).where(
            _PARENT.owner_id == bindparam("owner"),
            _PARENT.id == bindparam("task_id"),
            _PARENT.expires_at == _SUBTASK_IN_TRASH.expires_at,
        )
    ),
)
_SELECT_IN_TRASH = (
    select(DeletedTaskRow)
    .with_only_columns(*(DELETED_TASKS.c[column.name] for column in TASK_COLUMNS))
    .where(_DELETED_OWNED, _IN_TRASH)
)
GET_IN_TRASH = _SELECT_IN_TRASH.where(DELETED_TASKS.c.id == bindparam("task_id"))
LOCK_IN_TRASH = GET_IN_TRASH.with_for_update()
# In the order of their ids and before the owner's row, as tasks are locked.
LOCK_FAMILY_IN_TRASH = (
    _SELECT_IN_TRASH.where(
        DELETED_TASKS.c.id.in_(
            union_all(select(bindparam("task_id", type_=BigInteger)), _DELETED_WITH_PARENT)
        )
    )
    .order_by(DELETED_TASKS.c.id)
    .with_for_update()
)
_ERASED = {
    **{DELETED_TASKS.c[name]: null() for name in CONTENT},
    DELETED_TASKS.c.expires_at: bindparam("new_expires_at", type_=UtcDateTime),
}
ERASE = update(DELETED_TASKS).where(*_THIS_IN_TRASH).values(_ERASED)
ERASE_LOADED = ERASE.where(DELETED_TASKS.c.version == bindparam("loaded_version"))
_EXPIRED = (DELETED_TASKS.c.expires_at < bindparam("now", type_=UtcDateTime),)


def _purgeable(*conditions: ColumnElement[bool]) -> Select[tuple[UserId, TaskId, int]]:
    # Locked, so that no other process purges or restores them.
    return (
        select(DELETED_TASKS.c.owner_id, DELETED_TASKS.c.id, DELETED_TASKS.c.revision)
        .where(*conditions)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


EXPIRED_IN_TRASH = _purgeable(*_EXPIRED, _IN_TRASH)
EXPIRED_TOMBSTONES = _purgeable(*_EXPIRED, DELETED_TASKS.c.title.is_(None))
WITH_EXCESS = (
    select(TaskOwnerRow)
    .with_only_columns(TASK_OWNERS.c.owner_id, TASK_OWNERS.c.deleted)
    .where(TASK_OWNERS.c.deleted > bindparam("kept", type_=Integer))
    .limit(ONE)
    .with_for_update()  # so that no other process purges the excess too
)
OLDEST_DELETED = _purgeable(_DELETED_OWNED).order_by(DELETED_TASKS.c.revision)
_REVISION = bindparam("up_to", type_=BigInteger)
PURGE = delete(DELETED_TASKS).where(
    _DELETED_OWNED, DELETED_TASKS.c.id == bindparam("task_id", type_=BigInteger)
)
RECORD_PURGED = (
    update(TASK_OWNERS)
    .where(OWNER_ROW)
    .values(
        deleted=TASK_OWNERS.c.deleted - bindparam("count", type_=Integer),
        forgotten_revision=case(
            (TASK_OWNERS.c.forgotten_revision < _REVISION, _REVISION),
            else_=TASK_OWNERS.c.forgotten_revision,
        ),
    )
)
REMOVE_DELETED_BATCH = delete(DELETED_TASKS).where(
    _DELETED_OWNED,
    DELETED_TASKS.c.id.in_(
        select(DELETED_TASKS.c.id).where(_DELETED_OWNED).limit(bindparam("limit"))
    ),
)


def purge(executor: SqlExecutor, rows: Sequence[AnyRow]) -> int:
    """Delete these rows, and record for each owner up to which revision deletions are purged."""
    by_owner = defaultdict[UserId, list[int]](list)
    for owner_id, _, revision in rows:
        by_owner[owner_id].append(revision)
    if rows:
        executor.write_many(
            RECORD_PURGED,
            [
                {"owner": owner_id, "count": len(revisions), "up_to": max(revisions)}
                for owner_id, revisions in sorted(by_owner.items())
            ],
        )
        executor.write_many(
            PURGE, [{"owner": owner_id, "task_id": task_id} for owner_id, task_id, _ in rows]
        )
    return len(rows)
