"""Subtasks, on every storage: what happens to a task happens to its subtasks too."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Unpack

import pytest

from tests.support.storages import Storage, stored_owner
from tests.support.tasks import revisions_of
from tests.support.todo import NOW, Todo
from todo_core.entities.rank import Rank
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Creation, Deletion, Edit
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.errors import (
    HasSubtasks,
    InvalidParent,
    PreconditionFailed,
    QuotaExceeded,
    StaleVersion,
    TaskNotFound,
    ValidationFailed,
)
from todo_core.use_cases import bulk, locked_tasks
from todo_core.use_cases.ordering import Place

FAR, NEXT = "2999-01-07", "2999-01-08"  # a Monday, and the day after it
MISSING = TaskId(77)
BUY = TaskQuery(search=SearchText("buy"))


@pytest.fixture
def todo(storage: Storage) -> Todo:
    return Todo.on(storage)


def family(todo: Todo, **fields: object) -> tuple[Task, Task, Task]:
    """Create a task and two subtasks of it."""
    parent = todo.create(title="Plan the party", **fields)
    first, second = (todo.create(title=f"Buy {what}", parent_id=parent.id) for what in "ab")
    return parent, first, second


def subtasks(todo: Todo, parent_id: int | None) -> list[Task]:
    """Return the subtasks of a task in the order of positions."""
    assert parent_id is not None
    wanted = TaskQuery(parent_id=TaskId(parent_id), order=TaskOrder.POSITION, descending=False)
    found = todo.storage.tasks.page(todo.owner, wanted, limit=500).tasks
    assert todo.storage.tasks.count(todo.owner, wanted) == len(found)
    return [*found]


def trash(todo: Todo) -> set[TaskId]:
    found = todo.storage.tasks.page(todo.owner, TaskQuery(deleted=True), limit=500).tasks
    return {task.id for task in found}


def delete(todo: Todo, task: Task, *, permanently: bool = False) -> None:
    todo.application.delete_task(owner_id=todo.owner, task_id=task.id, permanently=permanently)


def restore(todo: Todo, task: Task) -> Task:
    return todo.application.restore_task(owner_id=todo.owner, task_id=task.id)


def move(todo: Todo, task: Task, parent: Task | None, **place: Unpack[Place]) -> Task:
    place["parent_id"] = None if parent is None else parent.id
    return todo.application.move_task(owner_id=todo.owner, task_id=task.id, **place)


type SetParent = Callable[[Todo, Task, TaskId | None], object]

WAYS_TO_A_PARENT: Mapping[str, SetParent] = {
    "an update": lambda todo, task, parent: todo.change(task, parent_id=parent),
    "a move": lambda todo, task, parent: todo.application.move_task(
        owner_id=todo.owner, task_id=task.id, parent_id=parent
    ),
    "a bulk": lambda todo, task, parent: todo.bulk(Edit(task.id, {"parent_id": parent})),
    "a key": lambda todo, task, parent: todo.once(
        lambda writes: writes.update_task(owner_id=todo.owner, task_id=task.id, parent_id=parent)
    ),
}
by_every_way = pytest.mark.parametrize("way", WAYS_TO_A_PARENT.values(), ids=WAYS_TO_A_PARENT)


class TestParents:
    def test_a_new_task_is_a_subtask_of_its_parent(self, todo: Todo) -> None:
        parent, first, second = family(todo)
        assert (parent.parent_id, first.parent_id, second.parent_id) == (None, 1, 1)
        assert todo.get(first.id) == first
        assert subtasks(todo, parent.id) == [second, first]
        assert subtasks(todo, first.id) == []
        of_all = TaskQuery(has_parent=False)
        assert [*todo.storage.tasks.page(todo.owner, of_all, limit=9).tasks] == [parent]
        of_all = TaskQuery(has_parent=True)
        assert [*todo.storage.tasks.page(todo.owner, of_all, limit=9).tasks] == [second, first]
        assert todo.get(parent.id) == parent  # it has not changed

    @by_every_way
    def test_a_task_becomes_a_subtask_and_one_of_its_own(self, todo: Todo, way: SetParent) -> None:
        parent, task = todo.create(), todo.create()
        for parent_id in (parent.id, None):
            before = todo.get(task.id)
            way(todo, task, parent_id)
            changed = todo.get(task.id)
            assert (changed.parent_id, changed.version) == (parent_id, before.version + 1)
            way(todo, task, parent_id)
            assert todo.get(task.id) == changed
        todo.require_counts(revision=4, total=2, completed=0)

    @by_every_way
    def test_a_parent_that_cannot_be_one_is_refused_alike(self, todo: Todo, way: SetParent) -> None:
        parent, first, _ = family(todo)
        other = stored_owner(todo.storage, 2, now=NOW)
        theirs = Task.create(id=TaskId(500), owner_id=other.id, title="Theirs", now=NOW)
        todo.storage.tasks.add(theirs)
        task, deleted = todo.create(), todo.create()
        delete(todo, deleted)
        before = todo.state()
        refused = [
            (task, MISSING),
            (task, TaskId(0)),
            (task, theirs.id),
            (task, deleted.id),
            (task, first.id),  # a subtask itself
            (task, task.id),
            (parent, task.id),  # has subtasks
            (parent, first.id),
        ]
        for child, parent_id in refused:
            with pytest.raises(InvalidParent) as error:
                way(todo, child, parent_id)
            expected = "operations/0/update/parent_id" if way is WAYS_TO_A_PARENT["a bulk"] else ""
            assert error.value.field == (expected or "parent_id")
        assert todo.state() == before

    def test_a_new_task_is_refused_a_parent_that_cannot_be_one(self, todo: Todo) -> None:
        _, first, _ = family(todo)
        before = todo.state()
        for parent_id in (MISSING, TaskId(0), first.id):
            with pytest.raises(InvalidParent):
                todo.create(parent_id=parent_id)
            with pytest.raises(InvalidParent):
                todo.bulk(Creation({"title": "Buy milk", "parent_id": parent_id}))
        with pytest.raises(ValidationFailed):
            todo.create(title="", parent_id=MISSING)
        assert todo.state() == before

    def test_a_parent_has_a_limited_number_of_subtasks(
        self, todo: Todo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locked_tasks, "MAX_SUBTASKS", 2)
        parent, first, _ = family(todo)
        with pytest.raises(InvalidParent):
            todo.create(parent_id=parent.id)
        move(todo, first, None)
        assert todo.create(parent_id=parent.id).parent_id == parent.id

    def test_a_stale_version_is_found_before_the_parent(self, todo: Todo) -> None:
        task = todo.create()
        for change in (todo.application.update_task, todo.application.move_task):
            with pytest.raises(Exception, match="version 1"):
                change(owner_id=todo.owner, task_id=task.id, parent_id=MISSING, expected=[2])

    def test_a_move_changes_the_parent_and_the_position(self, todo: Todo) -> None:
        parent, first, second = family(todo)
        task = todo.create()
        moved = move(todo, task, parent, after=second.id)
        assert (moved.parent_id, moved.version) == (parent.id, task.version + 1)
        assert [each.id for each in subtasks(todo, parent.id)] == [second.id, task.id, first.id]
        moved = move(todo, moved, None, before=parent.id)
        assert moved.parent_id is None
        assert subtasks(todo, parent.id) == [second, first]
        for missing in (MISSING, TaskId(0)):
            with pytest.raises(TaskNotFound):
                move(todo, task, parent, after=missing)
        assert todo.get(task.id) == moved

    @pytest.mark.parametrize("becomes_subtask", [True, False])
    def test_a_move_to_another_parent_makes_room(self, todo: Todo, becomes_subtask: bool) -> None:
        parent, first, second = family(todo)
        for each in (first, second):
            todo.storage.tasks.save(each._replace(position=Rank("a1")))
        task = todo.create(parent_id=None if becomes_subtask else parent.id)
        moved = move(todo, task, parent if becomes_subtask else None, after=first.id)
        assert moved.parent_id == (parent.id if becomes_subtask else None)
        assert todo.get(task.id) == moved
        in_order = TaskQuery(order=TaskOrder.POSITION, descending=False)
        found = todo.storage.tasks.page(todo.owner, in_order, limit=9).tasks
        ids = [each.id for each in found if each.id != parent.id]
        assert ids == [first.id, task.id, second.id]
        with pytest.raises(InvalidParent):
            move(todo, parent, first, after=second.id)


type Way = Callable[[Todo, Task], object]

COMPLETIONS: Mapping[str, Way] = {
    "an update": lambda todo, task: todo.change(task, completed=True),
    "an inversion": lambda todo, task: todo.application.toggle_completion(
        owner_id=todo.owner, task_id=task.id
    ),
    "a bulk": lambda todo, task: todo.bulk(Completion(task.id)),
    "an edit of a bulk": lambda todo, task: todo.bulk(Edit(task.id, {"completed": True})),
    "a filter": lambda todo, _: todo.application.complete_matching_tasks(
        owner_id=todo.owner, query=TaskQuery(search=SearchText("party"))
    ),
    "a key": lambda todo, task: todo.once(
        lambda writes: writes.toggle_completion(owner_id=todo.owner, task_id=task.id)
    ),
}
DELETIONS: Mapping[str, Way] = {
    "a deletion": delete,
    "a deletion of a version": lambda todo, task: todo.application.delete_task(
        owner_id=todo.owner, task_id=task.id, expected=[task.version]
    ),
    "a bulk": lambda todo, task: todo.bulk(Deletion(task.id)),
    "a filter": lambda todo, _: todo.application.delete_matching_tasks(
        owner_id=todo.owner, query=TaskQuery(search=SearchText("party"))
    ),
    "a key": lambda todo, task: todo.once(
        lambda writes: writes.delete_task(owner_id=todo.owner, task_id=task.id)
    ),
}


class TestCompletion:
    @pytest.mark.parametrize("way", COMPLETIONS.values(), ids=COMPLETIONS)
    def test_a_completed_task_completes_its_open_subtasks(self, todo: Todo, way: Way) -> None:
        parent, first, second = family(todo)
        other = todo.create()
        done = todo.complete(first)
        way(todo, parent)
        assert todo.get(parent.id).completed
        assert todo.get(first.id) == done
        assert todo.get(second.id).completed_at == todo.get(parent.id).completed_at
        assert todo.get(other.id) == other
        todo.require_counts(revision=7, total=4, completed=3)

    def test_a_reopened_task_leaves_its_subtasks_alone(self, todo: Todo) -> None:
        parent, *_ = family(todo)
        todo.complete(parent)
        todo.complete(parent, completed=False)
        assert all(each.completed for each in subtasks(todo, parent.id))

    def test_subtasks_can_be_completed_by_themselves(self, todo: Todo) -> None:
        parent, first, second = family(todo)
        todo.complete(first)
        todo.complete(second)
        assert todo.get(parent.id) == parent
        todo.complete(parent)
        todo.require_counts(revision=6, total=3, completed=3)

    def test_an_operation_of_a_bulk_sees_the_subtasks_as_they_are_then(self, todo: Todo) -> None:
        parent, first, second = family(todo)
        task = todo.create()
        todo.bulk(
            Edit(task.id, {"parent_id": parent.id}),
            Edit(first.id, {"parent_id": None}),
            Creation({"title": "Buy c", "parent_id": parent.id}),
            Completion(parent.id),
            Completion(second.id, completed=False),
            Edit(parent.id, {"title": "Plan another party"}),
        )
        completed = {each.id: each.completed for each in todo.all()}
        assert completed == {
            parent.id: True,
            first.id: False,
            second.id: False,
            task.id: True,
            1000: True,
        }

    @pytest.mark.parametrize("in_order", [True, False], ids=["parent first", "subtasks first"])
    def test_a_bulk_may_delete_a_task_and_its_subtasks(self, todo: Todo, in_order: bool) -> None:
        members = family(todo) if in_order else family(todo)[::-1]
        operations = [Deletion(each.id, version=1) for each in members]
        assert todo.bulk(*operations) == [each.id for each in members]
        assert [*todo.all()] == []
        todo.require_counts(revision=6, total=0, completed=0)

    def test_a_bulk_finds_no_subtask_that_it_has_deleted(self, todo: Todo) -> None:
        parent, first, _ = family(todo)
        before = todo.state()
        stale, wrong = Deletion(first.id, version=2), Edit(first.id, {"title": "Buy c"})
        for operation, error in (
            (stale, PreconditionFailed),
            (wrong, TaskNotFound),
            (Completion(first.id), TaskNotFound),
        ):
            with pytest.raises(error):
                todo.bulk(Deletion(parent.id), operation)
        with pytest.raises(TaskNotFound):
            todo.bulk(Deletion(parent.id), Deletion(first.id), Deletion(first.id))
        with pytest.raises(TaskNotFound):
            todo.bulk(Deletion(first.id), Deletion(parent.id), Deletion(first.id))
        assert todo.state() == before

    def test_a_filter_counts_the_subtasks_that_it_completes(self, todo: Todo) -> None:
        family(todo)
        completed = todo.application.complete_matching_tasks(
            owner_id=todo.owner, query=TaskQuery(search=SearchText("party"))
        )
        assert completed.count == 3
        parent, *_ = family(todo)
        complete = todo.application.complete_matching_tasks
        assert complete(owner_id=todo.owner, query=BUY).count == 2
        assert not todo.get(parent.id).completed
        assert complete(owner_id=todo.owner, query=TaskQuery(has_parent=False)).count == 1

    def test_families_are_changed_in_parts(
        self, todo: Todo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "MAX_OPERATIONS", 3)
        monkeypatch.setattr(bulk, "MAX_TASKS_AT_ONCE", 5)
        for _ in range(4):
            family(todo)
        with pytest.raises(ValidationFailed):
            todo.bulk(Completion(TaskId(1)), Completion(TaskId(4)))
        todo.bulk(Completion(TaskId(1)))
        everything = TaskQuery(has_parent=False)
        complete = todo.application.complete_matching_tasks
        assert complete(owner_id=todo.owner, query=everything).count == 9
        delete = todo.application.delete_matching_tasks
        assert delete(owner_id=todo.owner, query=everything).count == 12
        assert len(trash(todo)) == 12

    def test_the_database_finds_a_subtask_that_was_added_meanwhile(self, todo: Todo) -> None:
        parent, *_ = family(todo)
        tasks = todo.storage.tasks
        for version in (None, parent.version):
            with pytest.raises(HasSubtasks):
                tasks.remove(parent.id, owner_id=todo.owner, expires_at=NOW, version=version)
        done = parent.edited(completed=True, now=NOW)
        with pytest.raises(HasSubtasks):
            tasks.save(done, completes_alone=True)
        with pytest.raises(TaskNotFound):
            tasks.remove(MISSING, owner_id=todo.owner, expires_at=NOW)
        with pytest.raises(StaleVersion) as stale:
            tasks.remove(parent.id, owner_id=todo.owner, expires_at=NOW, version=2)
        assert not isinstance(stale.value, HasSubtasks)
        for parent_id in (MISSING, TaskId(0)):
            orphan = parent._replace(id=TaskId(900), parent_id=parent_id)
            with pytest.raises(InvalidParent):
                tasks.add(orphan)
            with pytest.raises(InvalidParent):
                tasks.save(parent._replace(parent_id=parent_id))


class TestTrash:
    @pytest.mark.parametrize("way", DELETIONS.values(), ids=DELETIONS)
    def test_a_deleted_task_takes_its_subtasks_along(self, todo: Todo, way: Way) -> None:
        parent, first, second = family(todo)
        other = todo.create()
        way(todo, parent)
        assert [*todo.all()] == [other]
        assert trash(todo) == {parent.id, first.id, second.id}
        todo.require_counts(revision=7, total=1, completed=0)
        restored = restore(todo, parent)
        assert {each.id for each in todo.all()} == {1, 2, 3, 4}
        assert [each.id for each in subtasks(todo, restored.id)] == [second.id, first.id]
        assert trash(todo) == set()
        todo.require_counts(revision=10, total=4, completed=0)

    def test_subtasks_that_were_deleted_before_stay_in_the_trash(self, todo: Todo) -> None:
        parent, first, second = family(todo)
        delete(todo, first)
        todo.world.clock.advance(timedelta(seconds=1))
        delete(todo, parent)
        restore(todo, parent)
        assert trash(todo) == {first.id}
        assert [each.id for each in subtasks(todo, parent.id)] == [second.id]
        assert restore(todo, first).parent_id == parent.id

    def test_a_subtask_without_its_parent_is_one_no_more(self, todo: Todo) -> None:
        parent, first, second = family(todo)
        delete(todo, parent)
        assert restore(todo, first).parent_id is None
        assert restore(todo, parent).id == parent.id
        assert todo.get(first.id).parent_id is None
        assert todo.get(second.id).parent_id == parent.id

    def test_a_subtask_of_a_subtask_is_restored_as_none(self, todo: Todo) -> None:
        parent, task = todo.create(), todo.create()
        child = todo.create(parent_id=task.id)
        delete(todo, child)
        todo.change(task, parent_id=parent.id)
        assert restore(todo, child).parent_id is None

    def test_a_task_that_has_become_a_subtask_is_restored_without_subtasks(
        self, todo: Todo
    ) -> None:
        parent, task = todo.create(), todo.create()
        child = todo.create(parent_id=task.id)
        delete(todo, child)
        todo.change(task, parent_id=parent.id)
        delete(todo, task)  # they expire at the same time, as if they were deleted together
        assert restore(todo, task).parent_id == parent.id
        assert trash(todo) == {child.id}

    def test_nothing_is_restored_without_room_for_all(self, storage: Storage) -> None:
        todo = Todo.on(storage, most=3)
        parent, *_ = family(todo)
        delete(todo, parent)
        todo.application.create_task(owner_id=todo.owner, title="Buy c")
        before = todo.state()
        with pytest.raises(QuotaExceeded):
            restore(todo, parent)
        assert todo.state() == before

    @pytest.mark.parametrize("is_in_trash", [True, False])
    def test_a_task_is_permanently_deleted_with_its_subtasks(
        self, todo: Todo, is_in_trash: bool
    ) -> None:
        parent, first, _ = family(todo)
        if is_in_trash:
            delete(todo, first)
            todo.world.clock.advance(timedelta(seconds=1))
            delete(todo, parent)
        delete(todo, parent, permanently=True)
        assert [*todo.all()] == []
        assert trash(todo) == ({first.id} if is_in_trash else set())
        with pytest.raises(TaskNotFound):
            restore(todo, parent)

    def test_everything_is_deleted_with_the_account(self, todo: Todo) -> None:
        for _ in range(3):
            family(todo)
        remove = todo.storage.tasks.remove_batch
        assert [remove(todo.owner, limit=2) for _ in range(6)] == [2, 2, 2, 2, 1, 0]
        assert [*todo.all()] == []

    def test_tombstones_have_no_parent(self, todo: Todo) -> None:
        parent, first, _ = family(todo)
        delete(todo, parent)
        todo.storage.tasks.erase(first.id, owner_id=todo.owner, expires_at=NOW)
        lock = partial(todo.storage.tasks.lock_in_trash, owner_id=todo.owner)
        assert [each.id for each in lock(parent.id)] == [1, 3]
        for missing in (first.id, MISSING):
            with pytest.raises(TaskNotFound):
                lock(missing)
        todo.storage.tasks.erase(parent.id, owner_id=todo.owner, expires_at=NOW)
        with pytest.raises(TaskNotFound):
            lock(parent.id)


class TestRepetition:
    """Of a task with subtasks, and of a subtask."""

    def test_the_successor_has_open_copies_of_all_subtasks(self, todo: Todo) -> None:
        parent, first, second = family(todo, due_date=FAR, recurrence_rule="weekly")
        todo.change(first, tags=["shop"], due_date="2999-01-05", priority="high")
        todo.change(second, due_date="2999-01-08T16:30:00Z")
        done = todo.complete(todo.complete(first))
        completed = todo.complete(parent)
        successor = todo.get(completed.next_id)
        assert str(successor.due_date) == "2999-01-14"
        copies = subtasks(todo, successor.id)
        assert [each.title for each in copies] == [second.title, done.title]
        assert [str(each.due_date) for each in copies] == ["2999-01-15T16:30:00Z", "2999-01-12"]
        assert [(each.completed, each.version) for each in copies] == [(False, 1)] * 2
        assert (copies[1].tags, copies[1].priority) == (done.tags, done.priority)
        assert {each.id for each in subtasks(todo, parent.id)} == {first.id, second.id}
        assert todo.get(first.id) == done
        assert todo.get(second.id).completed
        assert len({*revisions_of(todo.storage.tasks, todo.owner).values()}) == 6

    def test_copies_of_a_task_without_a_due_date_count_from_its_completion(
        self, todo: Todo
    ) -> None:
        parent = todo.create(recurrence_rule="daily")
        todo.create(parent_id=parent.id, due_date=str(NOW.date()))
        todo.world.clock.advance(timedelta(days=2))
        copies = subtasks(todo, todo.complete(parent).next_id)
        assert [str(each.due_date) for each in copies] == ["2026-01-02"]

    def test_reopening_removes_the_copies_too(self, todo: Todo) -> None:
        parent, *_ = family(todo, due_date=FAR, recurrence_rule="daily")
        next_id = todo.complete(parent).next_id
        reopened = todo.complete(parent, completed=False)
        assert reopened.repetition is not None
        assert {each.id for each in todo.all()} == {1, 2, 3}
        assert subtasks(todo, next_id) == []
        assert trash(todo) == set()

    @pytest.mark.parametrize("how", ["changed", "added"])
    def test_a_successor_with_other_subtasks_stays(self, todo: Todo, how: str) -> None:
        parent, *_ = family(todo, due_date=FAR, recurrence_rule="daily")
        next_id = todo.complete(parent).next_id
        todo.world.clock.advance(timedelta(seconds=1))
        if how == "changed":
            todo.complete(subtasks(todo, next_id)[0])
        else:
            todo.application.create_task(owner_id=todo.owner, title="New", parent_id=next_id)
        before = [todo.get(next_id), *subtasks(todo, next_id)]
        assert todo.complete(parent, completed=False).repetition is None
        assert [todo.get(next_id), *subtasks(todo, next_id)] == before

    def test_the_successor_of_a_subtask_is_a_subtask(self, todo: Todo) -> None:
        parent = todo.create(due_date=FAR, recurrence_rule="weekly")
        subtask = todo.create(parent_id=parent.id, due_date=FAR, recurrence_rule="daily")
        successor = todo.get(todo.complete(subtask).next_id)
        assert (successor.parent_id, str(successor.due_date)) == (parent.id, NEXT)
        copies = subtasks(todo, todo.complete(parent).next_id)
        # Of the one that is done its successor is the next one, and of that one the copy.
        assert [(str(each.due_date), each.completed) for each in copies] == [("2999-01-15", False)]
        assert copies[0].repetition is not None
        assert todo.get(successor.id).next_id is None
        todo.require_counts(revision=8, total=5, completed=3)

    def test_a_subtask_that_repeats_ends_with_its_parent(self, todo: Todo) -> None:
        parent = todo.create()
        subtask = todo.create(parent_id=parent.id, due_date=FAR, recurrence_rule="daily")
        todo.complete(parent)
        assert len(todo.all()) == 2
        reopened = todo.complete(subtask, completed=False)
        assert reopened.repetition == subtask.repetition

    def test_copies_need_room(self, storage: Storage) -> None:
        todo = Todo.on(storage, most=5)
        parent, *_ = family(todo, due_date=FAR, recurrence_rule="daily")
        before = todo.state()
        with pytest.raises(QuotaExceeded):
            todo.complete(parent)
        assert todo.state() == before
