"""The use cases that change many tasks at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import override

import pytest

from tests.support.world import World
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule
from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_operation import Completion, Creation, Deletion, Edit, TaskOperation
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import (
    AccountGone,
    EditConflict,
    PreconditionFailed,
    RateLimited,
    TaskNotFound,
    ValidationFailed,
)
from todo_core.ports.limits import Limit
from todo_core.use_cases.bulk import BATCH_SIZE, MAX_OPERATIONS

HOUR = timedelta(hours=1)

DAY = timedelta(days=1)


@pytest.fixture
def ada(world: World) -> UserId:
    return world.register().id


def created(world: World, owner: UserId, *titles: str) -> list[Task]:
    operations = [Creation({"title": title}) for title in titles]
    outcomes = world.application.change_tasks(owner_id=owner, operations=operations)
    return [each for each in outcomes if isinstance(each, Task)]


def listed(world: World, owner: UserId) -> dict[int, Task]:
    return {task.id: task for task in world.application.list_tasks(owner_id=owner).tasks}


class TestOperations:
    def test_operations_take_effect_in_their_order(self, world: World, ada: UserId) -> None:
        first, second, third = created(world, ada, "one", "two", "three")
        world.clock.advance(HOUR)
        outcomes = world.application.change_tasks(
            owner_id=ada,
            operations=[
                Edit(first.id, {"title": "1", "description": "the first"}),
                Completion(first.id),
                Creation({"title": "four", "description": "the last"}),
                Deletion(second.id),
                Completion(third.id, completed=False),
                Edit(first.id, {"completed": False}, version=3),
            ],
        )
        edited, completed, new, deleted, unchanged, reopened = outcomes
        assert isinstance(edited, Task)
        assert (edited.title, edited.version, edited.completed) == ("1", 2, False)
        assert isinstance(completed, Task)
        assert (completed.title, completed.version, completed.completed) == ("1", 3, True)
        assert isinstance(new, Task)
        assert (new.title, new.description, new.version) == ("four", "the last", 1)
        assert deleted == second.id
        assert unchanged == third
        assert isinstance(reopened, Task)
        assert (reopened.version, reopened.updated_at) == (4, world.clock.now())
        assert listed(world, ada) == {first.id: reopened, third.id: third, new.id: new}
        counts = world.application.count_tasks(owner_id=ada)
        assert counts == TaskCounts(revision=3 + 5, total=3, completed=0)

    @pytest.mark.parametrize("version", [None, 1])
    def test_an_operation_sees_that_an_earlier_one_has_deleted_the_task(
        self, world: World, ada: UserId, version: int | None
    ) -> None:
        [task] = created(world, ada, "one")
        operations: list[TaskOperation] = [Deletion(task.id), Completion(task.id, version)]
        with pytest.raises(TaskNotFound) as failure:
            world.application.change_tasks(owner_id=ada, operations=operations)
        assert failure.value.field == "operations/1/complete"
        assert listed(world, ada) == {task.id: task}

    def test_the_first_operation_that_fails_decides_and_nothing_is_changed(
        self, world: World, ada: UserId
    ) -> None:
        first, second = created(world, ada, "one", "two")
        before = world.application.count_tasks(owner_id=ada)
        operations: list[TaskOperation] = [
            Creation({"title": "three"}),
            Completion(first.id, version=1),
            Edit(second.id, {"title": "2"}, version=2),
            Deletion(TaskId(1)),
        ]
        with pytest.raises(PreconditionFailed) as stale:
            world.application.change_tasks(owner_id=ada, operations=operations)
        assert (stale.value.field, stale.value.version) == ("operations/2/update", 1)
        with pytest.raises(TaskNotFound) as missing:
            world.application.change_tasks(owner_id=ada, operations=operations[::-1])
        assert missing.value.field == "operations/0/delete"
        assert listed(world, ada) == {first.id: first, second.id: second}
        assert world.application.count_tasks(owner_id=ada) == before

    def test_values_of_all_operations_are_checked_before_tasks_are_looked_up(
        self, world: World, ada: UserId
    ) -> None:
        operations: list[TaskOperation] = [
            Deletion(TaskId(1)),
            Creation({"title": "", "description": "a" * 1001}),
            Edit(TaskId(2), {"title": "a\nb", "description": "\0"}),
            Edit(TaskId(3), {"completed": True}),
        ]
        with pytest.raises(ValidationFailed) as failure:
            world.application.change_tasks(owner_id=ada, operations=operations)
        assert [(error.field, error.code) for error in failure.value.errors] == [
            ("operations/1/create/title", "too_short"),
            ("operations/1/create/description", "too_long"),
            ("operations/2/update/title", "invalid_characters"),
            ("operations/2/update/description", "invalid_characters"),
        ]

    @pytest.mark.parametrize(("count", "code"), [(0, "too_short"), (501, "too_long")])
    def test_the_number_of_operations_is_limited(
        self, world: World, ada: UserId, count: int, code: str
    ) -> None:
        operations = [Creation({"title": "one"})] * count
        with pytest.raises(ValidationFailed) as failure:
            world.application.change_tasks(owner_id=ada, operations=operations)
        [error] = failure.value.errors
        assert (error.field, error.code) == ("operations", code)
        assert len(created(world, ada, *["one"] * MAX_OPERATIONS)) == MAX_OPERATIONS

    def test_a_deleted_owner_can_create_no_tasks(self, world: World) -> None:
        nobody = world.identifiers.user_id()
        with pytest.raises(AccountGone):
            world.application.change_tasks(owner_id=nobody, operations=[Creation({"title": "one"})])

    def test_other_ids_are_drawn_for_all_new_tasks_if_one_is_in_use(
        self, world: World, ada: UserId
    ) -> None:
        ids = FixedIdentifiers([TaskId(id) for id in (1, 2, 1, 3, 4)])
        change_tasks = replace(world.application.change_tasks, identifiers=ids)
        change_tasks(owner_id=ada, operations=[Creation({"title": "one"})])
        change_tasks(
            owner_id=ada, operations=[Creation({"title": "two"}), Creation({"title": "three"})]
        )
        assert {task.title: task.id for task in listed(world, ada).values()} == {
            "one": 1,
            "two": 3,
            "three": 4,
        }

    def test_a_bulk_gives_up_if_ids_keep_being_in_use(self, world: World, ada: UserId) -> None:
        ids = FixedIdentifiers([TaskId(1)] * 9)
        change_tasks = replace(world.application.change_tasks, identifiers=ids)
        change_tasks(owner_id=ada, operations=[Creation({"title": "one"})])
        with pytest.raises(EditConflict):
            change_tasks(owner_id=ada, operations=[Creation({"title": "two"})])

    @pytest.mark.parametrize(("operations", "hits"), [(1, 1), (50, 1), (51, 2), (500, 10)])
    def test_fifty_operations_count_as_one_request(
        self, world: World, ada: UserId, operations: int, hits: int
    ) -> None:
        limiter = LimitsRateLimiter("memory://", {Limit.TASKS: Rule("10/minute")})
        change_tasks = replace(world.application.change_tasks, limiter=limiter)
        change_tasks(owner_id=ada, operations=[Creation({"title": "one"})] * operations)
        for _ in range(10 - hits):
            limiter.hit(Limit.TASKS, str(ada))
        with pytest.raises(RateLimited):
            limiter.hit(Limit.TASKS, str(ada))


class FixedIdentifiers(TimeOrderedIdentifiers):
    """Returns these ids of tasks, one after the other."""

    def __init__(self, ids: Sequence[TaskId]) -> None:
        self._ids = iter(ids)

    @override
    def task_ids(self, owner_id: UserId, count: int, *, created_at: datetime) -> Sequence[TaskId]:
        return list(islice(self._ids, count))


class TestFilters:
    def test_those_that_the_query_chooses_are_completed(self, world: World, ada: UserId) -> None:
        old, done = created(world, ada, "old", "done")
        world.application.toggle_completion(owner_id=ada, task_id=done.id)
        world.clock.advance(HOUR)
        [new] = created(world, ada, "new")
        query = TaskQuery(created_before=new.created_at)
        assert world.application.complete_matching_tasks(owner_id=ada, query=query).count == 1
        tasks = listed(world, ada)
        assert [tasks[task.id].completed for task in (old, done, new)] == [True, True, False]
        assert [tasks[task.id].version for task in (old, done, new)] == [2, 2, 1]
        assert tasks[old.id].updated_at == world.clock.now()

    def test_those_that_the_query_chooses_are_deleted(self, world: World, ada: UserId) -> None:
        first, second = created(world, ada, "one", "two")
        world.application.toggle_completion(owner_id=ada, task_id=first.id)
        query = TaskQuery(completed=True)
        assert world.application.delete_matching_tasks(owner_id=ada, query=query).count == 1
        assert listed(world, ada) == {second.id: second}
        assert world.application.delete_matching_tasks(owner_id=ada, query=query).count == 0

    def test_completing_the_completed_tasks_changes_nothing(
        self, world: World, ada: UserId
    ) -> None:
        [task] = created(world, ada, "one")
        world.application.toggle_completion(owner_id=ada, task_id=task.id)
        query = TaskQuery(completed=True)
        assert world.application.complete_matching_tasks(owner_id=ada, query=query).count == 0
        assert listed(world, ada)[task.id].version == 2

    def test_more_tasks_than_fit_in_a_batch_are_changed_each_with_its_own_revision(
        self, world: World, ada: UserId
    ) -> None:
        count = 2 * BATCH_SIZE + 50
        created(world, ada, *["one"] * count)
        complete = world.application.complete_matching_tasks
        assert complete(owner_id=ada, query=TaskQuery(completed=False)).count == count
        counts = world.application.count_tasks(owner_id=ada)
        assert counts == TaskCounts(2 * count, total=count, completed=count)
        delete = world.application.delete_matching_tasks
        assert delete(owner_id=ada, query=TaskQuery(completed=True)).count == count
        assert world.application.count_tasks(owner_id=ada) == TaskCounts(3 * count, 0, 0)
