"""Families that others change at the same time, on every storage."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.support.storages import Storage, storage_of
from tests.support.todo import NOW, Todo
from todo_api.container import Container
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Deletion
from todo_core.entities.task_query import TaskQuery

LATE = TaskId(900)
UNTIL_THE_OTHER_WAITS_SECONDS = 0.1
SECONDS = 20

type Delete = Callable[[Todo, Task], object]

DELETIONS: Mapping[str, Delete] = {
    "a deletion": lambda todo, task: todo.application.delete_task(
        owner_id=todo.owner, task_id=task.id
    ),
    "a permanent deletion": lambda todo, task: todo.application.delete_task(
        owner_id=todo.owner, task_id=task.id, permanently=True
    ),
    "a deletion of a version": lambda todo, task: todo.application.delete_task(
        owner_id=todo.owner, task_id=task.id, expected=[task.version]
    ),
    "a bulk": lambda todo, task: todo.bulk(Deletion(task.id)),
    "a filter": lambda todo, _: todo.application.delete_matching_tasks(
        owner_id=todo.owner, query=TaskQuery(has_parent=False)
    ),
    "a key": lambda todo, task: todo.once(
        lambda writes: writes.delete_task(owner_id=todo.owner, task_id=task.id)
    ),
}


OUT_OF_THE_TRASH: Mapping[str, Delete] = {
    "restoring": lambda todo, task: todo.application.restore_task(
        owner_id=todo.owner, task_id=task.id
    ),
    "restoring with a key": lambda todo, task: todo.once(
        lambda writes: writes.restore_task(owner_id=todo.owner, task_id=task.id)
    ),
    "deleting": DELETIONS["a permanent deletion"],
}


@pytest.mark.parametrize("subtasks", [0, 1])
@pytest.mark.parametrize("way", DELETIONS.values(), ids=DELETIONS)
def test_a_subtask_that_is_added_meanwhile_is_deleted_with_its_parent(
    storage: Storage, way: Delete, subtasks: int
) -> None:
    todo = Todo.on(storage)
    parent = todo.create()
    for _ in range(subtasks):
        todo.create(parent_id=parent.id)
    late = Task.create(
        id=LATE, owner_id=todo.owner, title="The late one", parent_id=parent.id, now=NOW
    )
    with ThreadPoolExecutor(1) as threads:
        with storage.unit_of_work() as work:
            work.tasks.lock([parent.id], owner_id=todo.owner)
            work.tasks.add(late)
            deletion = threads.submit(way, todo, parent)
            time.sleep(UNTIL_THE_OTHER_WAITS_SECONDS)
            assert not deletion.done()
        deletion.result(SECONDS)
    assert [*todo.all()] == []


@pytest.mark.parametrize("way", OUT_OF_THE_TRASH.values(), ids=OUT_OF_THE_TRASH)
def test_a_subtask_that_leaves_the_trash_meanwhile_is_in_nobodys_way(
    storage: Storage, way: Delete
) -> None:
    todo = Todo.on(storage)
    parent = todo.create()
    first, second = (todo.create(parent_id=parent.id) for _ in range(2))
    DELETIONS["a deletion"](todo, parent)
    with ThreadPoolExecutor(1) as threads:
        with storage.unit_of_work() as work:
            work.tasks.erase(first.id, owner_id=todo.owner, expires_at=NOW)
            other = threads.submit(way, todo, parent)
            time.sleep(UNTIL_THE_OTHER_WAITS_SECONDS)
            assert not other.done()
        other.result(SECONDS)
    is_restored = way is not OUT_OF_THE_TRASH["deleting"]
    assert {task.id for task in todo.all()} == ({parent.id, second.id} if is_restored else set())


def test_the_clean_up_of_the_trash_waits_for_no_writer_who_may_wait_for_it(
    postgresql_container: Container,
) -> None:
    storage = storage_of(postgresql_container)
    todo = Todo.on(storage)
    parent = todo.create()
    subtask = todo.create(parent_id=parent.id)
    DELETIONS["a deletion"](todo, parent)
    later = NOW + timedelta(days=365)
    with storage.unit_of_work() as work:
        work.tasks.erase(subtask.id, owner_id=todo.owner, expires_at=later)
        erased = storage.tasks.erase_expired(now=later, expires_at=later, limit=9)
        assert erased == 1
    assert storage.tasks.erase_expired(now=later, expires_at=later, limit=9) == 0
