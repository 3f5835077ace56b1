"""Tasks, as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import (
    MISSING,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    StrictBool,
    TypeAdapter,
)

from todo_core.entities.task import Description, Task, Title

TitleText = Annotated[
    str,
    Field(
        json_schema_extra={"minLength": Title.min_length, "maxLength": Title.max_length},
        examples=["Buy milk"],
    ),
]
DescriptionText = Annotated[
    str | None,
    Field(
        json_schema_extra={"maxLength": Description.max_length},
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


_TASK = TypeAdapter(TaskResponse)
_TASKS = TypeAdapter(list[TaskResponse])
_ENVELOPE = TypeAdapter(TaskListEnvelope)


def task_json(task: Task) -> bytes:
    """A task."""
    return _TASK.dump_json(_TASK.validate_python(task, from_attributes=True))


def task_list_json(tasks: Sequence[Task]) -> bytes:
    """Tasks, as an array."""
    return _TASKS.dump_json(_TASKS.validate_python(tasks, from_attributes=True))


def task_envelope_json(tasks: Sequence[Task]) -> bytes:
    """Tasks, in an object."""
    envelope = TaskListEnvelope(
        tasks=_TASKS.validate_python(tasks, from_attributes=True), total=len(tasks)
    )
    return _ENVELOPE.dump_json(envelope)
