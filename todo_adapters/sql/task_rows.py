"""The mapping between tasks and the rows of `tasks` and `deleted_tasks`.

A field of a task is a column of `TaskContent`, an entry of `TASK_COLUMNS`, and its lines in
`edited_parameters` and `to_task`. All statements follow from these. One that no index has and no
other field depends on is in `PLAIN_FIELDS` as well, so that a change of it writes little.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import time
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, and_, literal_column, null, or_
from sqlalchemy.sql.base import ColumnCollection
from sqlmodel import Integer, bindparam, case, func

from todo_adapters.sql.folding import folded_unless_ascii
from todo_adapters.sql.reminder_rows import reminders_of, stored_reminders, stored_times
from todo_adapters.sql.revisions import ONE
from todo_adapters.sql.rows import plain_text
from todo_adapters.sql.statements import AnyRow, Parameters
from todo_adapters.sql.tables import TASKS, TaskContent
from todo_adapters.sql.tags import json_array
from todo_core.entities.due_date import DueDate
from todo_core.entities.priority import Priority
from todo_core.entities.rank import Rank
from todo_core.entities.recurrence import RecurrenceRule
from todo_core.entities.reminders import NO_REMINDERS
from todo_core.entities.repetition import RepeatFrom, Repetition
from todo_core.entities.tags import NO_TAGS, Tags
from todo_core.entities.task import Description, Task, Title
from todo_core.entities.user import UserId

TASK_COLUMNS = (
    TASKS.c.id,
    TASKS.c.title,
    TASKS.c.description,
    TASKS.c.priority,
    TASKS.c.due_at,
    TASKS.c.due_on,
    TASKS.c.tags,
    TASKS.c.reminders,
    TASKS.c.reminder_times,
    TASKS.c.position,
    TASKS.c.parent_id,
    TASKS.c.recurrence_rule,
    TASKS.c.repeat_from,
    TASKS.c.repeat_clock,
    TASKS.c.next_id,
    TASKS.c.completed,
    TASKS.c.completed_at,
    TASKS.c.version,
    TASKS.c.created_at,
    TASKS.c.updated_at,
)
"""The columns from which `to_task` makes a task.

The owner is not selected: a row that was found belongs to the owner who was asked for.
"""

CONTENT = ("title", *TaskContent.model_fields)
"""The columns with what the owner has entered. In a tombstone, they are erased."""

_EDITED = (*CONTENT, "completed", "updated_at", "remind_at")

NEW_VALUES: Mapping[ColumnElement[Any], ColumnElement[Any]] = {
    TASKS.c.owner_id: bindparam("owner", type_=TASKS.c.owner_id.type),
    **{
        TASKS.c[name]: bindparam(f"new_{name}", type_=TASKS.c[name].type)
        for name in ("id", *_EDITED, "version", "created_at")
    },
}
"""The values of a new row, but for its revision."""

_NEW_EDITED: Mapping[str, ColumnElement[Any]] = {
    name: bindparam(f"new_{name}", type_=TASKS.c[name].type) for name in _EDITED
}
_SAME_DAY = TASKS.c.due_on == _NEW_EDITED["due_on"]
_SAME_REMINDERS = TASKS.c.reminders == _NEW_EDITED["reminders"]
_SAME_TIMES = TASKS.c.reminder_times == _NEW_EDITED["reminder_times"]
_REMINDS_AS_BEFORE = and_(
    _SAME_REMINDERS,
    or_(_SAME_DAY, _SAME_TIMES),
    TASKS.c.completed == _NEW_EDITED["completed"],
)
EDITED_VALUES: Mapping[str, ColumnElement[Any]] = {
    **_NEW_EDITED,
    # Since the task was loaded, its owner may have moved to a time zone where the day ends later.
    "due_at": case((_SAME_DAY, TASKS.c.due_at), else_=_NEW_EDITED["due_at"]),
    "reminder_times": case(
        (and_(_SAME_DAY, _SAME_REMINDERS), TASKS.c.reminder_times),
        else_=_NEW_EDITED["reminder_times"],
    ),
    # What is still to be fired, perhaps because it is late, is not lost, and nothing fires twice.
    "remind_at": case((_REMINDS_AS_BEFORE, TASKS.c.remind_at), else_=_NEW_EDITED["remind_at"]),
}
"""The values of a row that change when its task is saved, but for its version and revision."""

STATE_FIELDS = {"completed_at"}
STATE_VALUES: Mapping[str, ColumnElement[Any]] = {
    name: _NEW_EDITED[name] for name in ("completed", "completed_at", "remind_at", "updated_at")
}
"""The values that change when a task is completed or reopened."""

_PRIORITIES = tuple(Priority)


def stored_priority(columns: ColumnCollection[str, Any]) -> ColumnElement[int]:
    """Return the priority of a task. Releases before this column have stored none."""
    return func.coalesce(columns["priority"], literal_column(str(int(Priority.MEDIUM)), Integer))


def has_priority(columns: ColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Return the condition that the task has one of the priorities in the parameters."""
    one_bit = bindparam("priorities", type_=Integer).bitwise_rshift(stored_priority(columns))
    return one_bit.bitwise_and(ONE) == ONE


