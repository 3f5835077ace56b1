"""Reminders that count from a day, when their owner changes the time zone."""

from datetime import datetime

from sqlalchemy import Table, Update
from sqlmodel import BigInteger, bindparam, select, update

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.reminder_rows import reminders_of, stored_times
from todo_adapters.sql.tables import DELETED_TASKS, TASKS, DeletedTaskRow, TaskRow
from todo_core.entities.due_date import DueDate
from todo_core.entities.reminders import GRACE
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId

DAY_REMINDERS = tuple(
    select(row)
    .with_only_columns(
        table.c.id, table.c.due_on, table.c.reminders, table.c.reminder_times, table.c.completed
    )
    .where(
        table.c.owner_id == bindparam("owner"),
        table.c.due_on.is_not(None),
        table.c.reminders.is_not(None),
    )
    for table, row in ((TASKS, TaskRow), (DELETED_TASKS, DeletedTaskRow))
)


def _move(table: Table, *columns: str) -> Update:
    return (
        update(table)
        .where(
            table.c.owner_id == bindparam("owner"),
            table.c.id == bindparam("task_id", type_=BigInteger),
            table.c.reminders.is_not(None),
        )
        .values({name: bindparam(f"new_{name}", type_=table.c[name].type) for name in columns})
    )


MOVE_REMINDERS = (
    _move(TASKS, "reminder_times", "remind_at"),
    _move(DELETED_TASKS, "reminder_times"),
)


def move_day_reminders(
    executor: SqlExecutor, owner_id: UserId, zone: TimeZone, *, now: datetime
) -> None:
    """Set the moments of reminders of this owner's tasks that are locked and due on a day."""
    for select_reminders, move in zip(DAY_REMINDERS, MOVE_REMINDERS, strict=True):
        moved = []
        for task_id, day, stored, times, completed in executor.rows(
            select_reminders, {"owner": owner_id}
        ):
            reminders = reminders_of(stored, times)
            if reminders.has_relative:
                due_date = DueDate(zone.end_of(day), day)
                reminders = reminders.for_due_date(due_date, zone)
                moved.append(
                    {
                        "owner": owner_id,
                        "task_id": task_id,
                        "new_reminder_times": stored_times(reminders),
                        "new_remind_at": None if completed else reminders.next_after(now - GRACE),
                    }
                )
        if moved:
            executor.write_many(move, moved)
