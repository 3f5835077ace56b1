"""Completing and reopening tasks that repeat touches only their owner's, even with equal ids."""

from collections.abc import Callable, Sequence
from copy import replace
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import pytest

from tests.support.tasks import all_tasks, revisions_of
from tests.support.world import World
from todo_api.container import Container
from todo_core.application import Application
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Edit
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId
from todo_core.ports.repositories import TaskRepository

PASSWORD = "a rather long sentence"
FAR = "2999-01-07"
ZONES = ("Pacific/Niue", "UTC", "Pacific/Kiritimati")
OWNERS = (0, 1, 2)
KEYS = count(1)


@dataclass(frozen=True)
class Todo:
    """The use cases on a storage, with three owners in different time zones."""

    application: Application
    tasks: TaskRepository
    owners: Sequence[UserId]

    @classmethod
    def of(cls, application: Application, tasks: TaskRepository) -> "Todo":
        def owner(name: str) -> UserId:
            email = f"{name}@example.com"
            return application.register_user(name="User", email=email, password=PASSWORD).id

        owners = sorted(owner(name) for name in ("first", "second", "third"))
        for user_id, zone in zip(owners, ZONES, strict=True):
            application.update_profile(user_id=user_id, time_zone=zone)
        return cls(application, tasks, owners)

    def add(self, owner: UserId, number: int, **details: Any) -> Task:
        """Store a task with this id that repeats every day."""
        task = Task.create(
            id=TaskId(number),
            owner_id=owner,
            title="Water the plants",
            due_date=FAR,
            recurrence_rule="daily",
            zone=TimeZone(ZONES[self.owners.index(owner)]),
            now=datetime.now(UTC),
        )
        self.tasks.add(replace(task, **details))
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


@pytest.fixture(params=["in_memory", "sqlite", "postgresql"])
def todo(request: pytest.FixtureRequest) -> Todo:
    if request.param == "in_memory":
        world = World()
        return Todo.of(world.application, world.tasks)
    container: Container = request.getfixturevalue(f"{request.param}_container")
    return Todo.of(container.application(), container.tasks())


type Set = Callable[[Application, UserId, bool], object]
"""Completes or reopens the owner's task with the id 1."""


def with_a_key(todo: Application, owner: UserId, completed: bool) -> object:
    request = IdempotentRequest(owner, IdempotencyKey(f"key-{next(KEYS)}"), "a request")
    return todo.write_once(
        request,
        lambda writes: (
            b"%d"
            % writes.toggle_completion(
                owner_id=owner, task_id=TaskId(1), completed=completed
            ).version
        ),
    )


WAYS: dict[str, Set] = {
    "update": lambda todo, owner, completed: todo.update_task(
        owner_id=owner, task_id=TaskId(1), completed=completed
    ),
    "toggle": lambda todo, owner, _: todo.toggle_completion(owner_id=owner, task_id=TaskId(1)),
    "bulk": lambda todo, owner, completed: todo.change_tasks(
        owner_id=owner, operations=[Completion(TaskId(1), completed=completed)]
    ),
    "edit of a bulk": lambda todo, owner, completed: todo.change_tasks(
        owner_id=owner, operations=[Edit(TaskId(1), {"completed": completed})]
    ),
    "key": with_a_key,
}
COMPLETIONS: dict[str, Set] = WAYS | {
    "filter": lambda todo, owner, _: todo.complete_matching_tasks(
        owner_id=owner, query=TaskQuery(completed=False)
    )
}
of_each = pytest.mark.parametrize("number", OWNERS)


@of_each
@pytest.mark.parametrize("way", COMPLETIONS)
def test_completing_a_task_touches_only_the_tasks_of_its_owner(
    todo: Todo, way: str, number: int
) -> None:
    for owner in todo.owners:
        todo.add(owner, 1)
    mine = todo.owners[number]
    others = {owner: todo.state(owner) for owner in todo.owners if owner != mine}
    COMPLETIONS[way](todo.application, mine, True)
    assert {owner: todo.state(owner) for owner in others} == others
    done = todo.tasks.get(TaskId(1), owner_id=mine)
    assert done.next_id is not None
    following = todo.tasks.get(done.next_id, owner_id=mine)
    assert {each.id: each.owner_id for each in todo.all(mine)} == {1: mine, following.id: mine}
    assert following.due_date is not None
    assert str(following.due_date) == "2999-01-08"
    assert following.due_date.at == TimeZone(ZONES[number]).end_of(date(2999, 1, 8))


@of_each
@pytest.mark.parametrize("has_own", [True, False], ids=["own successor", "no successor"])
@pytest.mark.parametrize("way", WAYS)
def test_reopening_a_task_removes_no_task_of_another_with_the_id_of_the_successor(
    todo: Todo, way: str, has_own: bool, number: int
) -> None:
    mine = todo.owners[number]
    for owner in todo.owners:
        todo.add(owner, 1, completed_at=datetime.now(UTC), next_id=TaskId(2))
        if owner != mine or has_own:
            todo.add(owner, 2)
    others = {owner: todo.state(owner) for owner in todo.owners if owner != mine}
    WAYS[way](todo.application, mine, False)
    assert {owner: todo.state(owner) for owner in others} == others
    [reopened] = todo.all(mine)
    assert (reopened.id, reopened.completed, reopened.next_id) == (1, False, None)
    assert reopened.repetition is not None


@of_each
@pytest.mark.parametrize("is_mine", [True, False], ids=["own change", "change of others"])
@pytest.mark.parametrize("way", WAYS)
def test_a_changed_task_of_another_with_the_id_of_the_successor_is_not_the_successor(
    todo: Todo, way: str, is_mine: bool, number: int
) -> None:
    mine = todo.owners[number]
    for owner in todo.owners:
        todo.add(owner, 1, completed_at=datetime.now(UTC), next_id=TaskId(2))
        todo.add(owner, 2, version=2 if (owner == mine) == is_mine else 1)
    others = {owner: todo.state(owner) for owner in todo.owners if owner != mine}
    WAYS[way](todo.application, mine, False)
    assert {owner: todo.state(owner) for owner in others} == others
    assert {each.id for each in todo.all(mine)} == ({1, 2} if is_mine else {1})
    reopened = todo.tasks.get(TaskId(1), owner_id=mine)
    assert (reopened.repetition is None) == is_mine


def test_the_successor_of_another_user_is_not_reached_by_a_later_operation_of_a_bulk(
    todo: Todo,
) -> None:
    ada, bob, _ = todo.owners
    for owner in (ada, bob):
        todo.add(owner, 1, completed_at=datetime.now(UTC), next_id=TaskId(2))
        todo.add(owner, 2, version=2)
    before = todo.state(bob)
    todo.application.change_tasks(
        owner_id=ada,
        operations=[
            Completion(TaskId(1), completed=False),
            Edit(TaskId(2), {"title": "Water the cactus"}),
            Completion(TaskId(2)),
        ],
    )
    assert todo.state(bob) == before
    assert {each.owner_id for each in todo.all(ada)} == {ada}
    assert sorted(each.completed for each in todo.all(ada)) == [False, False, True]
