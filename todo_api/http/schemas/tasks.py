"""Tasks, as JSON."""

from collections.abc import Sequence
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
from todo_core.entities.task import Description, Task, Title

CHUNK = 64
"""How many tasks are rendered at once."""

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
        description="An empty one counts as none.",
        examples=["Two litres"],
    ),
]


class TaskCreate(BaseModel):
    """A new task."""

    title: TitleText
    description: DescriptionText = None


class TaskUpdate(BaseModel):
    """A task's new title and description; a description that is not sent stays."""

    title: TitleText
    description: DescriptionText | MISSING = MISSING


class TaskPatch(BaseModel):
    """What to change of a task; what is not sent stays."""

    title: TitleText | MISSING = MISSING
    description: DescriptionText | MISSING = MISSING
    completed: StrictBool | MISSING = MISSING


class TaskUpdateStatus(BaseModel):
    """Whether a task is to be completed; if that is not sent, it is flipped."""

    completed: StrictBool | MISSING = MISSING


class TaskResponse(BaseModel):
    """A task."""

    model_config = ConfigDict(from_attributes=True)

    id: int = Field(description="Below 2**53, so that JavaScript reads it exactly.")
    user_id: UUID = Field(validation_alias=AliasChoices("user_id", "owner_id"))
    title: str
    description: str | None
    completed: bool
    created_at: datetime
    updated_at: datetime
    version: int = Field(description="Grows by one with every change.")


class TaskListResponse(RootModel[list[TaskResponse]]):
    """All tasks, the newest first."""


class TaskListEnvelope(BaseModel):
    """All tasks, the newest first, for front ends that expect an object."""

    tasks: list[TaskResponse]
    total: int


def _fields(task: Task) -> dict[str, object]:
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


def task_json(task: Task) -> bytes:
    """A task, as `TaskResponse` describes it (a test sees that it does).

    It is written without the detour of making and validating a model, which for a
    list would take as long as the query.
    """
    return orjson.dumps(_fields(task), option=orjson.OPT_UTC_Z)


def task_list_json(tasks: Sequence[Task]) -> bytes:
    """Render tasks, as `TaskListResponse` describes them.

    Many are rendered in chunks. While one is rendered no other thread can run, but between two
    others may go first.
    """
    if len(tasks) <= CHUNK:
        return orjson.dumps([_fields(task) for task in tasks], option=orjson.OPT_UTC_Z)
    parts = []
    for chunk in batched(tasks, CHUNK, strict=False):
        fields = [_fields(task) for task in chunk]
        parts.append(orjson.dumps(fields, option=orjson.OPT_UTC_Z)[1:-1])
        give_way()
    return b"[%b]" % b",".join(parts)


def task_envelope_json(tasks: Sequence[Task]) -> bytes:
    """Tasks, as `TaskListEnvelope` describes them."""
    return b'{"tasks":%b,"total":%d}' % (task_list_json(tasks), len(tasks))
