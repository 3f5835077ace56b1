"""The use cases of tasks."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import override

import pytest

from tests.support.tasks import all_tasks
from tests.support.world import LIMITS, World
from todo_adapters.in_memory.tasks import InMemoryTaskRepository
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule
from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_core.entities.task import Task, TaskFields, TaskId, parsed
from todo_core.entities.user import UserId
from todo_core.errors import (
    EditConflict,
    IdTaken,
    RateLimited,
    StaleVersion,
    TaskNotFound,
    ValidationFailed,
)
from todo_core.ports.limits import Limit
from todo_core.ports.repositories import TaskRepository
from todo_core.use_cases.tasks import UpdateTask

HOUR = timedelta(hours=1)


def test_a_new_task_is_not_completed_and_has_the_current_time(world: World) -> None:
    ada = world.register()
    world.clock.advance(HOUR)
    task = world.application.create_task(owner_id=ada.id, title=" Buy milk ", description="")
    assert (task.title, task.description, task.completed) == ("Buy milk", None, False)
    assert task.created_at == task.updated_at == world.clock.now()
    assert world.application.list_tasks(owner_id=ada.id).tasks == [task]


@pytest.mark.parametrize("name", sorted(TaskFields.__annotations__.keys() - {"completed"}))
def test_every_field_that_may_change_has_rules_and_is_one_of_a_task(name: str) -> None:
    repetition = {"recurrence_rule", "repeat_from"}
    assert name in {*Task._fields} | repetition
    with suppress(ValidationFailed):
        assert [*parsed({name: "2026-12-01"})] == [name]


def test_an_invalid_task_is_not_stored(world: World) -> None:
    ada = world.register()
    with pytest.raises(ValidationFailed) as failure:
        world.application.create_task(owner_id=ada.id, title="", description="a" * 1001)
    assert [error.field for error in failure.value.errors] == ["title", "description"]
    assert world.application.list_tasks(owner_id=ada.id).tasks == []


def test_another_task_id_is_drawn_if_the_first_is_in_use(world: World) -> None:
    ada = world.register()
    ids = iter([TaskId(1), TaskId(1), TaskId(2)])
    create_task = replace(world.application.create_task, identifiers=FixedIdentifiers(ids))
    first = create_task(owner_id=ada.id, title="The first")
    second = create_task(owner_id=ada.id, title="The second")
    assert (first.id, second.id) == (1, 2)


def test_creating_a_task_gives_up_after_three_used_ids(world: World) -> None:
    ada = world.register()
    ids = iter([TaskId(1)] * 100)
    create_task = replace(world.application.create_task, identifiers=FixedIdentifiers(ids))
    create_task(owner_id=ada.id, title="The first")
    with pytest.raises(IdTaken):
        create_task(owner_id=ada.id, title="The second")


def test_fields_that_an_update_does_not_mention_keep_their_value(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(
        owner_id=ada.id, title="Buy milk", description="Two litres"
    )
    world.clock.advance(HOUR)
    edited = world.application.update_task(owner_id=ada.id, task_id=task.id, title="Buy oats")
    assert (edited.title, edited.description, edited.completed) == ("Buy oats", "Two litres", False)
    assert edited.created_at == task.created_at
    assert edited.updated_at == world.clock.now()
    assert edited.version == task.version + 1


def test_an_edit_that_changes_nothing_is_not_stored(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    world.clock.advance(HOUR)
    assert (
        world.application.update_task(owner_id=ada.id, task_id=task.id, title=" Buy milk") == task
    )
    assert (
        world.application.toggle_completion(owner_id=ada.id, task_id=task.id, completed=False)
        == task
    )
    assert world.application.get_task(owner_id=ada.id, task_id=task.id) == task


def test_an_invalid_edit_is_not_stored(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    with pytest.raises(ValidationFailed):
        world.application.update_task(owner_id=ada.id, task_id=task.id, title="\x00")
    assert world.application.get_task(owner_id=ada.id, task_id=task.id) == task


def test_completion_can_be_inverted_or_set(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    one = world.application.toggle_completion
    assert one(owner_id=ada.id, task_id=task.id).completed
    assert not one(owner_id=ada.id, task_id=task.id).completed
    assert one(owner_id=ada.id, task_id=task.id, completed=True).completed
    assert one(owner_id=ada.id, task_id=task.id, completed=True).completed


def test_no_use_case_finds_a_task_of_another_user(world: World) -> None:
    ada, bob = world.register(), world.register("bob@example.com")
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    for use_case in (
        world.application.get_task,
        world.application.update_task,
        world.application.toggle_completion,
        world.application.delete_task,
    ):
        with pytest.raises(TaskNotFound):
            use_case(owner_id=bob.id, task_id=task.id)
    assert world.application.list_tasks(owner_id=bob.id).tasks == []
    assert world.application.list_tasks(owner_id=ada.id).tasks == [task]


def test_a_deleted_task_is_gone(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    world.application.delete_task(owner_id=ada.id, task_id=task.id)
    with pytest.raises(TaskNotFound):
        world.application.get_task(owner_id=ada.id, task_id=task.id)


def test_an_edit_that_loses_a_race_is_applied_to_the_newer_version(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    contested = ContestedTasks(world, losses=3)
    edited = update_with(world, contested)(owner_id=ada.id, task_id=task.id, title="Buy oats")
    assert (edited.title, edited.description) == ("Buy oats", "Changed 3 times")


def test_an_edit_that_loses_every_race_raises_a_conflict(world: World) -> None:
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    contested = ContestedTasks(world, losses=1000)
    with pytest.raises(EditConflict):
        update_with(world, contested)(owner_id=ada.id, task_id=task.id, title="Buy oats")


def update_with(world: World, tasks: TaskRepository) -> UpdateTask:
    update = world.application.update_task
    return replace(update, change=replace(update.change, tasks=tasks))


class FixedIdentifiers(TimeOrderedIdentifiers):
    """Identifiers whose task ids are given."""

    def __init__(self, ids: Iterator[TaskId]) -> None:
        self._ids = ids

    @override
    def task_ids(self, owner_id: UserId, count: int, *, created_at: datetime) -> Sequence[TaskId]:
        return list(islice(self._ids, count))


class ContestedTasks(InMemoryTaskRepository):
    """Tasks that another writer saves first, a given number of times."""

    def __init__(self, world: World, *, losses: int) -> None:
        super().__init__(world.store)
        self._world, self._losses, self._lost = world, losses, 0

    def save(
        self, task: Task, *, loaded: Task | None = None, completes_alone: bool = False
    ) -> Task:
        if self._lost < self._losses:
            self._lost += 1
            current = self.get(task.id, owner_id=task.owner_id)
            changed = current.edited(
                description=f"Changed {self._lost} times", now=self._world.clock.now()
            )
            super().save(changed)
            with pytest.raises(StaleVersion):
                super().save(task)
            raise StaleVersion
        return super().save(task, loaded=loaded, completes_alone=completes_alone)


def test_all_task_requests_of_a_user_share_one_limit() -> None:
    world = World(limiter=LimitsRateLimiter("memory://", LIMITS | {Limit.TASKS: Rule("6/minute")}))
    ada, bob = world.register(), world.register("bob@example.com")
    application = world.application
    task = application.create_task(owner_id=ada.id, title="Buy milk")
    application.list_tasks(owner_id=ada.id)
    application.get_task(owner_id=ada.id, task_id=task.id)
    application.update_task(owner_id=ada.id, task_id=task.id, title="Buy oats")
    application.toggle_completion(owner_id=ada.id, task_id=task.id)
    application.delete_task(owner_id=ada.id, task_id=task.id)
    with pytest.raises(RateLimited) as limited:
        application.list_tasks(owner_id=ada.id)
    assert limited.value.allowance.rule == Limit.TASKS
    assert application.list_tasks(owner_id=bob.id).tasks == []


@pytest.mark.parametrize(
    "request_about_a_task", ["get_task", "update_task", "toggle_completion", "delete_task"]
)
def test_a_task_request_beyond_the_limit_changes_nothing(request_about_a_task: str) -> None:
    world = World(limiter=LimitsRateLimiter("memory://", LIMITS | {Limit.TASKS: Rule("1/minute")}))
    ada = world.register()
    task = world.application.create_task(owner_id=ada.id, title="Buy milk")
    with pytest.raises(RateLimited):
        getattr(world.application, request_about_a_task)(owner_id=ada.id, task_id=task.id)
    assert all_tasks(world.tasks, ada.id) == [task]
