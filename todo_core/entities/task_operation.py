"""The operations of a bulk: changes of tasks that are made together."""

from dataclasses import dataclass
from typing import ClassVar

from todo_core.entities.reminders import NO_REMINDERS
from todo_core.entities.task import NewTaskFields, TaskFields, TaskId, parsed


@dataclass(frozen=True, slots=True)
class Creation:
    """Create a task."""

    kind: ClassVar[str] = "create"

    fields: NewTaskFields

    def validate(self) -> None:
        """Check the values.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        values = parsed(self.fields)
        if values.get("due_date") is None:
            values.get("reminders", NO_REMINDERS).require_due_date(former=())


@dataclass(frozen=True, slots=True)
class Edit:
    """Change fields of the task, if it has this version or none is given."""

    kind: ClassVar[str] = "update"

    id: TaskId
    fields: TaskFields
    version: int | None = None

    def validate(self) -> None:
        """Check the values, as `Creation.validate` does."""
        parsed(self.fields)


@dataclass(frozen=True, slots=True)
class Completion:
    """Set whether the task is completed, if it has this version or none is given."""

    kind: ClassVar[str] = "complete"

    id: TaskId
    version: int | None = None
    completed: bool = True

    def validate(self) -> None:
        """Accept the values: they have no rules."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """Delete the task, if it has this version or none is given."""

    kind: ClassVar[str] = "delete"

    id: TaskId
    version: int | None = None

    def validate(self) -> None:
        """Accept the values: they have no rules."""


type TaskOperation = Creation | Edit | Completion | Deletion
