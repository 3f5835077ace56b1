"""The priority of a task."""

from enum import IntEnum
from typing import Self

from todo_core.errors import FieldError, ValidationFailed


class Priority(IntEnum):
    """How important a task is, in ascending order. The numbers are what is stored."""

    NONE = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    URGENT = 4

    @property
    def label(self) -> str:
        """The name by which clients know it."""
        return self.name.lower()

    @classmethod
    def parse(cls, raw: str | None) -> Self:
        """Return the priority with this name, whatever the case of its letters.

        `critical` is another name for urgent, and `normal` for medium, which is also the priority
        of a task that is given none.

        Raises:
            ValidationFailed: if there is no priority with this name.
        """
        name = (raw or "").strip().lower()
        label = _OTHER_NAMES.get(name, name)
        for priority in cls:
            if priority.label == label:
                return priority
        message = f"Priority must be one of {', '.join(each.label for each in cls)}."
        raise ValidationFailed(FieldError("priority", "unknown_priority", message))


_OTHER_NAMES = {"": "medium", "normal": "medium", "critical": "urgent"}
