"""Many clients complete a task that repeats at once, in all ways, on two services: one successor.

The two services share a database, as two processes do.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from itertools import count
from random import Random
from threading import Barrier

import pytest

from tests.support.proof import note
from tests.support.tasks import all_tasks, revisions_of
from todo_api.container import Container
from todo_core.application import Application
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.task import Task, TaskCounts
from todo_core.entities.task_operation import Completion, Edit
from todo_core.entities.task_query import TaskQuery

CLIENTS = 32
ROUNDS = [
    pytest.param(5, id="everyday"),
    pytest.param(200, id="proof", marks=pytest.mark.proof),
]
FAR, NEXT = "2999-01-07", "2999-01-08"
ONLY_THE_FIRST = TaskQuery(due_before=date(2999, 1, 8))  # otherwise, the next one may be met too
SECONDS = 60
KEYS = count(1)

random = Random(1)  # noqa: S311 - it protects nothing

type Write = Callable[[Application, Task], object]


def with_a_key(todo: Application, task: Task) -> object:
    request = IdempotentRequest(task.owner_id, IdempotencyKey(f"key-{next(KEYS)}"), "a request")

    return todo.write_once(
        request,
        lambda writes: (
            b"%d"
            % writes.toggle_completion(
                owner_id=task.owner_id, task_id=task.id, completed=True
            ).version
        ),
    )


COMPLETIONS: Mapping[str, Write] = {
    "an update": lambda todo, task: todo.update_task(
        owner_id=task.owner_id, task_id=task.id, completed=True
    ),
    "a completion": lambda todo, task: todo.toggle_completion(
        owner_id=task.owner_id, task_id=task.id, completed=True
    ),
    "a bulk": lambda todo, task: todo.change_tasks(
        owner_id=task.owner_id,
        operations=[Completion(task.id), Edit(task.id, {"completed": True})],
    ),
    "a filter": lambda todo, task: todo.complete_matching_tasks(
        owner_id=task.owner_id, query=ONLY_THE_FIRST
    ),
    "a key": with_a_key,
}


def new_task(services: Sequence[Container], number: int) -> Task:
    """Create a task of a new owner that repeats every day."""
    todo = services[0].application()
    email, password = f"ada{number}@example.com", "a long sentence"
    owner = todo.register_user(name="Ada", email=email, password=password).id
    title = "Water the plants"
    return todo.create_task(owner_id=owner, title=title, due_date=FAR, recurrence_rule="daily")


def at_once(services: Sequence[Container], ways: Sequence[Write], task: Task, clients: int) -> None:
    """Let this many clients change the task at the same time. All of them must succeed."""
    applications = [each.application() for each in services]
    barrier = Barrier(clients)

    def change(client: int) -> None:
        way = random.choice(ways)
        barrier.wait()
        way(applications[client % len(applications)], task)

    with ThreadPoolExecutor(clients) as pool:
        for each in [pool.submit(change, client) for client in range(clients)]:
            each.result(SECONDS)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_many_clients_complete_a_task_at_once_and_one_follows(
    services: Sequence[Container], rounds: int
) -> None:
    where = services[0].database().engine.name
    ways = [*COMPLETIONS.values()]
    tasks = services[0].tasks()
    for number in range(rounds):
        task = new_task(services, number)
        owner = task.owner_id
        at_once(services, ways, task, CLIENTS)
        done = tasks.get(task.id, owner_id=owner)
        assert done.next_id is not None
        following = tasks.get(done.next_id, owner_id=owner)
        assert Counter(each.id for each in all_tasks(tasks, owner)) == {done.id: 1, following.id: 1}
        assert (done.completed, done.version) == (True, 2)
        assert (following.completed, following.version) == (False, 1)
        assert str(following.due_date) == NEXT
        assert tasks.counts(owner) == TaskCounts(3, total=2, completed=1)
        assert revisions_of(tasks, owner) == {done.id: 2, following.id: 3}
        note("completions", where, tried=CLIENTS)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_clients_complete_and_reopen_a_task_at_once_and_one_task_is_open(
    services: Sequence[Container], rounds: int
) -> None:
    where = services[0].database().engine.name
    tasks = services[0].tasks()
    inversions: Sequence[Write] = [
        lambda todo, task: todo.toggle_completion(owner_id=task.owner_id, task_id=task.id),
        lambda todo, task: todo.change_tasks(
            owner_id=task.owner_id, operations=[Completion(task.id, completed=False)]
        ),
        lambda todo, task: todo.update_task(
            owner_id=task.owner_id, task_id=task.id, completed=False
        ),
    ]
    ways = [*COMPLETIONS.values(), *inversions, *inversions]
    for number in range(rounds):
        task = new_task(services, number)
        owner = task.owner_id
        at_once(services, ways, task, CLIENTS // 2)
        done = tasks.get(task.id, owner_id=owner)
        expected = [done.id] if done.next_id is None else [done.id, done.next_id]
        assert done.completed == (done.next_id is not None)
        assert done.repetition == task.repetition
        assert sorted(each.id for each in all_tasks(tasks, owner)) == sorted(expected)
        # Each change of the task is one write, and so is what it does to the next one.
        changes = 1 + 2 * (done.version - 1)
        counts = TaskCounts(changes, total=len(expected), completed=len(expected) - 1)
        assert tasks.counts(owner) == counts
        note("completions", f"{where}, with reopening", tried=CLIENTS // 2)
