"""Tasks that a unit of work has locked, and what a write of one of them means for its subtasks."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import InvalidParent, TaskNotFound
from todo_core.ports.repositories import TaskRepository

MAX_SUBTASKS = 500
"""How many subtasks a task may be given. They are completed, deleted and restored with it at once.

Those that follow subtasks that repeat may be more.
"""


class LockedTasks:
    """Some of an owner's tasks as they are now, which no other unit of work can change.

    Those that are named are locked, and the parents and subtasks of `families_of`. Lock all of them
    at once, if possible, since locks in another order could deadlock.
    """

    def __init__(
        self,
        tasks: TaskRepository,
        owner_id: UserId,
        task_ids: Collection[TaskId],
        *,
        families_of: Collection[TaskId] = (),
    ) -> None:
        self._tasks = tasks
        self._owner_id = owner_id
        self._current: dict[TaskId, Task] = {}
        self.lock(task_ids, families_of=families_of)

    def lock(self, task_ids: Collection[TaskId], *, families_of: Collection[TaskId] = ()) -> None:
        """Lock further tasks, and the parents and subtasks of `families_of`."""
        locked = self._tasks.lock([*task_ids], owner_id=self._owner_id, families_of=[*families_of])
        self._current.update((task.id, task) for task in locked)

    def __iter__(self) -> Iterator[Task]:
        """Yield the tasks, in the order of their ids as far as they were locked at once."""
        return iter([*self._current.values()])

    def __len__(self) -> int:
        return len(self._current)

    def find(self, task_id: TaskId) -> Task | None:
        """Return the task, or None if the owner has no such task or it is not locked."""
        return self._current.get(task_id)

    def get(self, task_id: TaskId) -> Task:
        """Return the task.

        Raises:
            TaskNotFound: if the owner has no such task, or it is not locked.
        """
        task = self.find(task_id)
        if task is None:
            raise TaskNotFound
        return task

    def subtasks(self, task_id: TaskId) -> Sequence[Task]:
        """Return the subtasks of a task that was locked with its family."""
        return [task for task in self if task.parent_id == task_id]

    def can_have(self, parent_id: TaskId, *, subtask_id: TaskId | None = None) -> bool:
        """Return whether a task can become a subtask of this parent, which is locked.

        `subtask_id` is the id of the task, unless it is new or was just restored.
        """
        parent = self.find(parent_id)
        return (
            parent is not None
            and parent.parent_id is None
            and parent_id != subtask_id
            and self._count_subtasks(parent_id) < MAX_SUBTASKS
            and (subtask_id is None or not self._count_subtasks(subtask_id))
        )

    def require_parent(self, parent_id: TaskId | None, *, subtask_id: TaskId | None = None) -> None:
        """Check that a task can become a subtask of this parent, if it is to have one.

        Raises:
            InvalidParent: if it cannot.
        """
        if parent_id is not None and not self.can_have(parent_id, subtask_id=subtask_id):
            error = InvalidParent()
            error.field = "parent_id"
            raise error

    def _count_subtasks(self, task_id: TaskId) -> int:
        return self._tasks.count(self._owner_id, TaskQuery(parent_id=task_id))

    def add(self, task: Task, *, most: int) -> None:
        """Store a new task, as `TaskRepository.add` does."""
        self._tasks.add(task, most=most)
        self._current[task.id] = task

    def save(self, task: Task) -> Task:
        """Store a changed task, and return it with its version incremented."""
        saved = self._tasks.save(task)
        self._current[task.id] = saved
        return saved

    def remove(
        self, task_id: TaskId, *, expires_at: datetime, permanently: bool = False
    ) -> Sequence[Task]:
        """Move a task that was locked with its family to the trash, with its subtasks.

        Return the subtasks. The rest is as in `TaskRepository.remove`.

        Raises:
            HasSubtasks: if a subtask was added in the meantime.
        """
        subtasks = self.subtasks(task_id)
        for task in (*subtasks, self.get(task_id)):
            self._tasks.remove(
                task.id,
                owner_id=self._owner_id,
                expires_at=expires_at,
                permanently=permanently,
                version=task.version,
            )
            del self._current[task.id]
        return subtasks
