"""The order that owners give their tasks is the same on every storage, whatever is in the way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import replace
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.concurrency import at_once
from tests.support.storages import Storage, stored_owner
from tests.support.tasks import all_tasks
from todo_adapters.in_memory.changes import InMemoryChanges
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.limits.rate_limiter import Unlimited
from todo_core.entities.rank import MAX_LENGTH, Rank
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.user import User
from todo_core.errors import EditConflict, PreconditionFailed, StaleVersion, TaskNotFound
from todo_core.use_cases.ordering import MoveTask, ReorderTasks

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
EXPIRES = NOW + timedelta(days=30)
NUMBERS = count(1)

SAME = Rank("a1V")
LONG, NEXT_TO_LONG = Rank("a1" + "0" * 196 + "1"), Rank("a1" + "0" * 196 + "2")


def an_owner(storage: Storage) -> User:
    return stored_owner(storage, next(NUMBERS), now=NOW)


def add(storage: Storage, owner: User, *ranks: str) -> Sequence[Task]:
    """Store tasks with the ids 1, 2 and so on, which have these positions."""
    tasks = [
        replace(
            Task.create(id=TaskId(number), owner_id=owner.id, title=f"{number}", now=NOW),
            position=Rank(rank),
        )
        for number, rank in enumerate(ranks, 1)
    ]
    for task in tasks:
        storage.tasks.add(task)
    return tasks


def in_order(storage: Storage, owner: User) -> Sequence[int]:
    query = TaskQuery(order=TaskOrder.POSITION, descending=False)
    return [task.id for task in storage.tasks.page(owner.id, query, limit=9999).tasks]


def use_case[UseCase](
    kind: Callable[..., UseCase], storage: Storage, begin: object = None
) -> UseCase:
    return kind(
        unit_of_work=begin or storage.unit_of_work,
        limiter=Unlimited(),
        changes=InMemoryChanges(storage.tasks),
        clock=ManualClock(NOW + timedelta(days=1)),
    )


def move(storage: Storage, owner: User, number: int, **place: int) -> Task:
    other = {name: TaskId(other) for name, other in place.items()}
    return use_case(MoveTask, storage)(owner_id=owner.id, task_id=TaskId(number), **other)  # type: ignore[arg-type]  # no versions


def reorder(storage: Storage, owner: User, *numbers: int) -> Sequence[Task]:
    ids = [TaskId(number) for number in numbers]
    return use_case(ReorderTasks, storage)(owner_id=owner.id, task_ids=ids)


def moved(order: Sequence[int], number: int, place: str, other: int) -> Sequence[int]:
    """Return the order after a move."""
    if number == other:
        return order
    rest = [each for each in order if each != number]
    rest.insert(rest.index(other) + (place == "after"), number)
    return rest


def reordered(order: Sequence[int], named: Sequence[int]) -> Sequence[int]:
    """Return the order after the named tasks have changed places with each other."""
    following = iter(named)
    return [next(following) if each in named else each for each in order]


IDS = st.integers(1, 7)
MOVES = st.tuples(IDS, st.sampled_from(["before", "after"]), IDS)
REORDERS = st.lists(IDS, min_size=1, max_size=7, unique=True)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    ranks=st.lists(
        st.sampled_from([SAME, SAME, "a1", "a2", "a1W", LONG, NEXT_TO_LONG]),
        min_size=7,
        max_size=7,
    ),
    changes=st.lists(MOVES | REORDERS, max_size=8),
)
@example(ranks=[SAME] * 7, changes=[(1, "after", 4), (7, "before", 2), [3, 2, 1]])
@example(ranks=[LONG, NEXT_TO_LONG, *["a2"] * 5], changes=[(7, "after", 1), (6, "before", 2)])
@example(ranks=["a1", "a1", "a1V", "a2", "a3", "a3", "a3"], changes=[[2, 1], [7, 5, 6]])
@example(ranks=[LONG, LONG, NEXT_TO_LONG, *["a2"] * 4], changes=[[2, 1], [3, 1]])
def test_every_storage_keeps_the_order_that_a_list_has(
    storage: Storage, ranks: Sequence[str], changes: Sequence[Any]
) -> None:
    ada, bob = an_owner(storage), an_owner(storage)
    tasks = add(storage, ada, *ranks)
    of_bob = add(storage, bob, *ranks)
    expected: Sequence[int] = [
        task.id for task in sorted(tasks, key=lambda task: (task.position, task.id))
    ]
    for change in changes:
        if isinstance(change, tuple):
            number, place, other = change
            task = move(storage, ada, number, **{place: other})
            assert task == storage.tasks.get(TaskId(number), owner_id=ada.id)
            expected = moved(expected, *change)
        else:
            before = {task.id: task.position for task in all_tasks(storage.tasks, ada.id)}
            answer = reorder(storage, ada, *change)
            assert answer == [
                storage.tasks.get(TaskId(number), owner_id=ada.id) for number in change
            ]
            assert all(one.position < other.position for one, other in pairwise(answer))
            found = in_order(storage, ada)
            named = {before.pop(TaskId(number)) for number in change}
            if len(named) == len(change) and not named.isdisjoint(before.values()):
                # Among tasks with the same position, ids decide.
                assert [number for number in found if number in change] == change
                others = [number for number in expected if number not in change]
                assert [number for number in found if number not in change] == others
                expected = found
            else:
                expected = reordered(expected, change)
        assert in_order(storage, ada) == expected
    for task in all_tasks(storage.tasks, ada.id):
        assert Rank(task.position) == task.position
        assert len(task.position) <= MAX_LENGTH
        first = tasks[task.id - 1]
        assert replace(task, position=first.position, version=1, updated_at=NOW) == first
    assert sorted(all_tasks(storage.tasks, bob.id), key=lambda task: task.id) == of_bob


def test_only_tasks_around_the_place_change_to_make_room(storage: Storage) -> None:
    ada = an_owner(storage)
    more = 510  # than are read at a time
    ranks = [f"c{number}" for number in range(100, 100 + more)]
    add(storage, ada, *ranks, ranks[-1], *(f"d{number}" for number in range(1000, 1050)))
    assert move(storage, ada, 1, after=more).version == 2
    changed = [task.id for task in all_tasks(storage.tasks, ada.id) if task.version > 1]
    assert {1, more, more + 1} < {*changed}
    assert len(changed) <= 33
    assert in_order(storage, ada) == [*range(2, more + 1), 1, *range(more + 1, more + 52)]


def test_a_move_to_where_a_task_is_changes_nothing(storage: Storage) -> None:
    ada = an_owner(storage)
    tasks = add(storage, ada, "a0", "a0V", "a1", "a2")
    before = storage.tasks.counts(ada.id)
    assert move(storage, ada, 2, after=1) == tasks[1]
    assert move(storage, ada, 2, before=2) == tasks[1]
    assert reorder(storage, ada, 1, 3, 4) == [tasks[0], *tasks[2:]]
    assert storage.tasks.counts(ada.id) == before


@pytest.mark.parametrize("place", ["before", "after"])
def test_a_task_of_another_owner_is_not_found_and_nothing_changes(
    storage: Storage, place: str
) -> None:
    ada, bob = an_owner(storage), an_owner(storage)
    add(storage, ada, "a0", "a1")
    add(storage, bob, "a0", "a1", "a2")
    before = storage.tasks.counts(ada.id), storage.tasks.counts(bob.id)
    for number, other in ((1, 3), (3, 1), (3, 3)):
        with pytest.raises(TaskNotFound):
            move(storage, ada, number, **{place: other})
    with pytest.raises(TaskNotFound):
        reorder(storage, ada, 2, 3, 1)
    assert (storage.tasks.counts(ada.id), storage.tasks.counts(bob.id)) == before


class Interrupted:
    """Begins units of work in which other requests come between.

    Each time before this method of the repository is called, the next of the changes is made.
    """

    def __init__(
        self, storage: Storage, method: str, *changes: Callable[[], object] | None
    ) -> None:
        self._storage = storage
        self._method = method
        self._changes = [*changes]
        self._work: Any = None

    @contextmanager
    def __call__(self) -> Iterator["Interrupted"]:
        with self._storage.unit_of_work() as work:
            self._work = work
            yield self

    @property
    def tasks(self) -> "Interrupted":
        return self

    def __getattr__(self, name: str) -> Any:
        if name == self._method and self._changes and (change := self._changes.pop(0)):
            change()
        return getattr(self._work.tasks, name)


@pytest.mark.parametrize("storage", ["postgresql"], indirect=True)
class TestBetween:
    """Another request changes a task after it was read, and before it is moved.

    The other storages do one after the other.
    """

    @pytest.fixture
    def ada(self, storage: Storage) -> User:
        return an_owner(storage)

    def edit(self, storage: Storage, ada: User, number: int) -> Callable[[], object]:
        def change() -> object:
            task = storage.tasks.get(TaskId(number), owner_id=ada.id)
            return storage.tasks.save(task.edited(title=f"{task.title} again", now=NOW))

        return change

    def remove(self, storage: Storage, ada: User, number: int) -> Callable[[], object]:
        return lambda: storage.tasks.remove(TaskId(number), owner_id=ada.id, expires_at=EXPIRES)

    def interrupted_move(
        self, begin: Interrupted, storage: Storage, ada: User, number: int, **rest: Any
    ) -> Task:
        return use_case(MoveTask, storage, begin)(owner_id=ada.id, task_id=TaskId(number), **rest)

    @pytest.mark.parametrize("ranks", [("a0", "a1", "a2"), (SAME, SAME, SAME)], ids=str)
    def test_an_edit_is_kept(self, storage: Storage, ada: User, ranks: Sequence[str]) -> None:
        add(storage, ada, *ranks)
        method = "save" if len({*ranks}) > 1 else "lock"
        begin = Interrupted(storage, method, self.edit(storage, ada, 3))
        task = self.interrupted_move(begin, storage, ada, 3, before=TaskId(2))
        assert (task.title, task.version) == ("3 again", 3)
        assert in_order(storage, ada) == [1, 3, 2]

    @pytest.mark.parametrize("ranks", [("a0", "a1", "a2"), (SAME, SAME, SAME)], ids=str)
    def test_a_version_that_was_expected_may_be_gone(
        self, storage: Storage, ada: User, ranks: Sequence[str]
    ) -> None:
        add(storage, ada, *ranks)
        method = "save" if len({*ranks}) > 1 else "lock"
        begin = Interrupted(storage, method, self.edit(storage, ada, 3))
        with pytest.raises(PreconditionFailed):
            self.interrupted_move(begin, storage, ada, 3, before=TaskId(2), expected={1})
        assert in_order(storage, ada) == [1, 2, 3]

    def test_requests_that_keep_coming_are_a_conflict(self, storage: Storage, ada: User) -> None:
        add(storage, ada, "a0", "a1", "a2")
        begin = Interrupted(storage, "save", *[self.edit(storage, ada, 3)] * 3)
        with pytest.raises(EditConflict):
            self.interrupted_move(begin, storage, ada, 3, before=TaskId(2))
        assert in_order(storage, ada) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("ranks", "method", "passed"),
        [
            (("a0", "a1", "a2"), "save", 0),
            (("a0", "a1", "a2"), "page", 0),
            ((SAME, SAME, SAME), "page", 1),
            ((SAME, SAME, SAME), "lock", 0),
        ],
        ids=str,
    )
    def test_a_task_that_is_deleted_cannot_be_moved(
        self, storage: Storage, ada: User, ranks: Sequence[str], method: str, passed: int
    ) -> None:
        add(storage, ada, *ranks)
        begin = Interrupted(storage, method, *[None] * passed, self.remove(storage, ada, 3))
        with pytest.raises(TaskNotFound):
            self.interrupted_move(begin, storage, ada, 3, before=TaskId(2))
        assert in_order(storage, ada) == [1, 2]

    @pytest.mark.parametrize(("method", "passed"), [("page", 1), ("lock", 0)])
    def test_no_task_is_moved_behind_one_that_is_deleted_while_room_is_made(
        self, storage: Storage, ada: User, method: str, passed: int
    ) -> None:
        add(storage, ada, SAME, SAME, SAME)
        begin = Interrupted(storage, method, *[None] * passed, self.remove(storage, ada, 1))
        with pytest.raises(TaskNotFound):
            self.interrupted_move(begin, storage, ada, 3, after=TaskId(1))
        assert in_order(storage, ada) == [2, 3]

    def test_a_task_that_is_moved_away_while_room_is_made_stays_there(
        self, storage: Storage, ada: User
    ) -> None:
        add(storage, ada, SAME, SAME, SAME, SAME)
        begin = Interrupted(storage, "lock", lambda: move(storage, ada, 4, before=1))
        self.interrupted_move(begin, storage, ada, 3, before=TaskId(2))
        assert in_order(storage, ada) == [4, 1, 3, 2]

    def test_a_task_that_is_moved_away_while_others_are_reordered_stays_there(
        self, storage: Storage, ada: User
    ) -> None:
        add(storage, ada, SAME, SAME, SAME, SAME)
        begin = Interrupted(storage, "lock", None, lambda: move(storage, ada, 4, before=1))
        # The named ones are locked, so that only others move, before all of them.
        ids = [TaskId(3), TaskId(2)]
        use_case(ReorderTasks, storage, begin)(owner_id=ada.id, task_ids=ids)
        assert in_order(storage, ada) == [4, 1, 3, 2]

    def test_a_task_that_is_deleted_cannot_be_reordered(self, storage: Storage, ada: User) -> None:
        add(storage, ada, SAME, SAME, SAME)
        begin = Interrupted(storage, "lock", self.remove(storage, ada, 3))
        with pytest.raises(TaskNotFound):
            use_case(ReorderTasks, storage, begin)(
                owner_id=ada.id, task_ids=[TaskId(3), TaskId(2), TaskId(1)]
            )
        assert {task.version for task in all_tasks(storage.tasks, ada.id)} == {1}
        assert in_order(storage, ada) == [1, 2]


def test_concurrent_moves_lose_no_task(storage: Storage) -> None:
    ada, ids = an_owner(storage), range(1, 13)
    tasks = add(storage, ada, *[SAME] * 6, *(f"a{number}" for number in range(3, 9)))

    def act(number: int) -> None:
        random = Random(number)  # noqa: S311 - the same each time
        for _ in range(15):
            with suppress(EditConflict):
                one, other = random.sample(ids, 2)
                if random.random() < 0.7:
                    move(storage, ada, one, **{random.choice(["before", "after"]): other})
                else:
                    reorder(storage, ada, *random.sample(ids, 4))

    assert at_once(6, act) == [None] * 6
    assert sorted(in_order(storage, ada)) == [*ids]
    for task in all_tasks(storage.tasks, ada.id):
        assert task.title == tasks[task.id - 1].title
    expected = in_order(storage, ada)
    for number, other in ((1, 5), (5, 12), (12, 1)):
        move(storage, ada, number, after=other)
        expected = moved(expected, number, "after", other)
        assert in_order(storage, ada) == expected
    reorder(storage, ada, *reversed(ids))
    assert in_order(storage, ada) == [*reversed(ids)]


def test_a_stale_version_in_a_repository_is_not_hidden(storage: Storage) -> None:
    ada = an_owner(storage)
    [task, *_] = add(storage, ada, "a0", "a1")
    storage.tasks.save(task.moved(Rank("a5"), now=NOW))
    with pytest.raises(StaleVersion):
        storage.tasks.save(task.moved(Rank("a6"), now=NOW))
    assert in_order(storage, ada) == [2, 1]
