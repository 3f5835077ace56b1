"""A client that changes tasks at random, in every way in which a task can be changed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from todo_core.application import Application
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Creation, Deletion, Edit, TaskOperation
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import EditConflict, InvalidParent, PreconditionFailed, TaskNotFound

RECENT = 40
"""Writers choose among so many of the newest tasks, so that they often meet at one task."""


@dataclass
class Tasks:
    """The ids of an owner's tasks, deleted ones too, that several writers know."""

    owner_id: UserId
    ids: list[TaskId] = field(default_factory=list)

    def any(self, random: Random) -> TaskId:
        return random.choice(self.ids[-RECENT:])


class Writer:
    """Changes the tasks of some owners, and counts what it did and what was refused."""

    def __init__(self, application: Application, seed: int) -> None:
        self._application = application
        self._random = Random(seed)  # noqa: S311 - which operations come next
        self._numbers = iter(range(1_000_000_000))
        self._name = f"writer {seed}"
        self._weights: Sequence[tuple[Callable[[Tasks], None], int]] = (
            (self._create, 16),
            (self._create_subtask, 14),
            (self._change_parent, 8),
            (self._move, 6),
            (self._edit, 12),
            (self._edit_version, 6),
            (self._toggle, 14),
            (self._delete, 12),
            (self._delete_permanently, 8),
            (self._restore, 10),
            (self._bulk, 6),
            (self._complete_matching, 1),
            (self._delete_matching, 1),
        )
        self.done: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def operations(self) -> Sequence[str]:
        """The names of its operations, by which they are counted."""
        return [operation.__name__ for operation, _ in self._weights]

    def write(self, tasks: Tasks) -> None:
        """Run an operation. Another writer may have deleted or changed the task meanwhile."""
        operations, weights = zip(*self._weights, strict=True)
        [operation] = self._random.choices(operations, weights)
        try:
            (operation if tasks.ids else self._create)(tasks)
        except (TaskNotFound, InvalidParent, PreconditionFailed, EditConflict) as refusal:
            self.refused[type(refusal).__name__] += 1
        else:
            self.done[operation.__name__] += 1

    def _title(self) -> str:
        return f"{self._name}, task {next(self._numbers)}"

    def _create(self, tasks: Tasks) -> None:
        task = self._application.create_task(owner_id=tasks.owner_id, title=self._title())
        tasks.ids.append(task.id)

    def _create_subtask(self, tasks: Tasks) -> None:
        task = self._application.create_task(
            owner_id=tasks.owner_id, title=self._title(), parent_id=tasks.any(self._random)
        )
        tasks.ids.append(task.id)

    def _change_parent(self, tasks: Tasks) -> None:
        parent_id = self._random.choice((None, tasks.any(self._random)))
        self._application.update_task(
            owner_id=tasks.owner_id, task_id=tasks.any(self._random), parent_id=parent_id
        )

    def _move(self, tasks: Tasks) -> None:
        task_id, other = (tasks.any(self._random) for _ in range(2))
        parent_id = self._random.choice((None, tasks.any(self._random)))
        self._application.move_task(
            owner_id=tasks.owner_id, task_id=task_id, after=other, parent_id=parent_id
        )

    def _edit(self, tasks: Tasks) -> None:
        self._application.update_task(
            owner_id=tasks.owner_id, task_id=tasks.any(self._random), title=self._title()
        )

    def _edit_version(self, tasks: Tasks) -> None:
        task = self._application.get_task(owner_id=tasks.owner_id, task_id=tasks.any(self._random))
        self._application.update_task(
            owner_id=tasks.owner_id,
            task_id=task.id,
            description=self._title(),
            expected=[task.version],
        )

    def _toggle(self, tasks: Tasks) -> None:
        self._application.toggle_completion(
            owner_id=tasks.owner_id, task_id=tasks.any(self._random)
        )

    def _delete(self, tasks: Tasks) -> None:
        self._application.delete_task(owner_id=tasks.owner_id, task_id=tasks.any(self._random))

    def _delete_permanently(self, tasks: Tasks) -> None:
        self._application.delete_task(
            owner_id=tasks.owner_id, task_id=tasks.any(self._random), permanently=True
        )

    def _restore(self, tasks: Tasks) -> None:
        self._application.restore_task(owner_id=tasks.owner_id, task_id=tasks.any(self._random))

    def _bulk(self, tasks: Tasks) -> None:
        """Change tasks that were there a moment ago; if one is not, nothing is changed."""
        found = self._application.list_tasks(
            owner_id=tasks.owner_id, limit=self._random.randint(1, 4)
        ).tasks
        operations: list[TaskOperation] = [
            Creation({"title": self._title()}),
            Creation({"title": self._title(), "parent_id": self._possible_parent(found)}),
        ]
        for task in found:
            operations.append(Edit(task.id, {"title": self._title()}))
            operations.append(
                self._random.choice((Completion(task.id, completed=True), Deletion(task.id)))
            )
        outcomes = self._application.change_tasks(owner_id=tasks.owner_id, operations=operations)
        tasks.ids += [each.id for each in outcomes[:2] if not isinstance(each, int)]

    @staticmethod
    def _possible_parent(tasks: Sequence[Task]) -> TaskId | None:
        return next((task.id for task in tasks if task.parent_id is None), None)

    def _complete_matching(self, tasks: Tasks) -> None:
        self._application.complete_matching_tasks(
            owner_id=tasks.owner_id, query=TaskQuery(completed=False)
        )

    def _delete_matching(self, tasks: Tasks) -> None:
        self._application.delete_matching_tasks(
            owner_id=tasks.owner_id, query=TaskQuery(completed=True)
        )
