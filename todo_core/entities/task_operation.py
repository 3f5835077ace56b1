"""The operations of a bulk: changes of tasks that are made together."""

from dataclasses import dataclass
from typing import ClassVar

from todo_core.entities.task import UNCHANGED, Description, TaskId, Title, Unchanged
from todo_core.entities.text import Validation


@dataclass(frozen=True, slots=True)
class Creation:
    """Create a task."""

    kind: ClassVar[str] = "create"

    title: str
    description: str | None = None

    def validate(self) -> None:
        """Check the values.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        with Validation() as valid:
            valid(Title, self.title)
            valid(Description.or_none, self.description)


@dataclass(frozen=True, slots=True)
class Edit:
    """Change fields of the task, if it has this version or none is given."""

    kind: ClassVar[str] = "update"

    id: TaskId
    version: int | None = None
    title: str | Unchanged = UNCHANGED
    description: str | Unchanged | None = UNCHANGED
    completed: bool | Unchanged = UNCHANGED

    def validate(self) -> None:
        """Check the values, as `Creation.validate` does."""
        with Validation() as valid:
            if self.title is not UNCHANGED:
                valid(Title, self.title)
            if self.description is not UNCHANGED:
                valid(Description.or_none, self.description)


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
