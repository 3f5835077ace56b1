"""What happens to a family touches only its owner's tasks, even if others have the same ids.

The owner whose tasks are changed has other families than the others have: which task is a subtask
of which one must be looked up among the tasks of the same owner.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from tests.isolation.owners import Owners
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Creation, Deletion, Edit
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import HasSubtasks, InvalidParent
from todo_core.use_cases import bulk, locked_tasks
from todo_core.use_cases.task_writes import TaskWrites

LATER = datetime(2099, 1, 1, tzinfo=UTC)
FAR = "2999-01-07"
KEYS = count(1)

COMMON, OF_OTHERS, MINE, ALONE = 1, 4, 6, 8
"""Parents: of 2 and 3 for everybody, of 5 for the others, of 7 for me; and of none."""

FAMILIES = {COMMON: {1, 2, 3}, OF_OTHERS: {4}, MINE: {6, 7}, ALONE: {8}}
"""My tasks."""

ONLY_THEIRS = 9

of_each = pytest.mark.parametrize("number", [0, 1, 2])
of_each_family = pytest.mark.parametrize("parent", FAMILIES)


@pytest.fixture
def mine(todo: Owners, number: int) -> UserId:
    """One of the owners, after all of them got their families."""
    mine = todo.ids[number]
    for owner in todo.ids:
        subtasks = {2: COMMON, 3: COMMON} | ({7: MINE} if owner == mine else {5: OF_OTHERS})
        for task_id in range(1, ONLY_THEIRS + (owner != mine)):
            todo.add(owner, task_id, parent_id=subtasks.get(task_id))
    return mine


def once(todo: Owners, owner: UserId, write: Callable[[TaskWrites], object]) -> None:
    """Write something with a new key."""
    request = IdempotentRequest(owner, IdempotencyKey(f"key-{next(KEYS)}"), "a request")
    todo.application.write_once(request, lambda writes: str(write(writes)).encode())


def ids(tasks: Collection[Task]) -> set[int]:
    return {task.id for task in tasks}


def trash(todo: Owners, owner: UserId) -> Sequence[Task]:
    return todo.tasks.page(owner, TaskQuery(deleted=True), limit=99).tasks


def get(todo: Owners, owner: UserId, task_id: int) -> Task:
    return todo.tasks.get(TaskId(task_id), owner_id=owner)


type Way = Callable[[Owners, UserId, TaskId], object]

COMPLETIONS: Mapping[str, Way] = {
    "update": lambda todo, owner, task_id: todo.application.update_task(
        owner_id=owner, task_id=task_id, completed=True
    ),
    "toggle": lambda todo, owner, task_id: todo.application.toggle_completion(
        owner_id=owner, task_id=task_id
    ),
    "bulk": lambda todo, owner, task_id: todo.application.change_tasks(
        owner_id=owner, operations=[Completion(task_id)]
    ),
    "edit of a bulk": lambda todo, owner, task_id: todo.application.change_tasks(
        owner_id=owner, operations=[Edit(task_id, {"completed": True})]
    ),
    "key": lambda todo, owner, task_id: once(
        todo, owner, lambda writes: writes.toggle_completion(owner_id=owner, task_id=task_id)
    ),
}
DELETIONS: Mapping[str, Way] = {
    "deletion": lambda todo, owner, task_id: todo.application.delete_task(
        owner_id=owner, task_id=task_id
    ),
    "permanent deletion": lambda todo, owner, task_id: todo.application.delete_task(
        owner_id=owner, task_id=task_id, permanently=True
    ),
    "deletion of a version": lambda todo, owner, task_id: todo.application.delete_task(
        owner_id=owner, task_id=task_id, expected=[1]
    ),
    "bulk": lambda todo, owner, task_id: todo.application.change_tasks(
        owner_id=owner, operations=[Deletion(task_id)]
    ),
    "key": lambda todo, owner, task_id: once(
        todo, owner, lambda writes: writes.delete_task(owner_id=owner, task_id=task_id)
    ),
}
type Adopt = Callable[[Owners, UserId, TaskId, TaskId | None], object]

WAYS_TO_A_PARENT: Mapping[str, Adopt] = {
    "update": lambda todo, owner, task_id, parent: todo.application.update_task(
        owner_id=owner, task_id=task_id, parent_id=parent
    ),
    "move": lambda todo, owner, task_id, parent: todo.application.move_task(
        owner_id=owner, task_id=task_id, parent_id=parent
    ),
    "bulk": lambda todo, owner, task_id, parent: todo.application.change_tasks(
        owner_id=owner, operations=[Edit(task_id, {"parent_id": parent})]
    ),
    "key": lambda todo, owner, task_id, parent: once(
        todo,
        owner,
        lambda writes: writes.update_task(owner_id=owner, task_id=task_id, parent_id=parent),
    ),
}


@of_each
class TestFamiliesOfTheOwner:
    @of_each_family
    @pytest.mark.parametrize("way", COMPLETIONS)
    def test_completing_a_task_completes_its_own_subtasks(
        self, todo: Owners, mine: UserId, way: str, parent: int
    ) -> None:
        before = todo.others(mine)
        COMPLETIONS[way](todo, mine, TaskId(parent))
        assert {task.id for task in todo.all(mine) if task.completed} == FAMILIES[parent]
        assert {task.owner_id for task in todo.all(mine)} == {mine}
        assert todo.others(mine) == before

    def test_completing_the_subtasks_of_a_task_completes_no_others(
        self, todo: Owners, mine: UserId
    ) -> None:
        before = todo.others(mine)
        complete = todo.application.complete_matching_tasks
        counts = [
            complete(owner_id=mine, query=TaskQuery(parent_id=TaskId(parent))).count
            for parent in FAMILIES
        ]
        assert counts == [2, 0, 1, 0]
        assert complete(owner_id=mine, query=TaskQuery(has_parent=False)).count == 5
        assert all(task.completed for task in todo.all(mine))
        assert todo.others(mine) == before

    @of_each_family
    @pytest.mark.parametrize("way", DELETIONS)
    def test_deleting_a_task_deletes_its_own_subtasks(
        self, todo: Owners, mine: UserId, way: str, parent: int
    ) -> None:
        before = todo.others(mine)
        DELETIONS[way](todo, mine, TaskId(parent))
        everything = {*range(1, ONLY_THEIRS)}
        assert ids(todo.all(mine)) == everything - FAMILIES[parent]
        is_permanent = way == "permanent deletion"
        assert ids(trash(todo, mine)) == (set() if is_permanent else FAMILIES[parent])
        assert todo.tasks.counts(mine).total == len(everything - FAMILIES[parent])
        assert todo.others(mine) == before

    def test_deleting_the_subtasks_of_a_task_deletes_no_others(
        self, todo: Owners, mine: UserId
    ) -> None:
        before = todo.others(mine)
        delete = todo.application.delete_matching_tasks
        counts = [
            delete(owner_id=mine, query=TaskQuery(parent_id=TaskId(parent))).count
            for parent in FAMILIES
        ]
        assert counts == [2, 0, 1, 0]
        assert delete(owner_id=mine, query=TaskQuery(has_parent=False)).count == 5
        assert todo.all(mine) == []
        assert todo.others(mine) == before

    @of_each_family
    @pytest.mark.parametrize("restores", [True, False], ids=["restored", "erased"])
    def test_a_task_leaves_the_trash_with_its_own_subtasks(
        self, todo: Owners, mine: UserId, parent: int, restores: bool
    ) -> None:
        for owner in todo.ids:
            while listed := todo.tasks.page(owner, TaskQuery(has_parent=True), limit=99).tasks:
                for task in listed:
                    todo.tasks.remove(task.id, owner_id=owner, expires_at=LATER)
            for task in todo.all(owner):
                todo.tasks.remove(task.id, owner_id=owner, expires_at=LATER)
        before = todo.others(mine)
        task_id, family = TaskId(parent), FAMILIES[parent]
        with_it = ids(todo.tasks.lock_in_trash(task_id, owner_id=mine)[1:])
        assert with_it == family - {parent}
        if restores:
            restored = todo.application.restore_task(owner_id=mine, task_id=task_id)
            assert (restored.id, restored.owner_id) == (parent, mine)
            assert ids(todo.tasks.page(mine, TaskQuery(parent_id=task_id), limit=9).tasks) == (
                with_it
            )
        else:
            todo.application.delete_task(owner_id=mine, task_id=task_id, permanently=True)
        assert ids(todo.all(mine)) == (family if restores else set())
        assert ids(trash(todo, mine)) == {*range(1, ONLY_THEIRS)} - family
        assert todo.others(mine) == before

    def test_another_users_task_that_was_deleted_at_the_same_time_is_no_parent(
        self, todo: Owners, mine: UserId
    ) -> None:
        for owner in todo.ids:
            for number in (2, 3):
                todo.tasks.remove(TaskId(number), owner_id=owner, expires_at=LATER)
            expires_at = LATER + timedelta(days=owner == mine)
            todo.tasks.remove(TaskId(COMMON), owner_id=owner, expires_at=expires_at)
        before = todo.others(mine)
        deleted_with = [
            [task.id for task in todo.tasks.lock_in_trash(TaskId(COMMON), owner_id=owner)[1:]]
            for owner in todo.ids
        ]
        assert deleted_with == [[] if owner == mine else [2, 3] for owner in todo.ids]
        todo.application.restore_task(owner_id=mine, task_id=TaskId(COMMON))
        assert ids(trash(todo, mine)) == {2, 3}
        assert todo.others(mine) == before

    def test_a_subtask_is_restored_to_its_own_parent(self, todo: Owners, mine: UserId) -> None:
        before = todo.others(mine)
        todo.application.delete_task(owner_id=mine, task_id=TaskId(2))
        restored = todo.application.restore_task(owner_id=mine, task_id=TaskId(2))
        assert (restored.parent_id, restored.owner_id) == (COMMON, mine)
        todo.application.delete_task(owner_id=mine, task_id=TaskId(COMMON))
        assert todo.application.restore_task(owner_id=mine, task_id=TaskId(2)).parent_id is None
        assert todo.others(mine) == before

    def test_deleting_an_account_deletes_its_own_families(self, todo: Owners, mine: UserId) -> None:
        todo.application.delete_task(owner_id=mine, task_id=TaskId(MINE))
        before = todo.others(mine)
        removed = [todo.tasks.remove_batch(mine, limit=3) for _ in range(5)]
        assert sum(removed) == ONLY_THEIRS - 1
        assert (todo.all(mine), trash(todo, mine)) == ([], [])
        assert todo.others(mine) == before

    def test_a_list_of_subtasks_has_those_of_the_owner(self, todo: Owners, mine: UserId) -> None:
        for parent, family in FAMILIES.items():
            query = TaskQuery(parent_id=TaskId(parent))
            page = todo.application.list_tasks(owner_id=mine, query=query, counts=True)
            listed = sorted(task.id for task in page.tasks)  # each once, and none of another owner
            assert (listed, page.total) == (sorted(family - {parent}), len(family) - 1)
        for has_parent, expected in ((True, {2, 3, 7}), (False, {1, 4, 5, 6, 8})):
            query = TaskQuery(has_parent=has_parent)
            page = todo.application.list_tasks(owner_id=mine, query=query, counts=True)
            assert (ids(page.tasks), page.total) == (expected, len(expected))
        theirs = TaskQuery(parent_id=TaskId(ONLY_THEIRS))
        assert todo.application.list_tasks(owner_id=mine, query=theirs).tasks == []

    def test_only_the_owners_families_are_locked(self, todo: Owners, mine: UserId) -> None:
        for parent, family in FAMILIES.items():
            task_id = TaskId(parent)
            locked = todo.tasks.lock([task_id], owner_id=mine, families_of=[task_id])
            assert [(task.id, task.owner_id) for task in locked] == [
                (number, mine) for number in sorted(family)
            ]
        of_others = [TaskId(OF_OTHERS), TaskId(5)]
        assert todo.tasks.lock([], owner_id=mine, families_of=of_others) == []
        subtask = [TaskId(2)]
        assert ids(todo.tasks.lock(subtask, owner_id=mine, families_of=subtask)) == {COMMON, 2}

    def test_others_subtasks_do_not_count_in_a_bulk(
        self, todo: Owners, mine: UserId, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bulk, "MAX_TASKS_AT_ONCE", 1)
        before = todo.others(mine)
        for operation in (Completion(TaskId(OF_OTHERS)), Deletion(TaskId(OF_OTHERS))):
            todo.application.change_tasks(owner_id=mine, operations=[operation])
        assert todo.others(mine) == before


@of_each
@pytest.mark.parametrize("way", WAYS_TO_A_PARENT)
class TestParentsOfTheOwner:
    def test_another_users_task_is_refused_like_a_missing_one(
        self, todo: Owners, mine: UserId, way: str
    ) -> None:
        before = {owner: todo.state(owner) for owner in todo.ids}
        for parent in (ONLY_THEIRS, 99):
            with pytest.raises(InvalidParent):
                WAYS_TO_A_PARENT[way](todo, mine, TaskId(ALONE), TaskId(parent))
        assert {owner: todo.state(owner) for owner in todo.ids} == before

    def test_families_of_others_do_not_matter(self, todo: Owners, mine: UserId, way: str) -> None:
        before = todo.others(mine)
        adopt = WAYS_TO_A_PARENT[way]
        for task, parent in ((OF_OTHERS, ALONE), (ALONE, 5), (ALONE, OF_OTHERS)):
            todo.application.update_task(owner_id=mine, task_id=TaskId(task), parent_id=None)
            adopt(todo, mine, TaskId(task), TaskId(parent))
            assert get(todo, mine, task).parent_id == parent
            assert get(todo, mine, task).owner_id == mine
            adopt(todo, mine, TaskId(task), None)
            assert get(todo, mine, task).parent_id is None
        for task, parent in ((MINE, ALONE), (ALONE, 7), (COMMON, ALONE)):
            with pytest.raises(InvalidParent):
                adopt(todo, mine, TaskId(task), TaskId(parent))
        assert todo.others(mine) == before

    def test_subtasks_of_others_take_no_room(
        self, todo: Owners, mine: UserId, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(locked_tasks, "MAX_SUBTASKS", 1)
        adopt = WAYS_TO_A_PARENT[way]
        adopt(todo, mine, TaskId(ALONE), TaskId(OF_OTHERS))
        adopt(todo, mine, TaskId(ALONE), None)
        with pytest.raises(InvalidParent):
            adopt(todo, mine, TaskId(ALONE), TaskId(MINE))


@of_each
class TestNewSubtasks:
    def test_a_new_task_gets_a_parent_of_its_owner(self, todo: Owners, mine: UserId) -> None:
        before = todo.others(mine)
        create, change = todo.application.create_task, todo.application.change_tasks
        for parent in (OF_OTHERS, 5, MINE, ALONE):
            created = create(owner_id=mine, title="Buy oats", parent_id=TaskId(parent))
            creation = Creation({"title": "Buy oats", "parent_id": TaskId(parent)})
            [other] = change(owner_id=mine, operations=[creation])
            assert isinstance(other, Task)
            for task in (created, other):
                assert (task.owner_id, task.parent_id) == (mine, parent)
        for parent in (ONLY_THEIRS, 99, 7):
            with pytest.raises(InvalidParent):
                create(owner_id=mine, title="Buy oats", parent_id=TaskId(parent))
            creation = Creation({"title": "Buy oats", "parent_id": TaskId(parent)})
            with pytest.raises(InvalidParent):
                change(owner_id=mine, operations=[creation])
        assert todo.others(mine) == before

    def test_the_storage_refuses_a_parent_of_another_user(self, todo: Owners, mine: UserId) -> None:
        before = {owner: todo.state(owner) for owner in todo.ids}
        tasks, parent = todo.tasks, TaskId(ONLY_THEIRS)
        with pytest.raises(InvalidParent):
            todo.add(mine, 10, parent_id=parent)
        with pytest.raises(InvalidParent):
            tasks.save(get(todo, mine, ALONE)._replace(parent_id=parent))
        for of_mine in (COMMON, MINE):
            with pytest.raises(HasSubtasks):
                tasks.remove(TaskId(of_mine), owner_id=mine, expires_at=LATER)
        assert {owner: todo.state(owner) for owner in todo.ids} == before
        tasks.remove(TaskId(ALONE), owner_id=mine, expires_at=LATER)
        with pytest.raises(InvalidParent):
            tasks.restore(TaskId(ALONE), owner_id=mine, now=LATER, most=99, parent_id=parent)

    def test_copies_for_the_next_task_are_of_the_owner(self, todo: Owners, mine: UserId) -> None:
        for owner in todo.ids:
            todo.add(owner, 20, due_date=FAR, recurrence_rule="daily")
            for task_id in (21, 22) if owner == mine else (23, 24):
                todo.add(owner, task_id, parent_id=20)
        before = todo.others(mine)
        done = todo.application.toggle_completion(owner_id=mine, task_id=TaskId(20))
        assert done.next_id is not None
        copies = todo.tasks.page(mine, TaskQuery(parent_id=done.next_id), limit=9).tasks
        assert [(task.owner_id, task.completed) for task in copies] == [(mine, False)] * 2
        assert todo.others(mine) == before
        todo.application.toggle_completion(owner_id=mine, task_id=TaskId(20))
        assert ids(todo.all(mine)) == {*range(1, ONLY_THEIRS), 20, 21, 22}
        assert todo.others(mine) == before

    @pytest.mark.parametrize("is_mine", [True, False], ids=["own change", "change of others"])
    def test_reopening_a_task_removes_the_unchanged_copies_of_its_owner(
        self, todo: Owners, mine: UserId, is_mine: bool
    ) -> None:
        now = datetime.now(UTC)
        for owner in todo.ids:
            stored = {"completed_at": now, "next_id": TaskId(30)}
            todo.add(owner, 20, due_date=FAR, recurrence_rule="daily", stored=stored)
            todo.add(owner, 30, stored={"created_at": now})
            version = 2 if (owner == mine) == is_mine else 1
            for copy_id in (31,) if owner == mine else (31, 32):
                changed = {"created_at": now, "version": version}
                todo.add(owner, copy_id, parent_id=30, stored=changed)
        before = todo.others(mine)
        todo.application.toggle_completion(owner_id=mine, task_id=TaskId(20))
        remaining = {20, 30, 31} if is_mine else {20}
        assert ids(todo.all(mine)) == {*range(1, ONLY_THEIRS)} | remaining
        assert todo.others(mine) == before
