"""A task that is due on a day is due at the end of that day in its owner's time zone, always."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from random import Random
from uuid import uuid4

import pytest
from sqlalchemy import text

from tests.support.concurrency import at_once
from tests.support.storages import Storage, stored_owner
from tests.support.tasks import all_tasks, revisions_of
from tests.support.waiting import until
from todo_api.container import Container
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_operation import Creation, Edit, TaskOperation
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.entities.user import User, UserId
from todo_core.errors import TaskNotFound, TodoError, UserNotFound
from todo_core.ports.repositories import UNLIMITED

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
EXPIRES = NOW + timedelta(days=30)
KIRITIMATI, NIUE = TimeZone("Pacific/Kiritimati"), TimeZone("Pacific/Niue")
ZONES = [TimeZone("UTC"), KIRITIMATI, NIUE, TimeZone("Europe/Berlin"), TimeZone("Asia/Kathmandu")]
IN_TRASH = TaskQuery(deleted=True)
NUMBERS = count(1)
PASSWORD = "a rather long sentence"
ROUNDS = 15


def an_owner(storage: Storage) -> User:
    return stored_owner(storage, next(NUMBERS), now=NOW)


def stored_task(storage: Storage, owner: User, number: int, due_date: str | None) -> Task:
    task = Task.create(
        id=TaskId(number), owner_id=owner.id, title="Buy milk", due_date=due_date, now=NOW
    )
    storage.tasks.add(task)
    return task


def in_trash(storage: Storage, owner_id: UserId) -> Sequence[Task]:
    return storage.tasks.page(owner_id, IN_TRASH, limit=500).tasks


def moved(task: Task, zone: TimeZone) -> object:
    """Return the task as it is after its owner has moved to this zone, as text."""
    due_date = None if task.due_date is None else task.due_date.in_zone(zone)
    return fields(replace(task, due_date=due_date))


def fields(task: Task) -> object:
    return dict(zip(Task._fields, task, strict=True))


class TestZoneOfAUser:
    def test_the_zone_of_a_user_is_the_one_that_was_saved(self, storage: Storage) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        assert storage.users.time_zone(ada.id) == DEFAULT_TIME_ZONE
        changed = ada.with_profile(name=ada.name, email=ada.email, time_zone=NIUE, now=NOW)
        saved = storage.users.save(changed)
        assert saved.time_zone == storage.users.get(ada.id).time_zone == NIUE
        assert storage.users.time_zone(ada.id) == NIUE
        assert isinstance(storage.users.time_zone(ada.id), TimeZone)
        assert storage.users.time_zone(bob.id) == DEFAULT_TIME_ZONE

    def test_a_user_without_an_account_has_no_zone(self, storage: Storage) -> None:
        ada = an_owner(storage)
        storage.users.mark_deleted(ada, now=NOW)
        for user_id in (ada.id, UserId(uuid4())):
            with pytest.raises(UserNotFound):
                storage.users.time_zone(user_id)


class TestMoves:
    def test_the_days_of_tasks_and_of_the_trash_end_in_the_new_zone(self, storage: Storage) -> None:
        ada, bob = an_owner(storage), an_owner(storage)
        due = ["2026-03-29", "2026-03-29T12:00:00Z", None, "1970-01-01", "9999-12-31", "2026-03-29"]
        for owner in (ada, bob):
            for number, due_date in enumerate([*due, *due], 1):
                stored_task(storage, owner, number, due_date)
            for number in range(len(due) + 1, 2 * len(due) + 1):
                storage.tasks.remove(TaskId(number), owner_id=owner.id, expires_at=EXPIRES)
        of_bob = self.state(storage, bob)
        for zone in (KIRITIMATI, NIUE):
            tasks, trash = all_tasks(storage.tasks, ada.id), in_trash(storage, ada.id)
            assert len(tasks) == len(trash) == len(due)
            revisions, before = revisions_of(storage.tasks, ada.id), storage.tasks.counts(ada.id)
            storage.tasks.move_due_days(ada.id, zone, now=NOW)
            assert [*map(fields, all_tasks(storage.tasks, ada.id))] == [
                moved(task, zone) for task in tasks
            ]
            assert [*map(fields, in_trash(storage, ada.id))] == [
                moved(task, zone) for task in trash
            ]
            assert revisions_of(storage.tasks, ada.id) == revisions
            after = storage.tasks.counts(ada.id)
            assert after.revision == before.revision + 1
            assert (after.total, after.completed) == (before.total, before.completed)
            assert self.state(storage, bob) == of_bob

    def state(self, storage: Storage, owner: User) -> object:
        """Return everything that is stored of the owner's tasks."""
        return (
            [*map(fields, all_tasks(storage.tasks, owner.id))],
            [*map(fields, in_trash(storage, owner.id))],
            revisions_of(storage.tasks, owner.id),
            storage.tasks.counts(owner.id),
        )

    def test_tombstones_get_no_due_date(self, storage: Storage) -> None:
        ada = an_owner(storage)
        task = stored_task(storage, ada, 1, "2026-03-29")
        storage.tasks.remove(task.id, owner_id=ada.id, expires_at=EXPIRES, permanently=True)
        storage.tasks.move_due_days(ada.id, NIUE, now=NOW)
        assert in_trash(storage, ada.id) == []
        assert storage.tasks.counts(ada.id).revision == 3

    def test_an_owner_who_has_written_nothing_takes_no_revision(self, storage: Storage) -> None:
        ada = an_owner(storage)
        storage.tasks.move_due_days(ada.id, NIUE, now=NOW)
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(TaskId(1), owner_id=ada.id, expires_at=EXPIRES)
        storage.tasks.move_due_days(ada.id, NIUE, now=NOW)
        assert storage.tasks.counts(ada.id).revision == 0

    def test_moved_days_are_filtered_and_sorted_in_the_new_zone(self, storage: Storage) -> None:
        ada = an_owner(storage)
        stored_task(storage, ada, 1, "2026-03-29")
        stored_task(storage, ada, 2, "2026-03-29T20:00:00Z")
        query = TaskQuery(order=TaskOrder.DUE_DATE, descending=False)
        late = TaskQuery(due_after=datetime(2026, 3, 29, 22, tzinfo=UTC))
        orders = []
        for zone in (KIRITIMATI, NIUE):
            storage.tasks.move_due_days(ada.id, zone, now=NOW)
            found = storage.tasks.page(ada.id, query, limit=9).tasks
            orders.append(([task.id for task in found], storage.tasks.count(ada.id, late)))
        assert orders == [([1, 2], 0), ([2, 1], 1)]

    @pytest.mark.parametrize(
        "changes", [{"title": "Oats"}, {"completed": True}, {"due_date": "2026-03-29"}], ids=str
    )
    def test_a_task_that_was_loaded_before_a_move_is_saved_with_the_moved_day(
        self, storage: Storage, changes: dict[str, str | bool]
    ) -> None:
        ada = an_owner(storage)
        loaded = stored_task(storage, ada, 1, "2026-03-29")
        storage.tasks.move_due_days(ada.id, NIUE, now=NOW)
        storage.tasks.save(loaded.edited(now=NOW, **changes | {"title": "Beans"}))  # type: ignore[arg-type]  # any fields
        saved = storage.tasks.get(loaded.id, owner_id=ada.id)
        assert saved.title == "Beans"
        assert saved.due_date is not None
        assert saved.due_date.at == NIUE.end_of(date(2026, 3, 29))

    @pytest.mark.parametrize(
        "due_date", ["2026-03-30", "2026-03-29T12:00:00Z", "", "2026-03-29T23:59:59.999999Z"]
    )
    def test_a_task_can_be_given_another_due_date_after_a_move(
        self, storage: Storage, due_date: str
    ) -> None:
        ada = an_owner(storage)
        for zone in (DEFAULT_TIME_ZONE, NIUE):
            number = next(NUMBERS)
            loaded = stored_task(storage, ada, number, "2026-03-29")
            storage.tasks.move_due_days(ada.id, zone, now=NOW)
            edited = loaded.edited(now=NOW, zone=zone, due_date=due_date)
            storage.tasks.save(edited)
            assert storage.tasks.get(loaded.id, owner_id=ada.id).due_date == edited.due_date


