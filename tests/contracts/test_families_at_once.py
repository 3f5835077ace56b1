"""A task is deleted while it gets another subtask: both are deleted, on every storage."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.storages import Storage
from tests.support.todo import NOW, Todo
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
