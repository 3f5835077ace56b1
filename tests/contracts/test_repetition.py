"""Tasks that repeat, on every storage: completing one stores exactly one successor, or nothing."""

from collections.abc import Callable, Mapping
from copy import replace
from datetime import time, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import text

from tests.support.storages import Storage, storage_of, stored_owner
from tests.support.tasks import all_tasks, revisions_of
from tests.support.todo import FIRST_OF_OTHERS, NOW, Todo
from todo_api.container import Container
from todo_core.entities.due_date import DueDate
from todo_core.entities.recurrence import RecurrenceRule
from todo_core.entities.repetition import RepeatFrom, Repetition
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Completion, Creation, Deletion, Edit
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.time_zone import TimeZone
from todo_core.errors import EditConflict, IdTaken, QuotaExceeded
from todo_core.ports.repositories import UNLIMITED, TaskRepository

DAY = timedelta(days=1)
FAR, NEXT = "2999-01-07", "2999-01-08"
BERLIN, KIRITIMATI = TimeZone("Europe/Berlin"), TimeZone("Pacific/Kiritimati")


class Repeating(Todo):
    """The use cases on a storage, and an owner whose tasks repeat every day."""

    def create(self, **fields: Any) -> Task:
        daily = {"title": "Water the plants", "due_date": FAR, "recurrence_rule": "daily"}
        return super().create(**{**daily, **fields})


@pytest.fixture
def todo(storage: Storage) -> Todo:
    return Repeating.on(storage)


type Way = Callable[[Todo, Task], object]

WAYS: Mapping[str, Way] = {
    "an update": lambda todo, task: todo.change(task, completed=True, title="Watered"),
    "a completion": lambda todo, task: todo.complete(task),
    "an inversion": lambda todo, task: todo.application.toggle_completion(
        owner_id=todo.owner, task_id=task.id
    ),
    "a bulk": lambda todo, task: todo.bulk(Completion(task.id)),
    "an edit of a bulk": lambda todo, task: todo.bulk(Edit(task.id, {"completed": True})),
    "a filter": lambda todo, _: todo.application.complete_matching_tasks(
        owner_id=todo.owner, query=TaskQuery(search=SearchText("plants"))
    ),
    "an update with a key": lambda todo, task: todo.once(
        lambda writes: writes.update_task(owner_id=todo.owner, task_id=task.id, completed=True)
    ),
    "a completion with a key": lambda todo, task: todo.once(
        lambda writes: writes.toggle_completion(owner_id=todo.owner, task_id=task.id)
    ),
    "a bulk with a key": lambda todo, task: todo.once(
        lambda writes: writes.change_tasks(owner_id=todo.owner, operations=[Completion(task.id)])
    ),
}
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


