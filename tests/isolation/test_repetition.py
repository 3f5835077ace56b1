"""Completing and reopening tasks that repeat touches only their owner's, even with equal ids."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

import pytest

from tests.isolation.owners import ZONES, Owners
from todo_core.application import Application
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Edit
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import UserId

FAR = "2999-01-07"
OWNERS = (0, 1, 2)
KEYS = count(1)


def add(todo: Owners, owner: UserId, number: int, **stored: Any) -> Task:
    """Store a task with this id that repeats every day."""
    return todo.add(
        *(owner, number),
        title="Water the plants",
        due_date=FAR,
        recurrence_rule="daily",
        stored=stored,
    )


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
    todo: Owners, way: str, number: int
) -> None:
    for owner in todo.ids:
        add(todo, owner, 1)
    mine = todo.ids[number]
    others = todo.others(mine)
    COMPLETIONS[way](todo.application, mine, True)
    assert todo.others(mine) == others
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
    todo: Owners, way: str, has_own: bool, number: int
) -> None:
    mine = todo.ids[number]
    for owner in todo.ids:
        add(todo, owner, 1, completed_at=datetime.now(UTC), next_id=TaskId(2))
        if owner != mine or has_own:
            add(todo, owner, 2)
    others = todo.others(mine)
    WAYS[way](todo.application, mine, False)
    assert todo.others(mine) == others
    [reopened] = todo.all(mine)
    assert (reopened.id, reopened.completed, reopened.next_id) == (1, False, None)
    assert reopened.repetition is not None


@of_each
@pytest.mark.parametrize("is_mine", [True, False], ids=["own change", "change of others"])
@pytest.mark.parametrize("way", WAYS)
def test_a_changed_task_of_another_with_the_id_of_the_successor_is_not_the_successor(
    todo: Owners, way: str, is_mine: bool, number: int
) -> None:
    mine = todo.ids[number]
    for owner in todo.ids:
        add(todo, owner, 1, completed_at=datetime.now(UTC), next_id=TaskId(2))
        add(todo, owner, 2, version=2 if (owner == mine) == is_mine else 1)
    others = todo.others(mine)
    WAYS[way](todo.application, mine, False)
    assert todo.others(mine) == others
    assert {each.id for each in todo.all(mine)} == ({1, 2} if is_mine else {1})
    reopened = todo.tasks.get(TaskId(1), owner_id=mine)
    assert (reopened.repetition is None) == is_mine


def test_the_successor_of_another_user_is_not_reached_by_a_later_operation_of_a_bulk(
    todo: Owners,
) -> None:
    ada, bob, _ = todo.ids
    for owner in (ada, bob):
        add(todo, owner, 1, completed_at=datetime.now(UTC), next_id=TaskId(2))
        add(todo, owner, 2, version=2)
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
