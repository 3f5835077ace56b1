"""Changes of many tasks in one request, as JSON."""

from collections.abc import Sequence
from typing import Annotated, Self, cast

from pydantic import (
    MISSING,
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    model_validator,
)
from pydantic_core import PydanticCustomError

from todo_api.http.schemas.tasks import (
    TaskCreate,
    TaskNumber,
    TaskPatch,
    TaskResponse,
    TaskUpdateStatus,
    WholeNumber,
    array_json,
    names_of,
    task_fields,
    task_id_of,
)
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import (
    Completion,
    Creation,
    Deletion,
    Edit,
    TaskOperation,
)
from todo_core.use_cases.bulk import MAX_OPERATIONS, Outcome
from todo_core.use_cases.ordering import Place

_KINDS = ("create", "update", "complete", "delete")


ExpectedVersion = Annotated[
    WholeNumber | MISSING,
    Field(description="The version that you have. If the task has another one: 412."),
]


type ParentId = TaskNumber | None


class OnTask(BaseModel):
    """An operation on a task that exists."""

    id: TaskNumber
    version: ExpectedVersion = MISSING

    @property
    def task_id(self) -> TaskId:
        """The id of the task."""
        return task_id_of(self.id)

    @property
    def expected(self) -> int | None:
        """The version that the task must have, or None if any will do."""
        return None if self.version is MISSING else self.version


class UpdateOperation(OnTask, TaskPatch):
    """The fields of the task to change. Fields that are not sent keep their value."""


class CompleteOperation(OnTask, TaskUpdateStatus):
    """Complete the task, or reopen it if `completed` is false or `status` is `pending`."""


class DeleteOperation(OnTask):
    """Delete the task."""


class BulkOperation(BaseModel):
    """One operation: exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [kind]} for kind in _KINDS]}
    )

    create: TaskCreate | MISSING = MISSING
    update: UpdateOperation | MISSING = MISSING
    complete: CompleteOperation | MISSING = MISSING
    delete: DeleteOperation | MISSING = MISSING

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise PydanticCustomError("not_one_operation", "must have exactly one operation")
        return self

    @property
    def on_task(self) -> OnTask | None:
        """The operation, if it is on a task that exists."""
        for operation in (self.update, self.complete, self.delete):
            if operation is not MISSING:
                return operation
        return None

    @property
    def kind(self) -> str:
        """The name of the operation."""
        [kind] = self.model_fields_set
        return kind

    def to_core(self) -> TaskOperation:
        """Return the operation as the use case takes it."""
        if self.update is not MISSING:
            return Edit(self.update.task_id, self.update.to_core(), self.update.expected)
        if self.complete is not MISSING:
            complete = self.complete
            completed = complete.to_core().get("completed", True)
            return Completion(complete.task_id, complete.expected, completed)
        if self.delete is not MISSING:
            return Deletion(self.delete.task_id, self.delete.expected)
        assert self.create is not MISSING  # noqa: S101 - there is exactly one
        return Creation(self.create.to_core())


class TaskBulk(BaseModel):
    """Operations on tasks, which take effect in this order: all of them, or none."""

    operations: list[BulkOperation] = Field(
        # pydantic checks the length before the items, each of which may have errors.
        max_length=MAX_OPERATIONS,
        json_schema_extra={"minItems": 1},
    )


class TaskMove(BaseModel):
    """Where a task is moved: directly before or directly after another one, and to which parent.

    Send `before` or `after`, or `parent_id`, or `parent_id` with one of the two.
    """

    model_config = ConfigDict(
        alias_generator=AliasGenerator(validation_alias=names_of),
        json_schema_extra={
            "anyOf": [{"required": [name]} for name in ("before", "after", "parent_id")],
            "not": {"required": ["before", "after"], "properties": {"before": {}, "after": {}}},
        },
    )

    before: Annotated[
        TaskNumber | MISSING,
        Field(description="The id of the task that the moved one comes directly before."),
    ] = MISSING
    after: Annotated[
        TaskNumber | MISSING,
        Field(description="The id of the task that the moved one comes directly after."),
    ] = MISSING
    parent_id: Annotated[
        ParentId | MISSING,
        Field(
            description="The id of the task of which the moved one becomes a subtask. Null makes it"
            " a task of its own. If it is not sent, the parent stays the same."
        ),
    ] = MISSING

    @model_validator(mode="after")
    def _require_place(self) -> Self:
        sent = self.model_fields_set
        if not sent or sent >= {"before", "after"}:
            raise PydanticCustomError("not_one_place", "must have one place")
        return self

    def to_core(self) -> Place:
        """Return the place as the use case takes it."""
        sent = self.model_dump().items()
        place = {name: number if number is None else task_id_of(number) for name, number in sent}
        return cast(Place, place)


class TaskOrderUpdate(BaseModel):
    """Tasks in their new order."""

    task_ids: list[TaskNumber] = Field(
        max_length=MAX_OPERATIONS,
        json_schema_extra={"minItems": 1, "uniqueItems": True},
        description="The ids of the tasks, from the first one on. They need not be all of yours.",
    )

    def to_core(self) -> Sequence[TaskId]:
        """Return the ids as the use case takes them.

        Numbers that are not ids become ids that no task has, different ones if the numbers are.
        """
        unknown: dict[int, TaskId] = {}
        return [
            task_id_of(number) or unknown.setdefault(number, TaskId(-len(unknown)))
            for number in self.task_ids
        ]


class TaskOrderResponse(RootModel[list[TaskResponse]]):
    """The tasks that were named, in their new order."""


class ChangedTask(BaseModel):
    """A task after an operation."""

    task: TaskResponse


class DeletedTask(BaseModel):
    """The id of a task that an operation deleted."""

    deleted: int


class TaskBulkResponse(BaseModel):
    """The outcome of each operation, in their order."""

    results: list[ChangedTask | DeletedTask]


class TasksCompletedResponse(BaseModel):
    """How many tasks were completed."""

    completed: int


class TasksDeletedResponse(BaseModel):
    """How many tasks were deleted."""

    deleted: int


def bulk_json(outcomes: Sequence[Outcome]) -> bytes:
    """Render outcomes as `TaskBulkResponse` describes them."""
    return b'{"results":%b}' % array_json(outcomes, _outcome_fields)


def _outcome_fields(outcome: Outcome) -> dict[str, object]:
    return {"task": task_fields(outcome)} if isinstance(outcome, Task) else {"deleted": outcome}
