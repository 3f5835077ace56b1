"""Tasks, as JSON."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from itertools import batched
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import orjson
from pydantic import (
    MISSING,
    AliasChoices,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    StrictInt,
)

from todo_api.http.schemas.text import LINE_PATTERN, PROSE_PATTERN
from todo_api.runtime.threads import give_way
from todo_core.entities.priority import Priority
from todo_core.entities.recurrence import MAX_INTERVAL, RecurrenceRule
from todo_core.entities.recurrence_days import Frequency
from todo_core.entities.recurrence_grammar import MAX_LENGTH, PARTS
from todo_core.entities.reminders import MAX_MINUTES_BEFORE, MAX_REMINDERS, Reminder
from todo_core.entities.repetition import RepeatFrom, Repetition
from todo_core.entities.tags import MAX_TAGS, Tag, TagCount
from todo_core.entities.task import (
    Description,
    NewTaskFields,
    Task,
    TaskCounts,
    TaskFields,
    TaskId,
    Title,
)
from todo_core.entities.task_changes import Change, ChangesPage
from todo_core.entities.task_query import TaskPage

_COMPLETED = "completed"
_LARGEST_ID = 2**63 - 1
_NO_TASK = TaskId(0)
_LONGEST_TAG_LIST = 1000  # spellings of the same tag count as one
_LONGEST_REMINDER_LIST = 100  # several that are the same count as one
_RECURRENCE_PATTERNS = tuple(frequency.lower() for frequency in Frequency)
_RULE_PATTERN = (
    rf"^(?:none|{'|'.join(_RECURRENCE_PATTERNS)}|FREQ=(?:{'|'.join(Frequency)})"
    rf"(?:;(?:{'|'.join(PARTS[1:])})=[A-Z0-9,+-]+)*)?$"
)
_PRIORITY_LABELS = tuple(priority.label for priority in Priority)

CHUNK = 64
"""The number of items of an array that are rendered at once."""


def _whole(value: object) -> object:
    """Return 1 for 1.0: JSON does not distinguish the two."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WholeNumber = Annotated[StrictInt, BeforeValidator(_whole)]
TitleText = Annotated[
    str,
    Field(
        json_schema_extra={
            "minLength": Title.min_length,
            "maxLength": Title.max_length,
            "pattern": LINE_PATTERN,
        },
        examples=["Buy milk"],
    ),
]
DescriptionText = Annotated[
    str | None,
    Field(
        json_schema_extra={"maxLength": Description.max_length, "pattern": PROSE_PATTERN},
        description="An empty text is stored as null.",
        examples=["Two litres"],
    ),
]


PriorityName = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "anyOf": [{"type": "string", "enum": [*_PRIORITY_LABELS]}, {"type": "null"}]
        },
        description="The case of its letters does not matter. `critical` is another name for"
        " `urgent`, and `normal` for `medium`, which null and an empty text mean too.",
        examples=["high"],
    ),
]
DueDateText = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "date"},
                {"type": "null"},
            ]
        },
        description="A date, or a time (RFC 3339), in the years 1970 to 9999. A time without an"
        " offset is one in your time zone. Null or an empty text removes it. `dueDate` and `due_at`"
        " are other names of this field.",
        examples=["2026-12-01", "2026-12-01T16:00:00Z"],
    ),
]
TagNames = Annotated[
    list[str] | None,
    Field(
        max_length=_LONGEST_TAG_LIST,
        json_schema_extra={
            "anyOf": [
                {
                    "type": "array",
                    "maxItems": MAX_TAGS,
                    "items": {
                        "type": "string",
                        "minLength": Tag.min_length,
                        "maxLength": Tag.max_length,
                        "pattern": LINE_PATTERN,
                    },
                },
                {"type": "null"},
            ]
        },
        description="All tags of the task. Of several that differ only in case, the first is kept."
        " Null and an empty array remove them.",
        examples=[["home", "shop"]],
    ),
]
PriorityLabel = Literal["none", "low", "medium", "high", "urgent"]
StatusName = Annotated[
    Literal["pending", "active", "completed"],
    BeforeValidator(lambda status: status.lower() if isinstance(status, str) else status),
    Field(
        description="The same as `completed`, as a word: `active` is another one for `pending`.",
        examples=["completed"],
    ),
]