class TestConcurrentMoves:
    """On a database whose transactions run at the same time."""

    @pytest.fixture
    def ada(self, postgresql_container: Container) -> User:
        register = postgresql_container.application().register_user
        return register(name="Ada", email="ada@example.com", password=PASSWORD)

    def require_days_in_zone(self, container: Container, owner: User) -> int:
        """Check each task that is due on a day, and return how many there are."""
        zone = container.users().get(owner.id).time_zone
        tasks = [
            *all_tasks(container.tasks(), owner.id),
            *container.tasks().page(owner.id, IN_TRASH, limit=10_000).tasks,
        ]
        due = [task.due_date for task in tasks if task.due_date and task.due_date.day]
        assert due == [each.in_zone(zone) for each in due]
        return len(due)

    def run(self, container: Container, owner: User, *actions: Callable[[Random], object]) -> None:
        """Run each of the actions many times, all of them at the same time."""

        def act(number: int) -> None:
            random = Random(number)  # noqa: S311 - repeatable
            for _ in range(ROUNDS):
                actions[number % len(actions)](random)

        outcomes = at_once(len(actions), act)
        assert outcomes == [None] * len(actions)
        assert self.require_days_in_zone(container, owner) > 0

    def test_tasks_that_are_created_during_moves_are_due_in_the_final_zone(
        self, postgresql_container: Container, ada: User
    ) -> None:
        todo = postgresql_container.application()

        def create(random: Random) -> None:
            due_date = f"2026-03-{random.randint(1, 31):02}"
            todo.create_task(owner_id=ada.id, title="Buy milk", due_date=due_date)

        def create_several(random: Random) -> None:
            creations = [Creation({"title": "x", "due_date": "2026-03-29"}) for _ in range(3)]
            todo.change_tasks(owner_id=ada.id, operations=creations)
            del random

        def move(random: Random) -> None:
            todo.update_profile(user_id=ada.id, time_zone=random.choice(ZONES))

        self.run(postgresql_container, ada, create, move, create, create_several)
        assert postgresql_container.tasks().counts(ada.id).total == ROUNDS * 5

    def test_a_task_that_is_restored_during_a_move_is_moved_too(
        self, postgresql_container: Container, ada: User
    ) -> None:
        todo, database = postgresql_container.application(), postgresql_container.database()
        task = todo.create_task(owner_id=ada.id, title="x", due_date="2026-03-29")
        todo.delete_task(owner_id=ada.id, task_id=task.id)

        def is_waiting() -> bool:
            waiting = text("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            return database.row(waiting, {}) is not None

        with ThreadPoolExecutor(1) as pool:
            with postgresql_container.unit_of_work()() as work:
                work.tasks.restore(task.id, owner_id=ada.id, now=NOW, most=UNLIMITED)
                move = pool.submit(todo.update_profile, user_id=ada.id, time_zone=NIUE)
                until(is_waiting)
            assert move.result().time_zone == NIUE
        assert self.require_days_in_zone(postgresql_container, ada) == 1

    def test_edits_bulks_deletions_and_restorations_neither_undo_a_move_nor_block_it(
        self, postgresql_container: Container, ada: User
    ) -> None:
        todo = postgresql_container.application()
        ids = [
            todo.create_task(owner_id=ada.id, title="x", due_date="2026-03-29").id for _ in range(4)
        ]

        def unless_missing(call: Callable[[], object]) -> None:
            try:
                call()
            except TodoError as error:
                if error.__class__.__name__ not in {"TaskNotFound", "EditConflict"}:
                    raise

        def edit(random: Random) -> None:
            day = f"2026-03-{random.randint(1, 31):02}"
            unless_missing(
                lambda: todo.update_task(
                    owner_id=ada.id, task_id=random.choice(ids), due_date=day, title=f"{day}"
                )
            )

        def toggle(random: Random) -> None:
            unless_missing(
                lambda: todo.toggle_completion(owner_id=ada.id, task_id=random.choice(ids))
            )

        def change_several(random: Random) -> None:
            chosen = random.sample(ids, 2)
            operations: list[TaskOperation] = [
                Edit(chosen[0], {"title": f"{random.random()}"}),
                Edit(chosen[1], {"due_date": "2026-03-30"}),
                Creation({"title": "y"}),
            ]
            unless_missing(lambda: todo.change_tasks(owner_id=ada.id, operations=operations))

        def delete_and_restore(random: Random) -> None:
            chosen = random.choice(ids)
            unless_missing(lambda: todo.delete_task(owner_id=ada.id, task_id=chosen))
            unless_missing(lambda: todo.restore_task(owner_id=ada.id, task_id=chosen))

        def move(random: Random) -> None:
            unless_missing(
                lambda: todo.update_profile(user_id=ada.id, time_zone=random.choice(ZONES))
            )

        self.run(
            postgresql_container,
            ada,
            *(move, edit, toggle, change_several, delete_and_restore, move, toggle),
        )

    def test_a_change_of_the_email_and_the_zone_waits_for_new_tasks_without_a_deadlock(
        self, postgresql_container: Container, ada: User
    ) -> None:
        todo = postgresql_container.application()

        def create(random: Random) -> None:
            del random
            todo.create_task(owner_id=ada.id, title="Buy milk")
            todo.create_task(owner_id=ada.id, title="Buy milk", due_date="2026-03-29")

        def move(random: Random) -> None:
            todo.update_profile(
                user_id=ada.id,
                email=f"ada{random.random()}@example.com",
                time_zone=random.choice(ZONES),
                current_password=PASSWORD,
            )

        self.run(postgresql_container, ada, create, move, create)
