"""What a person does with their tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from todo_core.entities.task import UNCHANGED, Task, TaskId, Unchanged
from todo_core.entities.user import UserId
from todo_core.errors import EditConflict, IdTaken, StaleVersion
from todo_core.ports.clock import Clock
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.repositories import TaskRepository

EDIT_ATTEMPTS = 50
"""How often an edit is tried on a task that others keep changing.

In each round in which an edit loses, another one has won; so this many edits of
one task at the same moment all succeed.
"""

ID_ATTEMPTS = 3
"""How often an identifier is drawn; a second time is needed once in ages."""


@dataclass(frozen=True, slots=True)
class CreateTask:
    """A person notes down a new task, which is not completed yet.

    Raises:
        ValidationFailed: if the title or the description breaks its rules.
        AccountGone: if the owner does not exist any more.
    """

    tasks: TaskRepository
    identifiers: Identifiers
    clock: Clock

    def __call__(self, *, owner_id: UserId, title: str, description: str | None = None) -> Task:
        for remaining in reversed(range(ID_ATTEMPTS)):
            task = Task.create(
                id=self.identifiers.task_id(),
                owner_id=owner_id,
                title=title,
                description=description,
                now=self.clock.now(),
            )
            try:
                self.tasks.add(task)
                break
            except IdTaken:
                if not remaining:
                    raise
        return task


@dataclass(frozen=True, slots=True)
class ListTasks:
    """A person looks at all of their tasks, the newest first, or at those (not) completed."""

    tasks: TaskRepository

    def __call__(self, *, owner_id: UserId, completed: bool | None = None) -> Sequence[Task]:
        return self.tasks.list(owner_id, completed=completed)


@dataclass(frozen=True, slots=True)
class GetTask:
    """A person looks at one of their tasks.

    Raises:
        TaskNotFound: if they have no such task, whoever else may.
    """

    tasks: TaskRepository

    def __call__(self, *, owner_id: UserId, task_id: TaskId) -> Task:
        return self.tasks.get(task_id, owner_id=owner_id)


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """A person edits one of their tasks. What they do not mention stays as it is.

    Edits of different fields at the same time all survive.

    Raises:
        TaskNotFound: if they have no such task, whoever else may.
        ValidationFailed: if the title or the description breaks its rules.
        EditConflict: if others keep changing the task faster.
    """

    tasks: TaskRepository
    clock: Clock

    def __call__(
        self,
        *,
        owner_id: UserId,
        task_id: TaskId,
        title: str | Unchanged = UNCHANGED,
        description: str | Unchanged | None = UNCHANGED,
        completed: bool | Unchanged = UNCHANGED,
    ) -> Task:
        def edit(task: Task) -> Task:
            return task.edited(
                title=title,
                description=description,
                completed=completed,
                now=self.clock.now(),
            )

        return _change(self.tasks, owner_id, task_id, edit)


@dataclass(frozen=True, slots=True)
class ToggleCompletion:
    """A person ticks a task off, or takes the tick back.

    With `completed` given it is set to that; without, it is flipped. Flips at
    the same time each take effect, one after the other.

    Raises:
        TaskNotFound: if they have no such task, whoever else may.
        EditConflict: if others keep changing the task faster.
    """

    tasks: TaskRepository
    clock: Clock

    def __call__(self, *, owner_id: UserId, task_id: TaskId, completed: bool | None = None) -> Task:
        def toggle(task: Task) -> Task:
            wanted = not task.completed if completed is None else completed
            return task.with_completion(wanted, now=self.clock.now())

        return _change(self.tasks, owner_id, task_id, toggle)


@dataclass(frozen=True, slots=True)
class DeleteTask:
    """A person removes one of their tasks for good.

    Raises:
        TaskNotFound: if they have no such task, whoever else may.
    """

    tasks: TaskRepository

    def __call__(self, *, owner_id: UserId, task_id: TaskId) -> None:
        self.tasks.remove(task_id, owner_id=owner_id)


def _change(
    tasks: TaskRepository, owner_id: UserId, task_id: TaskId, change: Callable[[Task], Task]
) -> Task:
    """Load, change and save a task; start over when somebody else saved in between."""
    for _ in range(EDIT_ATTEMPTS):
        task = tasks.get(task_id, owner_id=owner_id)
        changed = change(task)
        if changed is task:
            return task
        try:
            return tasks.save(changed)
        except StaleVersion:
            continue
    raise EditConflict