TaskNumber = Annotated[
    WholeNumber, Field(json_schema_extra={"format": "int64"}, examples=[4503599627370496])
]
ParentNumber = Annotated[
    TaskNumber | None,
    Field(
        description="The id of the task of which this one is a subtask: one of yours that is not a"
        " subtask itself. A task that has subtasks cannot become one. Null makes it a task of its"
        " own. `parentId` and `parent_task_id` are other names of this field."
    ),
]
RuleText = Annotated[
    str | None,
    Field(
        json_schema_extra={"maxLength": MAX_LENGTH, "pattern": _RULE_PATTERN},
        description="How the task repeats when it is completed: `daily`, `weekly`, `monthly`,"
        " `yearly`, or a rule of RFC 5545 with the parts FREQ, INTERVAL, BYMONTH, BYMONTHDAY,"
        " BYDAY, BYSETPOS, COUNT or UNTIL, and WKST, in any order and case. Null, an empty text and"
        " `none` end the repetition.",
        examples=["FREQ=WEEKLY;BYDAY=MO", "monthly"],
    ),
]
PatternName = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "string", "enum": ["none", *_RECURRENCE_PATTERNS]},
                {"type": "null"},
            ]
        },
        description="Another way to send a rule, together with `recurrence_interval`. It is ignored"
        " if a `recurrence_rule` is sent. The case of its letters does not matter. Null, an empty"
        " text and `none` end the repetition.",
        examples=["weekly"],
    ),
]
IntervalNumber = Annotated[
    WholeNumber | None,
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_INTERVAL, "default": 1},
                {"type": "null"},
            ]
        },
        description="Every how many days, weeks, months or years the task repeats. It is ignored"
        " without a `recurrence_pattern`.",
        examples=[2],
    ),
]
RepeatFromName = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "anyOf": [{"type": "string", "enum": [*RepeatFrom]}, {"type": "null"}],
        },
        description="What the next due date is counted from: the due date of this task"
        " (`due`, the default), or the day on which it is completed (`completion`). The case"
        " of its letters does not matter. It has no effect without a rule.",
        examples=["due", "completion"],
    ),
]
RemindAtText = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
        },
        description="A time (RFC 3339), in the years 1970 to 9999. Without an offset, it is one in"
        " your time zone.",
        examples=["2026-12-01T15:30:00Z"],
    ),
]
MinutesBefore = Annotated[
    WholeNumber | None,
    Field(
        json_schema_extra={
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": MAX_MINUTES_BEFORE},
                {"type": "null"},
            ]
        },
        description="How many minutes before the task is due. If it is due on a day, they count"
        " from the start of that day in your time zone.",
        examples=[15],
    ),
]


