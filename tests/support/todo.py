"""The use cases on a storage, with an owner of tasks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any, Self

from tests.support.storages import Storage, stored_owner
from tests.support.tasks import all_tasks, revisions_of
from tests.support.world import POLICY, World
from todo_adapters.in_memory.changes import InMemoryChanges
from todo_adapters.limits.rate_limiter import Unlimited
from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_core.application import Application
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_operation import TaskOperation
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.use_cases.task_writes import TaskWrites

NOW = datetime(2026, 1, 1, tzinfo=UTC)  # of a `ManualClock`
FIRST_OF_OTHERS = 1000
_KEYS = count(1)


class NumberedTasks(TimeOrderedIdentifiers):
    """Gives the ids in `first` to new tasks, then consecutive ones."""

    def __init__(self) -> None:
        self.first: list[int] = []
        self.others = count(FIRST_OF_OTHERS)

    def task_ids(self, owner_id: UserId, count: int, *, created_at: datetime) -> Sequence[TaskId]:
        del owner_id, created_at
        return [
            TaskId(self.first.pop(0) if self.first else next(self.others)) for _ in range(count)
        ]


@dataclass
class Todo:
    """The use cases on a storage, and an owner."""

    storage: Storage
    owner: UserId
    application: Application
    world: World
    ids: NumberedTasks = field(default_factory=NumberedTasks)

    @classmethod
    def on(cls, storage: Storage, *, most: int = 1000) -> Self:
        """Assemble the use cases on a storage, with room for this many tasks of an owner."""
        ids, world = NumberedTasks(), World(limiter=Unlimited())
        ports = replace(
            world.ports,
            users=storage.users,
            sessions=storage.sessions,
            kept_responses=storage.kept_responses,
            tasks=storage.tasks,
            changes=InMemoryChanges(storage.tasks),
            unit_of_work=storage.unit_of_work,
            identifiers=ids,
        )
        application = Application(ports, replace(POLICY, max_tasks_per_user=most))
        return cls(storage, stored_owner(storage, 1, now=NOW).id, application, world, ids)

    def create(self, **fields: Any) -> Task:
        """Create a task with the lowest free id."""
        self.ids.first = [1 + len(self.all())]
        return self.application.create_task(owner_id=self.owner, **{"title": "Buy milk", **fields})

    def get(self, task_id: int | None) -> Task:
        assert task_id is not None
        return self.storage.tasks.get(TaskId(task_id), owner_id=self.owner)

    def all(self) -> Sequence[Task]:
        return all_tasks(self.storage.tasks, self.owner)

    def complete(self, task: Task, *, completed: bool = True) -> Task:
        return self.application.toggle_completion(
            owner_id=self.owner, task_id=task.id, completed=completed
        )

    def change(self, task: Task, **fields: Any) -> Task:
        return self.application.update_task(owner_id=self.owner, task_id=task.id, **fields)

    def bulk(self, *operations: TaskOperation) -> Sequence[object]:
        return self.application.change_tasks(owner_id=self.owner, operations=operations)

    def once(self, write: Callable[[TaskWrites], object]) -> None:
        """Write something with a new key."""
        request = IdempotentRequest(self.owner, IdempotencyKey(f"key-{next(_KEYS)}"), "a request")
        self.application.write_once(request, lambda writes: str(write(writes)).encode())

    def state(self) -> object:
        """Return everything that is stored of the owner's tasks."""
        tasks = self.storage.tasks
        trash = tasks.page(self.owner, TaskQuery(deleted=True), limit=500).tasks
        revisions = revisions_of(tasks, self.owner)
        return [*map(repr, self.all())], [*map(repr, trash)], revisions, tasks.counts(self.owner)

    def require_counts(self, *, revision: int, total: int, completed: int) -> None:
        """Check the counts of the owner, and that the newest change has their newest revision."""
        counts = self.storage.tasks.counts(self.owner)
        assert counts == TaskCounts(revision, total=total, completed=completed)
        revisions = revisions_of(self.storage.tasks, self.owner).values()
        assert max(revisions) == revision
        assert len({*revisions}) == len(revisions)
        tasks = self.all()
        assert (len(tasks), sum(task.completed for task in tasks)) == (total, completed)
