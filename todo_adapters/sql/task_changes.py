"""The query for the changes of an owner's tasks, in the order of their revisions.

Tasks that are completed, tasks that are not, and deleted ones each have an index in this order. So
a page of changes takes the same time, however many tasks the owner has. The owner's row is in the
same statement, so that its revision is that of the same moment.
"""

from functools import cache

from sqlalchemy import ColumnElement, null, true, union_all
from sqlmodel import BigInteger, bindparam, false, func, select

from todo_adapters.sql.revisions import ONE, OWNER_ROW, ZERO
from todo_adapters.sql.statements import Query
from todo_adapters.sql.tables import (
    DELETED_TASKS,
    TASK_OWNERS,
    TASKS,
    DeletedTaskRow,
    TaskRow,
)
from todo_adapters.sql.task_lists import TASK_COLUMNS

BEFORE_ALL = -(2**62)
"""A revision before all others. Tasks from before there were revisions have negative ones."""


@cache
def changes_statement(*, limits_parts: bool) -> Query:
    """Return the query. Its columns are two of the owner, the revision, deleted, and the task.

    There is a row without a revision if the owner has no changes. An owner who has not written a
    task since owners have rows may have none, but tasks; the columns of the owner are 0 then.
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
    one_row = select(ONE.label("one")).subquery("one_row")
    return (
        select(
            _of_owner(TASK_OWNERS.c.revision).label("newest_revision"),
            _of_owner(TASK_OWNERS.c.forgotten_revision).label("forgotten_revision"),
            *changes.c,
        )
        .select_from(one_row.outerjoin(changes, true()))
        .order_by(changes.c.revision)
    )


def _of_owner(column: ColumnElement[int]) -> ColumnElement[int]:
    """Return a column of the owner's row, or 0 if there is none."""
    return func.coalesce(select(column).where(OWNER_ROW).scalar_subquery(), ZERO)