class TestStoring:
    def test_a_task_repeats_as_it_was_stored(self, storage: Storage) -> None:
        rules = (
            "FREQ=DAILY",
            "FREQ=WEEKLY;INTERVAL=400;WKST=SU;BYDAY=MO,WE;COUNT=1000",
            "FREQ=MONTHLY;BYDAY=-1FR,2MO;BYSETPOS=-1;UNTIL=29990101T000000Z",
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1;UNTIL=29990101",
            "FREQ=MONTHLY;SKIP=BACKWARD",
        )
        clocks = (None, time(2, 30), time(0, 0, 0, 1))
        tasks, owner = storage.tasks, stored_owner(storage, 1, now=NOW).id
        plain = Task.create(id=TaskId(1), owner_id=owner, title="Buy milk", now=NOW)
        for rule, repeat_from, clock, next_id in product(
            rules, RepeatFrom, clocks, (None, TaskId(1), TaskId(2**53 - 1))
        ):
            repetition = Repetition(RecurrenceRule.parse(rule), repeat_from, clock)
            task = replace(plain, repetition=repetition, next_id=next_id)
            self.require_same_everywhere(tasks, task)

    def require_same_everywhere(self, tasks: TaskRepository, task: Task) -> None:
        """Store the task, change it, delete it, restore it and remove it."""
        owner = task.owner_id
        tasks.add(task)
        assert repr(tasks.get(task.id, owner_id=owner)) == repr(task)
        saved = tasks.save(replace(task, repetition=None, next_id=None))
        assert repr(tasks.get(task.id, owner_id=owner)) == repr(saved)
        saved = tasks.save(replace(saved, repetition=task.repetition, next_id=task.next_id))
        tasks.remove(task.id, owner_id=owner, expires_at=NOW + DAY)
        assert repr(tasks.get_in_trash(task.id, owner_id=owner)) == repr(saved)
        restored = tasks.restore(task.id, owner_id=owner, now=NOW, most=UNLIMITED)
        assert repr(restored) == repr(replace(task, version=4))
        for found in (*all_tasks(tasks, owner), *tasks.lock([task.id], owner_id=owner)):
            assert repr(found) == repr(restored)
        tasks.remove_batch(owner, limit=9)

    @pytest.mark.parametrize("is_erased_later", [True, False])
    def test_a_tombstone_does_not_tell_how_its_task_repeated(
        self, container: Container, is_erased_later: bool
    ) -> None:
        storage = storage_of(container)
        tasks, owner = storage.tasks, stored_owner(storage, 1, now=NOW).id
        plain = Task.create(id=TaskId(1), owner_id=owner, title="Buy milk", now=NOW)
        repetition = Repetition(RecurrenceRule.parse("daily"), RepeatFrom.DUE, time(2, 30))
        tasks.add(replace(plain, repetition=repetition, next_id=TaskId(7)))
        permanently = not is_erased_later
        tasks.remove(TaskId(1), owner_id=owner, expires_at=NOW, permanently=permanently)
        if is_erased_later:
            tasks.erase(TaskId(1), owner_id=owner, expires_at=NOW)
        [row] = container.database().rows(
            text(
                "SELECT recurrence_rule, repeat_from, repeat_clock, next_id, due_at"
                " FROM deleted_tasks"
            ),
            {},
        )
        assert set(row) == {None}


class TestCompletion:
    @every_way
    def test_one_task_follows_whatever_completes_it(self, todo: Todo, way: Way) -> None:
        details = {"description": "All of them", "priority": "high", "tags": ["home"]}
        task = todo.create(**details)
        way(todo, task)
        done = todo.get(task.id)
        following = todo.get(done.next_id)
        assert {each.id for each in todo.all()} == {task.id, following.id}
        assert (done.completed, done.version, done.repetition) == (True, 2, task.repetition)
        assert following == replace(
            task,
            id=TaskId(FIRST_OF_OTHERS),
            title=done.title,
            due_date=DueDate.parse(NEXT, TimeZone("UTC")),
            position=following.position,
        )
        todo.require_counts(revision=3, total=2, completed=1)
        assert revisions_of(todo.storage.tasks, todo.owner) == {task.id: 2, following.id: 3}

    def test_completing_it_again_creates_nothing(self, todo: Todo) -> None:
        task = todo.create()
        todo.complete(task)
        before = todo.state()
        todo.complete(task)
        todo.change(task, completed=True)
        todo.bulk(Completion(task.id), Edit(task.id, {"completed": True}))
        assert todo.state() == before

    def test_a_rule_that_comes_with_the_completion_counts(self, todo: Todo) -> None:
        task = todo.create(recurrence_rule=None)
        done = todo.change(task, recurrence_rule="daily", completed=True)
        assert str(todo.get(done.next_id).due_date) == NEXT
        ended = todo.change(todo.get(done.next_id), recurrence_rule=None, completed=True)
        assert (ended.next_id, ended.repetition) == (None, None)
        todo.require_counts(revision=4, total=2, completed=2)

    def test_a_filter_completes_no_successor(self, todo: Todo) -> None:
        for _ in range(3):
            todo.create()
        complete = todo.application.complete_matching_tasks
        assert complete(owner_id=todo.owner, query=TaskQuery()).count == 3
        assert [each.completed for each in todo.all()].count(True) == 3
        todo.require_counts(revision=9, total=6, completed=3)


