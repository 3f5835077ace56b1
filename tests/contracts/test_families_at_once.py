"""Many clients change tasks and their subtasks at once, on two services: families stay whole.

The two services share a database, as two processes do.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier

import pytest

from tests.support.proof import note
from tests.support.tasks import all_tasks, revisions_of
from todo_api.container import Container
from todo_core.application import Application
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Deletion, Edit
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.user import UserId
from todo_core.errors import EditConflict, InvalidParent, TaskNotFound

CLIENTS, TASKS, WRITES = 8, 8, 12
ROUNDS = [
    pytest.param(4, id="everyday"),
    pytest.param(150, id="proof", marks=pytest.mark.proof),
]
SECONDS = 60

type Write = Callable[[Application, UserId, TaskId, TaskId], object]

WRITES_OF_FAMILIES: Mapping[str, Write] = {
    "create": lambda todo, owner, one, _: todo.create_task(
        owner_id=owner, title="Buy milk", parent_id=one
    ),
    "set": lambda todo, owner, one, other: todo.update_task(
        owner_id=owner, task_id=one, parent_id=other
    ),
    "move": lambda todo, owner, one, other: todo.move_task(
        owner_id=owner, task_id=one, parent_id=other, after=other
    ),
    "clear": lambda todo, owner, one, _: todo.update_task(
        owner_id=owner, task_id=one, parent_id=None
    ),
    "toggle": lambda todo, owner, one, _: todo.toggle_completion(owner_id=owner, task_id=one),
    "bulk": lambda todo, owner, one, other: todo.change_tasks(
        owner_id=owner, operations=[Completion(one), Edit(other, {"title": "Buy oats"})]
    ),
    "delete": lambda todo, owner, one, _: todo.delete_task(owner_id=owner, task_id=one),
    "delete in a bulk": lambda todo, owner, one, _: todo.change_tasks(
        owner_id=owner, operations=[Deletion(one)]
    ),
    "restore": lambda todo, owner, one, _: todo.restore_task(owner_id=owner, task_id=one),
    "complete all": lambda todo, owner, one, _: todo.complete_matching_tasks(
        owner_id=owner, query=TaskQuery(parent_id=one)
    ),
}


def new_tasks(services: Sequence[Container], number: int) -> tuple[UserId, Sequence[TaskId]]:
    """Create tasks of a new owner, the first of which repeats."""
    todo = services[0].application()
    email, password = f"ada{number}@example.com", "a long sentence"
    owner = todo.register_user(name="Ada", email=email, password=password).id
    rules = ["daily", *([None] * (TASKS - 1))]
    tasks = [
        todo.create_task(owner_id=owner, title=f"Task {index}", recurrence_rule=rule)
        for index, rule in enumerate(rules)
    ]
    return owner, [task.id for task in tasks]


def require_whole_families(services: Sequence[Container], owner: UserId) -> None:
    """Check that each subtask has a parent without one, and that everything was counted."""
    tasks = services[0].tasks()
    found = {task.id: task for task in all_tasks(tasks, owner)}
    for task in found.values():
        assert task.parent_id is None or found[task.parent_id].parent_id is None
    counts = tasks.counts(owner)
    assert (counts.total, counts.completed) == (
        len(found),
        sum(task.completed for task in found.values()),
    )
    revisions = revisions_of(tasks, owner)
    assert len({*revisions.values()}) == len(revisions)
    successors = Counter(task.next_id for task in found.values() if task.next_id is not None)
    assert all(count == 1 for count in successors.values())


@pytest.mark.parametrize("rounds", ROUNDS)
def test_families_stay_whole(services: Sequence[Container], rounds: int) -> None:
    where = services[0].database().engine.name
    applications = [each.application() for each in services]
    outcomes = Counter[str]()
    for number in range(rounds):
        owner, ids = new_tasks(services, number)
        barrier = Barrier(CLIENTS)

        def write(client: int, owner: UserId, ids: Sequence[TaskId], start: Barrier) -> list[str]:
            random = Random(f"{owner} {client}")  # noqa: S311 - it protects nothing
            done = []
            start.wait()
            for _ in range(WRITES):
                way = WRITES_OF_FAMILIES[random.choice([*WRITES_OF_FAMILIES, *["restore"] * 3])]
                try:
                    way(applications[client % 2], owner, *random.sample(ids, 2))
                    done.append("done")
                except (InvalidParent, TaskNotFound, EditConflict) as refusal:
                    done.append(type(refusal).__name__)
            return done

        with ThreadPoolExecutor(CLIENTS) as pool:
            writes = [pool.submit(write, client, owner, ids, barrier) for client in range(CLIENTS)]
            for each in writes:
                outcomes.update(each.result(SECONDS))
        require_whole_families(services, owner)
    tried = outcomes.total()
    note("family writes", where, tried=tried)
    assert outcomes["done"] > tried / 4
    assert outcomes[EditConflict.__name__] < tried / 50


def completed_family(todo: Application, owner: UserId) -> tuple[Task, Sequence[Task]]:
    parent = todo.create_task(
        owner_id=owner, title="Plan", due_date="2999-01-07", recurrence_rule="daily"
    )
    return parent, [
        todo.create_task(owner_id=owner, title=f"Buy {what}", parent_id=parent.id) for what in "ab"
    ]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_a_family_completed_by_many_is_followed_by_one(
    services: Sequence[Container], rounds: int
) -> None:
    applications = [each.application() for each in services]
    for number in range(rounds):
        owner, _ = new_tasks(services, number)
        parent, children = completed_family(applications[0], owner)
        barrier = Barrier(CLIENTS)

        def complete(client: int, task: Task, start: Barrier) -> None:
            todo = applications[client % 2]
            start.wait()
            if client % 4 == 0:
                todo.change_tasks(owner_id=task.owner_id, operations=[Completion(task.id)])
            else:
                todo.toggle_completion(owner_id=task.owner_id, task_id=task.id, completed=True)

        with ThreadPoolExecutor(CLIENTS) as pool:
            tasks = [*children, *([parent] * (CLIENTS - len(children)))]
            for each in [
                pool.submit(complete, client, task, barrier) for client, task in enumerate(tasks)
            ]:
                each.result(SECONDS)
        require_whole_families(services, owner)
        stored = all_tasks(services[0].tasks(), owner)
        titles = Counter((task.title, task.completed) for task in stored)
        assert {key: count for key, count in titles.items() if not key[0].startswith("Task")} == {
            (title, completed): 1
            for title in ("Plan", "Buy a", "Buy b")
            for completed in (True, False)
        }
