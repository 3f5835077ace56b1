"""The query for the changes of an owner's tasks, in the order of their revisions.

Tasks that are completed, tasks that are not, and deleted ones each have an index in this order. So
a page of changes takes the same time, however many tasks the owner has. The owner's row is in the
same statement, so that its revision is that of the same moment.
"""

from functools import cache

from sqlalchemy import null, true, union_all
from sqlmodel import BigInteger, bindparam, false, func, select

from todo_adapters.sql.revisions import ONE, OWNER_ROW, ZERO
from todo_adapters.sql.statements import Query
from todo_adapters.sql.tables import (
    DELETED_TASKS,
    TASK_OWNERS,
    TASKS,
    DeletedTaskRow,
    TaskOwnerRow,
    TaskRow,
)
from todo_adapters.sql.task_rows import TASK_COLUMNS

BEFORE_ALL = -(2**62)
"""A revision before all others. Tasks from before there were revisions have negative ones."""


@cache
def changes_statement(*, limits_parts: bool) -> Query:
    """Return the query.

    Its columns are the owner's `revision` and `forgotten_revision`, and for each change its
    revision, whether the task was deleted, and the columns of the task.

    There is always at least one row; if there are no changes, its revision is null. The owner's
    columns are 0 if they have no row in `task_owners` yet.
    """
    after = bindparam("after", type_=BigInteger)
    tasks = [
        select(TaskRow)
        .with_only_columns(TASKS.c.revision, false().label("deleted"), *TASK_COLUMNS)
        .where(
            TASKS.c.owner_id == bindparam("owner"),
            TASKS.c.completed == completed,
            TASKS.c.revision > after,
        )
        for completed in (false(), true())
    ]
    deleted = (
        select(DeletedTaskRow)
        .with_only_columns(
            DELETED_TASKS.c.revision,
            true(),
            DELETED_TASKS.c.id,
            *(null() for _ in TASK_COLUMNS[1:]),
        )
        .where(DELETED_TASKS.c.owner_id == bindparam("owner"), DELETED_TASKS.c.revision > after)
    )
    parts = [*tasks, deleted]
    if limits_parts:
        parts = [
            part.order_by(part.selected_columns[0]).limit(bindparam("limit")) for part in parts
        ]
    every = union_all(*parts)
    changes = every.order_by(every.selected_columns[0]).limit(bindparam("limit")).subquery()
    owner = (
        select(TaskOwnerRow)
        .with_only_columns(TASK_OWNERS.c.revision, TASK_OWNERS.c.forgotten_revision)
        .where(OWNER_ROW)
        .subquery()
    )
    always = select(ONE).subquery("one_row")
    return (
        select(
            func.coalesce(owner.c.revision, ZERO),
            func.coalesce(owner.c.forgotten_revision, ZERO),
            *changes.c,
        )
        .select_from(always.outerjoin(owner, true()).outerjoin(changes, true()))
        .order_by(changes.c.revision)
    )