class TestFailure:
    @every_way
    def test_nothing_is_stored_without_room_for_the_successor(
        self, storage: Storage, way: Way
    ) -> None:
        todo = Repeating.on(storage, most=2)
        task, other = todo.create(), todo.create(title="Another", recurrence_rule=None)
        before = todo.state()
        with pytest.raises(QuotaExceeded):
            way(todo, task)
        assert todo.state() == before
        todo.application.delete_task(owner_id=todo.owner, task_id=other.id)
        way(todo, task)
        assert len(todo.all()) == 2

    @every_way
    def test_another_identifier_is_tried_if_one_is_in_use(self, todo: Todo, way: Way) -> None:
        task, other = todo.create(), todo.create(title="Another", recurrence_rule=None)
        todo.ids.first = [task.id, other.id]
        way(todo, task)
        done = todo.get(task.id)
        assert (done.next_id, done.version) == (FIRST_OF_OTHERS, 2)
        assert todo.get(other.id) == other
        todo.require_counts(revision=4, total=3, completed=1)

    @every_way
    def test_nothing_is_stored_if_all_identifiers_are_in_use(self, todo: Todo, way: Way) -> None:
        task = todo.create()
        before = todo.state()
        todo.ids.first = [task.id] * 100
        with pytest.raises((EditConflict, IdTaken)):
            way(todo, task)
        assert todo.state() == before

    def test_a_bulk_that_fails_later_leaves_no_successor(self, storage: Storage) -> None:
        todo = Repeating.on(storage, most=3)
        task = todo.create()
        before = todo.state()
        new = Creation({"title": "Another"})
        with pytest.raises(QuotaExceeded) as refusal:
            todo.bulk(Completion(task.id), new, new)
        assert refusal.value.field == "operations/2/create"
        assert todo.state() == before


REOPENING: Mapping[str, Way] = {
    "an update": lambda todo, task: todo.change(task, completed=False),
    "a toggle": lambda todo, task: todo.complete(task, completed=False),
    "a bulk": lambda todo, task: todo.bulk(Completion(task.id, completed=False)),
    "a key": lambda todo, task: todo.once(
        lambda writes: writes.toggle_completion(owner_id=todo.owner, task_id=task.id)
    ),
}


@pytest.mark.parametrize("reopen", REOPENING.values(), ids=REOPENING.keys())
class TestReopening:
    def test_a_successor_that_nobody_changed_is_removed(self, todo: Todo, reopen: Way) -> None:
        task = todo.create()
        successor = todo.complete(task).next_id
        reopen(todo, task)
        assert todo.all() == [replace(task, version=3)]
        todo.require_counts(revision=5, total=1, completed=0)
        changes = todo.storage.tasks.changes(todo.owner, after=3, limit=9).changes
        assert {each.id: each.task is None for each in changes} == {task.id: False, successor: True}
        trash = todo.storage.tasks.page(todo.owner, TaskQuery(deleted=True), limit=9)
        assert trash.tasks == []
        again = todo.complete(task)
        assert again.next_id == FIRST_OF_OTHERS + 1
        todo.require_counts(revision=7, total=2, completed=1)

    def test_a_successor_that_was_changed_stays_and_repeats_instead(
        self, todo: Todo, reopen: Way
    ) -> None:
        task = todo.create()
        changed = todo.change(todo.get(todo.complete(task).next_id), title="Water the cactus")
        reopen(todo, task)
        reopened = todo.get(task.id)
        assert reopened == replace(task, repetition=None, version=3)
        assert todo.get(changed.id) == changed
        assert todo.complete(task).next_id is None
        todo.require_counts(revision=6, total=2, completed=1)

    def test_a_successor_that_was_completed_stays_with_its_own(
        self, todo: Todo, reopen: Way
    ) -> None:
        task = todo.create()
        second = todo.complete(todo.get(todo.complete(task).next_id))
        reopen(todo, task)
        assert todo.get(task.id) == replace(task, repetition=None, version=3)
        assert todo.get(second.id) == second
        assert not todo.get(second.next_id).completed
        todo.require_counts(revision=6, total=3, completed=1)

    @pytest.mark.parametrize("permanent", [True, False])
    def test_a_successor_that_was_deleted_stays_where_it_is(
        self, todo: Todo, reopen: Way, permanent: bool
    ) -> None:
        task = todo.create()
        successor = todo.get(todo.complete(task).next_id)
        todo.application.delete_task(
            owner_id=todo.owner, task_id=successor.id, permanently=permanent
        )
        reopen(todo, task)
        assert todo.all() == [replace(task, version=3)]
        in_trash = todo.storage.tasks.page(todo.owner, TaskQuery(deleted=True), limit=9).tasks
        assert in_trash == ([] if permanent else [successor])
        todo.require_counts(revision=5, total=1, completed=0)

    def test_a_task_in_the_trash_that_is_restored_knows_its_successor(
        self, todo: Todo, reopen: Way
    ) -> None:
        task = todo.create()
        todo.complete(task)
        todo.application.delete_task(owner_id=todo.owner, task_id=task.id)
        todo.application.restore_task(owner_id=todo.owner, task_id=task.id)
        reopen(todo, task)
        assert todo.all() == [replace(task, version=4)]
        todo.require_counts(revision=7, total=1, completed=0)

    def test_a_rule_that_is_sent_back_as_it_is_shown_returns(self, todo: Todo, reopen: Way) -> None:
        task = todo.create()
        todo.complete(task)
        todo.change(task, recurrence_rule=None)
        reopen(todo, task)
        assert todo.all() == [replace(task, version=3)]
        todo.require_counts(revision=5, total=1, completed=0)

    def test_a_move_to_another_time_zone_changes_no_successor(
        self, todo: Todo, reopen: Way
    ) -> None:
        task = todo.create()
        todo.complete(task)
        todo.application.update_profile(user_id=todo.owner, time_zone=str(KIRITIMATI))
        reopen(todo, task)
        assert [each.id for each in todo.all()] == [task.id]
        todo.require_counts(revision=6, total=1, completed=0)


