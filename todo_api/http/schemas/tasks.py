"""Tasks, as JSON."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import batched
from typing import Annotated
from uuid import UUID

import orjson
from pydantic import (
    MISSING,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
)

from todo_api.http.schemas.text import LINE_PATTERN, PROSE_PATTERN
from todo_api.runtime.threads import give_way
from todo_core.entities.task import Description, Task, TaskCounts, Title
from todo_core.entities.task_changes import Change, ChangesPage
from todo_core.entities.task_query import TaskPage

CHUNK = 64
"""The number of items of an array that are rendered at once."""

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


class TaskCreate(BaseModel):
    """A new task."""

    title: TitleText
    description: DescriptionText = None


class TaskUpdate(BaseModel):
    """The new title and description. A description that is not sent keeps its value."""

    title: TitleText
    description: DescriptionText | MISSING = MISSING


class TaskPatch(BaseModel):
    """The fields to change. Fields that are not sent keep their value."""

    title: TitleText | MISSING = MISSING
    description: DescriptionText | MISSING = MISSING
    completed: StrictBool | MISSING = MISSING


class TaskUpdateStatus(BaseModel):
    """The new state of the task. If it is not sent, the state is toggled."""

    completed: StrictBool | MISSING = MISSING


class TaskResponse(BaseModel):
    """A task."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(description="Less than 2**53, so that JavaScript represents it exactly.")
    user_id: UUID = Field(validation_alias=AliasChoices("user_id", "owner_id"))
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    version: int = Field(description="Increases by one with every change.")


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
    return {
        "id": task.id,
        "user_id": task.owner_id,
        "title": task.title,
        "description": task.description,
        "completed": task.completed,
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "version": task.version,
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
        {"total": counts.total, "pending": counts.pending, "completed": counts.completed}
    )
