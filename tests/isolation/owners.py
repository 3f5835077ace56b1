"""Three owners in different time zones, whose tasks have the same ids."""

from collections.abc import Mapping, Sequence
from copy import replace
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.support.tasks import all_tasks, revisions_of
from todo_core.application import Application
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.ports.repositories import TaskRepository

PASSWORD = "a rather long sentence"
ZONES = ("Pacific/Niue", "UTC", "Pacific/Kiritimati")


@dataclass(frozen=True)
class Owners:
    """The use cases on a storage, and the ids of three owners in their order."""

    application: Application
    tasks: TaskRepository
    ids: Sequence[UserId]

    @classmethod
    def of(cls, application: Application, tasks: TaskRepository) -> "Owners":
        def owner(name: str) -> UserId:
            email = f"{name}@example.com"
            return application.register_user(name="User", email=email, password=PASSWORD).id

        ids = sorted(owner(name) for name in ("first", "second", "third"))
        for user_id, zone in zip(ids, ZONES, strict=True):
            application.update_profile(user_id=user_id, time_zone=zone)
        return cls(application, tasks, ids)

    def add(
        self, owner: UserId, number: int, *, stored: Mapping[str, Any] | None = None, **fields: Any
    ) -> Task:
        """Store a task with this id and these fields, of which some were changed since."""
        task = Task.create(
            id=TaskId(number),
            owner_id=owner,
            zone=TimeZone(ZONES[self.ids.index(owner)]),
            now=datetime.now(UTC),
            **{"title": "Buy milk", **fields},
        )
        self.tasks.add(replace(task, **(stored or {})))
        return self.tasks.get(task.id, owner_id=owner)

    def all(self, owner: UserId) -> Sequence[Task]:
        return all_tasks(self.tasks, owner)

    def state(self, owner: UserId) -> object:
        """Return everything that is stored of the owner's tasks."""
        tasks, trash = self.tasks, TaskQuery(deleted=True)
        return (
            [*map(repr, self.all(owner))],
            [*map(repr, tasks.page(owner, trash, limit=99).tasks)],
            revisions_of(tasks, owner),
            tasks.counts(owner),
        )

    def others(self, mine: UserId) -> Mapping[UserId, object]:
        """Return everything that is stored of the tasks of the other owners."""
        return {owner: self.state(owner) for owner in self.ids if owner != mine}