class ReminderBody(BaseModel):
    """A reminder: at a time, or some minutes before the task is due, if it has `minutes_before`."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["remind_at"]}, {"required": ["minutes_before"]}],
        }
    )

    remind_at: RemindAtText | MISSING = MISSING
    minutes_before: MinutesBefore | MISSING = MISSING


ReminderList = Annotated[
    list[ReminderBody] | None,
    Field(
        max_length=_LONGEST_REMINDER_LIST,
        json_schema_extra={
            "anyOf": [
                {
                    "type": "array",
                    "maxItems": MAX_REMINDERS,
                    "items": {"$ref": "#/components/schemas/ReminderBody"},
                },
                {"type": "null"},
            ]
        },
        description="All reminders of the task, at most 5. Of several that are the same, the first"
        " is kept. One that depends on the due date needs one. Null and an empty array remove"
        " them.",
        examples=[[{"minutes_before": 15}, {"remind_at": "2026-12-01T07:00:00Z"}]],
    ),
]
OnlyReminderText = Annotated[
    str | None,
    Field(
        json_schema_extra={
            "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
        },
        description="Another way to send `reminders`: the time of the only one. It is ignored if"
        " they are sent too. Null or an empty text removes them. `reminder_time` is another name of"
        " this field.",
        examples=["2026-12-01T15:30:00Z"],
    ),
]

OTHER_NAMES: Mapping[str, Sequence[str]] = {
    "due_date": ("dueDate", "due_at"),
    "remind_at": ("reminder_time",),
    "parent_id": ("parentId", "parent_task_id"),
}
"""Other names of the fields of a task in a request, which existing front ends use."""


def names_of(field: str) -> AliasChoices:
    """Return the names that a field may have in a request."""
    return AliasChoices(field, *OTHER_NAMES.get(field, ()))


class _Details(BaseModel):
    """The fields that a task need not have. Fields that are not sent keep their value."""

    model_config = ConfigDict(alias_generator=AliasGenerator(validation_alias=names_of))

    description: DescriptionText | MISSING = MISSING
    priority: PriorityName | MISSING = MISSING
    due_date: DueDateText | MISSING = MISSING
    tags: TagNames | MISSING = MISSING
    reminders: ReminderList | MISSING = MISSING
    remind_at: OnlyReminderText | MISSING = MISSING
    parent_id: ParentNumber | MISSING = MISSING
    recurrence_rule: RuleText | MISSING = MISSING
    recurrence_pattern: PatternName | MISSING = MISSING
    recurrence_interval: IntervalNumber | MISSING = MISSING
    repeat_from: RepeatFromName | MISSING = MISSING


class _State(BaseModel):
    """Whether a task is completed, in one of two ways.

    If both are sent, `completed` counts: front ends that do not know `status` send it back as they
    received it.
    """

    completed: StrictBool | MISSING = MISSING
    status: StatusName | MISSING = MISSING


class TaskCreate(_Details):
    """A new task."""

    title: TitleText

    def to_core(self) -> NewTaskFields:
        """Return the fields as use cases take them."""
        return cast(NewTaskFields, _as_in_core(self.model_dump()))


class TaskUpdate(_Details):
    """The new values. Except for the title, fields that are not sent keep their value."""

    title: TitleText
    status: StatusName | MISSING = MISSING

    def to_core(self) -> TaskFields:
        """Return the fields as use cases take them."""
        return _to_core(self)


class TaskPatch(_Details, _State):
    """The fields to change. Fields that are not sent keep their value."""

    title: TitleText | MISSING = MISSING

    def to_core(self) -> TaskFields:
        """Return the fields as use cases take them."""
        return _to_core(self)


class TaskUpdateStatus(_State):
    """The new state of the task. If it is not sent, the state is toggled."""

    def to_core(self) -> TaskFields:
        """Return `completed`, if it was sent, as use cases take it."""
        return _to_core(self)


def _to_core(body: BaseModel) -> TaskFields:
    sent = body.model_dump(include=_CHANGEABLE)
    if (status := sent.pop("status", None)) is not None:
        sent.setdefault("completed", status == _COMPLETED)
    return cast(TaskFields, _as_in_core(sent))


def task_id_of(number: int) -> TaskId:
    """Return the id of a task. A number that is not an id becomes an id that no task has."""
    return TaskId(number) if 0 < number <= _LARGEST_ID else _NO_TASK


def _as_in_core(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what was sent under the names and in the forms of the core."""
    if (parent := sent.get("parent_id")) is not None:
        sent["parent_id"] = task_id_of(parent)
    return _with_reminders(_with_rule(sent))


def _with_rule(sent: dict[str, Any]) -> dict[str, Any]:
    """Replace a pattern and its interval by their rule, unless there is a rule."""
    pattern, interval = (
        sent.pop(f"recurrence_{each}", MISSING) for each in ("pattern", "interval")
    )
    if pattern is not MISSING and "recurrence_rule" not in sent:
        every = 1 if interval in (MISSING, None) else interval
        rule = RecurrenceRule.from_shorthand(pattern, every)
        sent["recurrence_rule"] = None if rule is None else str(rule)
    return sent


def _with_reminders(sent: dict[str, Any]) -> dict[str, Any]:
    """Let the time of the only reminder stand for the reminders, unless these were sent."""
    remind_at = sent.pop("remind_at", MISSING)
    if remind_at is not MISSING:
        sent.setdefault("reminders", remind_at)
    return sent


_CHANGEABLE = {*TaskPatch.model_fields}
"""The names of all fields that may change: those of the operations of a bulk have more."""


class ReminderResponse(BaseModel):
    """A reminder of a task."""

    minutes_before: int | MISSING = Field(
        MISSING,
        description="How many minutes before the task is due, if it depends on that.",
        examples=[15],
    )
    remind_at: datetime | None = Field(
        description="When it is due. Null if it depends on the due date and the task has none.",
        examples=["2026-12-01T15:45:00Z"],
    )


