"""Tasks. Only their owner can see them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Final, NewType, Self

from todo_core.entities.text import Prose, SearchText, Text, Validation, fold, searchable
from todo_core.entities.user import UserId

TaskId = NewType("TaskId", int)
"""A positive integer below 2**53, which every JSON parser reads exactly (RFC 8259 §6)."""


class Unchanged(Enum):
    """The type of `UNCHANGED`, the value of a field that is not to be changed."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED


class Title(Text):
    """The title of a task: 1 to 200 characters on one line, without surrounding white space."""

    __slots__ = ()

    field = "title"
    max_length = 200

    @property
    def sort_key(self) -> str:
        """The text by which titles are sorted, code point by code point.

        It is cut to the length of a title, since folding can lengthen text: a ligature becomes
        several characters.
        """
        return fold(self)[: self.max_length]


class Description(Prose):
    """The description of a task: 1 to 1000 characters on one or more lines."""

    __slots__ = ()

    field = "description"
    max_length = 1000

    @classmethod
    def or_none(cls, raw: str | None) -> Self | None:
        """Return the description, or None if it is absent or empty."""
        return cls(raw) if raw else None


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many tasks an owner has, and the revision of the newest change to any of them.

    The revision of an owner is 0 before their first change, and grows with each one.
    """

    revision: int
    total: int
    completed: int

    @property
    def pending(self) -> int:
        """How many are not completed."""
        return self.total - self.completed


@dataclass(frozen=True, slots=True)
class Task:
    """A task and its owner.

    `version` counts how often the task was saved. It makes concurrent changes safe (see
    `todo_core.ports.repositories.TaskRepository.save`). All times are aware and in UTC.
    """

    id: TaskId
    owner_id: UserId
    title: Title
    description: Description | None
    completed: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def create(
        cls,
        *,
        id: TaskId,
        owner_id: UserId,
        title: str,
        description: str | None,
        now: datetime,
    ) -> Self:
        """Create a task that is not completed.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        with Validation() as valid:
            valid_title = valid(Title, title)
            valid_description = valid(Description.or_none, description)
        return cls(
            id=id,
            owner_id=owner_id,
            title=valid_title,
            description=valid_description,
            completed=False,
            version=1,
            created_at=now,
            updated_at=now,
        )

    def edited(
        self,
        *,
        title: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        completed: bool | Unchanged = UNCHANGED,
        now: datetime,
    ) -> Self:
        """Return the task with these fields changed. Fields that are not given keep their value.

        If nothing changes, this same object is returned, so that the caller need not save it.

        Raises:
            ValidationFailed: naming every field that breaks its rules.
        """
        with Validation() as valid:
            new_title = self.title if title is UNCHANGED else valid(Title, title)
            new_description = (
                self.description
                if description is UNCHANGED
                else valid(Description.or_none, description)
            )
        new_completed = self.completed if completed is UNCHANGED else completed
        if (new_title, new_description, new_completed) == (
            self.title,
            self.description,
            self.completed,
        ):
            return self
        return replace(
            self,
            title=new_title,
            description=new_description,
            completed=new_completed,
            updated_at=now,
        )

    def contains(self, text: SearchText) -> bool:
        """Return whether this text is in the title or in the description, all of them folded."""
        folded = fold(text)
        return folded in searchable(self.title) or (
            self.description is not None and folded in searchable(self.description)
        )

    def with_completion(self, completed: bool, *, now: datetime) -> Self:
        """Return the task, completed or not. If nothing changes, it is this same object."""
        return self.edited(completed=completed, now=now)