def test_operations_of_a_bulk_see_what_earlier_ones_did_to_successors(todo: Todo) -> None:
    task = todo.create()
    successor = TaskId(FIRST_OF_OTHERS)
    done, reopened, again, _ = todo.bulk(
        Completion(task.id),
        Completion(task.id, completed=False),
        Completion(task.id),
        Deletion(task.id),
    )
    assert [each.next_id for each in (done, reopened, again)] == [  # type: ignore[attr-defined]  # they are tasks
        successor,
        None,
        successor + 1,
    ]
    assert [each.id for each in todo.all()] == [successor + 1]
    todo.require_counts(revision=8, total=1, completed=0)


class TestTimeZones:
    def test_a_day_ends_in_the_zone_to_which_its_owner_has_moved(self, todo: Todo) -> None:
        task = todo.create()
        todo.application.update_profile(user_id=todo.owner, time_zone=str(KIRITIMATI))
        following = todo.get(todo.complete(task).next_id)
        assert following.due_date == DueDate.parse(NEXT, KIRITIMATI)
        todo.application.update_profile(user_id=todo.owner, time_zone=str(BERLIN))
        assert todo.get(following.id).due_date == DueDate.parse(NEXT, BERLIN)

    def test_a_time_is_the_one_on_the_clocks_of_the_new_zone(self, todo: Todo) -> None:
        task = todo.create(due_date="2037-03-28T08:00:00Z")
        todo.application.update_profile(user_id=todo.owner, time_zone=str(BERLIN))
        following = todo.get(todo.complete(task).next_id)
        assert str(following.due_date) == "2037-03-29T07:00:00Z"  # 9:00 on both days

    @pytest.mark.parametrize(
        ("zone", "due"),
        [
            ("Europe/Berlin", "2037-03-30T00:30:00Z"),  # the time that was skipped the day before
            ("UTC", "2037-03-30T01:30:00Z"),  # here, it was not
            ("Pacific/Kiritimati", "2037-03-30T01:30:00Z"),
        ],
    )
    def test_a_time_that_clocks_skipped_is_not_taken_to_another_zone(
        self, todo: Todo, zone: str, due: str
    ) -> None:
        todo.application.update_profile(user_id=todo.owner, time_zone=str(BERLIN))
        task = todo.get(todo.complete(todo.create(due_date="2037-03-28T02:30")).next_id)
        assert str(task.due_date) == "2037-03-29T01:30:00Z"
        assert task.repetition is not None
        assert task.repetition.clock == time(2, 30)
        todo.application.update_profile(user_id=todo.owner, time_zone=zone)
        assert str(todo.get(todo.complete(task).next_id).due_date) == due