class TaskResponse(BaseModel):
    """A task."""

    id: int = Field(description="Less than 2**53, so that JavaScript represents it exactly.")
    user_id: UUID
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    version: int = Field(description="Increases by one with every change.")
    status: Literal["pending", "completed"] = Field(
        description="The same as `completed`, as a word."
    )
    completed_at: datetime | None = Field(
        description="When it was completed; null if it is open.", examples=["2026-11-30T09:30:00Z"]
    )
    priority: PriorityLabel
    due_date: datetime | date | None = Field(
        description="A time in UTC, or a date if it is due in the course of a day, which ends at"
        " midnight in the time zone of the user. It is in the form in which it was sent.",
        examples=["2026-12-01T16:00:00Z", "2026-12-01"],
    )
    tags: list[str] = Field(
        description="In the order and the spelling in which they were sent.",
        examples=[["home", "shop"]],
    )
    reminders: list[ReminderResponse] = Field(
        description="In the order in which they were sent. They can be sent back as they are."
    )
    recurrence_rule: str | None = Field(
        description="The rule by which the task repeats, as in RFC 5545. Null if it does not"
        " repeat, or is completed.",
        examples=["FREQ=WEEKLY;BYDAY=MO"],
    )
    recurrence_pattern: Literal["daily", "weekly", "monthly", "yearly"] | None = Field(
        description="The frequency of the rule, which may have more parts. Null without a rule.",
        examples=["weekly"],
    )
    recurrence_interval: int | None = Field(
        description="The interval of the rule. Null without a rule.", examples=[1]
    )
    repeat_from: Literal["due", "completion"] | None = Field(
        description="What the next due date is counted from. Null without a rule.",
        examples=["due"],
    )
    next_id: int | None = Field(
        description="The id of the task that was created when this one was completed, if it"
        " repeats. Null if it is open or its series has ended."
    )
    position: str = Field(
        description="The place in the order that the user has chosen (`sort=position`). Compare it"
        " as ASCII text; tasks with the same position are in the order of their ids. To change it,"
        " move the task, or reorder several.",
        examples=["Lff99e99f350e83a1cd3747455757c"],
    )
    parent_id: int | None = Field(
        description="The id of the task of which this one is a subtask, or null."
    )


class TaskListResponse(RootModel[list[TaskResponse]]):
    """A page of tasks."""


class TaskListEnvelope(BaseModel):
    """A page of tasks, for front ends that expect an object."""

    tasks: list[TaskResponse]
    total: int = Field(
        description="The number of tasks that match, if they are on one page or `count` is"
        " true, and otherwise of those on this page."
    )


class TaskStatsResponse(BaseModel):
    """How many tasks a user has."""

    total: int
    pending: int = Field(description="Those that are not completed.")
    completed: int
    overdue: int = Field(description="Those of the pending ones that were due before now.")


class TagCountResponse(BaseModel):
    """A tag, and how many tasks have it."""

    name: str = Field(
        description="Of several spellings that differ only in case, one.", examples=["home"]
    )
    count: int = Field(examples=[3])


class TagListResponse(RootModel[list[TagCountResponse]]):
    """The tags of a user, those of most tasks first."""


class TaskChange(BaseModel):
    """The newest change of a task: its state, or that it was deleted."""

    id: int
    revision: int = Field(description="Grows with every change of a task of the user.")
    task: TaskResponse | None = Field(None, description="The task, unless it was deleted.")
    deleted: bool | None = Field(None, description="True if it was deleted.")


class TaskChangesResponse(BaseModel):
    """Tasks that were changed or deleted, in the order of their changes."""

    changes: list[TaskChange]
    next: str = Field(description="The `since` of the next request.")
    more: bool = Field(description="Whether there are more changes already.")