def priority_parameters(priorities: Iterable[Priority]) -> Parameters:
    """Return the parameters of `has_priority`: a bit for each priority."""
    return {"priorities": sum(1 << priority for priority in priorities)}


def stored_completed_at(columns: ColumnCollection[str, Any]) -> ColumnElement[Any]:
    """Return when a task was completed, as `to_task` does, or null."""
    at = func.coalesce(columns["completed_at"], columns["updated_at"])
    return case((columns["completed"], at), else_=null())


PLAIN_FIELDS = {"title", "description", "priority", "tags"}
PLAIN_VALUES: Mapping[str, ColumnElement[Any]] = {
    **{
        name: _NEW_EDITED[name]
        for name in (
            *("title", "description", "folded_title", "folded_description"),
            *("priority", "tags", "tag_keys", "updated_at"),
        )
    },
    # Releases before this column have stored none, and `updated_at` changes.
    "completed_at": stored_completed_at(TASKS.c),
}
"""The values that change when only `PLAIN_FIELDS` of a task do."""


def new_parameters(task: Task) -> Parameters:
    """Return the parameters of `NEW_VALUES`."""
    return {
        **edited_parameters(task),
        "owner": task.owner_id,
        "new_id": task.id,
        "new_version": task.version,
        "new_created_at": task.created_at,
    }


def edited_parameters(task: Task) -> Parameters:
    """Return the parameters of `EDITED_VALUES`."""
    due_date, repetition = task.due_date, task.repetition
    return {
        **plain_parameters(task),
        **state_parameters(task),
        "new_due_at": due_date and due_date.at,
        "new_due_on": due_date and due_date.day,
        "new_reminders": stored_reminders(task.reminders),
        "new_reminder_times": stored_times(task.reminders),
        "new_position": str(task.position),
        "new_parent_id": task.parent_id,
        "new_recurrence_rule": repetition and str(repetition.rule),
        "new_repeat_from": repetition and str(repetition.repeat_from),
        "new_repeat_clock": repetition and repetition.clock and repetition.clock.isoformat(),
        "new_next_id": task.next_id,
    }


def plain_parameters(task: Task) -> Parameters:
    """Return the parameters of `PLAIN_VALUES`."""
    title, description, tags = task.title, task.description, task.tags
    return {
        "new_title": plain_text(title),
        "new_description": plain_text(description),
        "new_folded_title": folded_unless_ascii(title),
        "new_folded_description": folded_unless_ascii(description),
        "new_priority": int(task.priority),
        "new_tags": json_array(tags) if tags else None,
        "new_tag_keys": json_array(tags.keys) if tags else None,
        "new_updated_at": task.updated_at,
    }


def state_parameters(task: Task) -> Parameters:
    """Return the parameters of `STATE_VALUES`."""
    return {
        "new_completed": task.completed,
        "new_completed_at": task.completed_at,
        "new_remind_at": task.remind_at,
        "new_updated_at": task.updated_at,
    }


def to_task(row: AnyRow, owner_id: UserId) -> Task:
    """Return the task of a row of `TASK_COLUMNS`."""
    (
        task_id,
        title,
        description,
        priority,
        due_at,
        due_on,
        tags,
        reminders,
        reminder_times,
        position,
        parent_id,
        recurrence_rule,
        repeat_from,
        repeat_clock,
        next_id,
        completed,
        completed_at,
        version,
        created_at,
        updated_at,
    ) = row
    # By position: for a list of tasks, keywords would take a tenth longer.
    return Task(
        task_id,
        owner_id,
        Title.stored(title),
        None if description is None else Description.stored(description),
        # Releases before these columns have stored no priority, and no time of completion.
        Priority.MEDIUM if priority is None else _PRIORITIES[priority],
        None if due_at is None else DueDate(due_at, due_on),
        NO_TAGS if tags is None else Tags.stored(json.loads(tags)),
        NO_REMINDERS if reminders is None else reminders_of(reminders, reminder_times),
        Rank.of_new_task(created_at, task_id) if position is None else Rank.stored(position),
        parent_id,
        recurrence_rule and _repetition(recurrence_rule, repeat_from, repeat_clock),
        next_id,
        (completed_at or updated_at) if completed else None,
        version,
        created_at,
        updated_at,
    )


@lru_cache(1024)
def _repetition(rule: str, repeat_from: str, clock: str | None) -> Repetition:
    return Repetition(
        RecurrenceRule.parse(rule),
        RepeatFrom(repeat_from),
        None if clock is None else time.fromisoformat(clock),
    )