def task_fields(task: Task) -> dict[str, object]:
    """Return a task as `TaskResponse` describes it, but for the forms of values."""
    (
        task_id,
        owner_id,
        title,
        description,
        priority,
        due_date,
        tags,
        reminders,
        position,
        parent_id,
        repetition,
        next_id,
        completed_at,
        version,
        created_at,
        updated_at,
    ) = task  # which takes less time than naming each field of a list of tasks
    # Most tasks have most of the fields of a new one, and a copy takes half the time.
    fields = _NEW_TASK.copy()
    fields["id"] = task_id
    fields["user_id"] = owner_id
    fields["title"] = title
    fields["description"] = description
    fields["created_at"] = created_at
    fields["updated_at"] = updated_at
    fields["version"] = version
    fields["position"] = position
    fields["parent_id"] = parent_id
    fields["next_id"] = next_id
    if completed_at is not None:
        fields |= {"completed": True, "status": _COMPLETED, "completed_at": completed_at}
    elif repetition is not None:
        fields |= _repetition_fields(repetition)
    if priority is not Priority.MEDIUM:
        fields["priority"] = _PRIORITY_LABELS[priority]
    if due_date is not None:
        fields["due_date"] = due_date.day or due_date.at
    if tags:
        fields["tags"] = list(tags)  # orjson knows no subclass of a tuple
    if reminders:
        fields["reminders"] = [_reminder_fields(each) for each in reminders]
    return fields


_NEW_TASK: dict[str, object] = {
    **dict.fromkeys(TaskResponse.model_fields),
    "completed": False,
    "status": "pending",
    "priority": Priority.MEDIUM.label,
    "tags": (),
    "reminders": (),
}
"""The fields of a task that was given nothing but a title, in the order of a response."""


def _reminder_fields(reminder: Reminder) -> Mapping[str, object]:
    if reminder.minutes_before is None:
        return {"remind_at": reminder.at}
    return {"minutes_before": reminder.minutes_before, "remind_at": reminder.at}


def _repetition_fields(repetition: Repetition) -> Mapping[str, object]:
    rule = repetition.rule
    return {
        "recurrence_rule": str(rule),
        "recurrence_pattern": rule.shorthand,
        "recurrence_interval": rule.interval,
        "repeat_from": repetition.repeat_from,
    }


def entity_tag(version: int) -> str:
    """Return the strong entity tag of this version of a task (RFC 9110 §8.8.3)."""
    return f'"{version}"'


def task_json(task: Task) -> bytes:
    """Render a task as `TaskResponse` describes it; a test compares the two.

    It creates no model, because validating the models of a list would take as long as the query.
    """
    return orjson.dumps(task_fields(task), option=orjson.OPT_UTC_Z)


def task_list_json(tasks: Sequence[Task]) -> bytes:
    """Render tasks as `TaskListResponse` describes them."""
    return array_json(tasks, task_fields)


def array_json[Item](items: Sequence[Item], to_fields: Callable[[Item], object]) -> bytes:
    """Render an array of items.

    A long one is rendered in chunks: other threads can run between two chunks, but not during
    one.
    """
    if len(items) <= CHUNK:
        return orjson.dumps([to_fields(item) for item in items], option=orjson.OPT_UTC_Z)
    parts = []
    for chunk in batched(items, CHUNK, strict=False):
        fields = [to_fields(item) for item in chunk]
        parts.append(orjson.dumps(fields, option=orjson.OPT_UTC_Z)[1:-1])
        give_way()
    return b"[%b]" % b",".join(parts)


def task_changes_json(page: ChangesPage) -> bytes:
    """Render changes as `TaskChangesResponse` describes them."""
    rest = orjson.dumps({"next": page.next_token, "more": page.has_more})
    return b'{"changes":%b,%b' % (array_json(page.changes, _change_fields), rest[1:])


def _change_fields(change: Change) -> dict[str, object]:
    state = {"deleted": True} if change.task is None else {"task": task_fields(change.task)}
    return {"id": change.id, "revision": change.revision, **state}


def task_envelope_json(page: TaskPage) -> bytes:
    """Render a page of tasks as `TaskListEnvelope` describes it."""
    total = len(page.tasks) if page.total is None else page.total
    return b'{"tasks":%b,"total":%d}' % (task_list_json(page.tasks), total)


def task_stats_json(counts: TaskCounts) -> bytes:
    """Render counts as `TaskStatsResponse` describes them."""
    return orjson.dumps(
        {
            "total": counts.total,
            "pending": counts.pending,
            "completed": counts.completed,
            "overdue": counts.overdue,
        }
    )


def tag_list_json(tags: Sequence[TagCount]) -> bytes:
    """Render tags as `TagListResponse` describes them."""
    return orjson.dumps([{"name": tag.name, "count": tag.count} for tag in tags])
