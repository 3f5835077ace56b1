"""The contract of the trash, of tombstones, of the quota and of changes, on every storage."""

from collections.abc import Sequence
from contextlib import suppress
from copy import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from uuid import uuid4

import pytest

from tests.support.concurrency import at_once
from tests.support.storages import Storage, storage_of
from tests.support.tasks import all_tasks
from todo_adapters.sql.tables import TASK_OWNERS, TASKS
from todo_api.container import Container
from todo_core.entities.task import Task, TaskCounts, TaskId
from todo_core.entities.task_changes import Change, FoundChanges
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.user import EmailAddress, PersonName, User, UserId
from todo_core.errors import (
    AccountGone,
    HasSubtasks,
    IdTaken,
    QuotaExceeded,
    StaleVersion,
    TaskNotFound,
    TodoError,
)
from todo_core.ports.repositories import UNLIMITED

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
EXPIRES = NOW + timedelta(days=30)
PURGED = NOW + timedelta(days=90)
IN_TRASH = TaskQuery(deleted=True)


def stored_user(storage: Storage, email: str = "ada@example.com") -> User:
    user = User.register(
        id=UserId(uuid4()),
        name=PersonName("Ada"),
        email=EmailAddress(email),
        password_hash="a hash",
        now=NOW,
    )
    storage.users.add(user)
    return user


def two_users(storage: Storage) -> tuple[User, User]:
    return stored_user(storage), stored_user(storage, "bob@example.com")


def a_task(owner: User, id: int = 1, *, now: datetime = NOW, title: str = "Buy milk") -> Task:
    return Task.create(
        id=TaskId(id), owner_id=owner.id, title=title, description="Two\nlitres", now=now
    )


def stored_task(storage: Storage, owner: User, id: int = 1) -> Task:
    task = a_task(owner, id)
    storage.tasks.add(task)
    return task


def remove(
    storage: Storage,
    owner: User,
    *ids: int,
    permanently: bool = False,
    expires_at: datetime = EXPIRES,
) -> None:
    for id in ids:
        storage.tasks.remove(
            TaskId(id), owner_id=owner.id, expires_at=expires_at, permanently=permanently
        )


def restore(storage: Storage, owner: User, id: int, *, most: int = UNLIMITED) -> Task:
    return storage.tasks.restore(TaskId(id), owner_id=owner.id, now=NOW + HOUR, most=most)


def trash(storage: Storage, owner: User, query: TaskQuery = IN_TRASH) -> Sequence[Task]:
    return storage.tasks.page(owner.id, query, limit=1000).tasks


def changes(
    storage: Storage, owner: User, *, after: int | None = None, limit: int = 1000
) -> FoundChanges:
    found = storage.tasks.changes(owner.id, after=after, limit=limit)
    return replace(found, changes=list(found.changes))


def deletions(storage: Storage, owner: User) -> list[int]:
    """Return the ids of the deleted tasks that are still known, the first deleted first."""
    return [change.id for change in changes(storage, owner).changes if change.task is None]


class TestTrash:
    def test_a_removed_task_is_in_the_trash_as_it_was(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        kept, task = stored_task(storage, ada, 2), stored_task(storage, ada)
        task = storage.tasks.save(task.with_completion(True, now=NOW + HOUR))
        remove(storage, ada, 1)
        assert trash(storage, ada) == [task]
        assert all_tasks(storage.tasks, ada.id) == [kept]
        assert trash(storage, bob) == []
        assert storage.tasks.counts(ada.id) == TaskCounts(4, total=1, completed=0)
        assert storage.tasks.count(ada.id, IN_TRASH) == 1
        assert storage.tasks.page(ada.id, IN_TRASH, limit=9).revision == 4

    def test_a_task_in_the_trash_is_reached_as_little_as_a_missing_one(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        remove(storage, ada, 1)
        with pytest.raises(TaskNotFound):
            storage.tasks.get(task.id, owner_id=ada.id)
        with pytest.raises(StaleVersion):
            storage.tasks.save(task.edited(title="Buy oats", now=NOW))
        with pytest.raises(TaskNotFound):
            remove(storage, ada, 1)
        with pytest.raises(StaleVersion):
            storage.tasks.remove(task.id, owner_id=ada.id, expires_at=EXPIRES, version=1)
        with storage.unit_of_work() as work:
            assert list(work.tasks.lock([task.id], owner_id=ada.id)) == []
        assert storage.tasks.counts(ada.id) == TaskCounts(2, total=0, completed=0)

    def test_a_restored_task_is_a_new_version_of_the_old_one(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        task = storage.tasks.save(task.edited(title="Straße", completed=True, now=NOW))
        remove(storage, ada, 1)
        restored = restore(storage, ada, 1)
        assert restored == replace(task, version=3, updated_at=NOW + HOUR)
        assert storage.tasks.get(task.id, owner_id=ada.id) == restored
        assert trash(storage, ada) == []
        assert storage.tasks.counts(ada.id) == TaskCounts(4, total=1, completed=1)
        search = TaskQuery(search=SearchText("STRASSE"))
        assert storage.tasks.page(ada.id, search, limit=9).tasks == [restored]

    def test_a_task_may_go_to_the_trash_and_back_again_and_again(self, storage: Storage) -> None:
        ada = stored_user(storage)
        stored_task(storage, ada)
        for turn in range(1, 4):
            remove(storage, ada, 1)
            assert restore(storage, ada, 1).version == turn + 1
        assert storage.tasks.counts(ada.id) == TaskCounts(7, total=1, completed=0)
        assert storage.tasks.purge_excess(most=0, limit=9) == 0, "none is deleted"

    def test_only_a_task_in_the_trash_of_its_owner_is_restored(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        stored_task(storage, ada, 1)
        stored_task(storage, ada, 2)
        remove(storage, ada, 1)
        for owner, id in ((bob, 1), (ada, 2), (ada, 3)):
            with pytest.raises(TaskNotFound):
                restore(storage, owner, id)
        assert storage.tasks.counts(ada.id) == TaskCounts(3, total=1, completed=0)
        assert storage.tasks.counts(bob.id) == TaskCounts(0, total=0, completed=0)

    def test_a_task_is_not_restored_where_another_has_its_id(self, storage: Storage) -> None:
        ada = stored_user(storage)
        first = stored_task(storage, ada)
        remove(storage, ada, 1)
        second = a_task(ada, title="Another")
        storage.tasks.add(second)
        with pytest.raises(IdTaken):
            restore(storage, ada, 1)
        assert all_tasks(storage.tasks, ada.id) == [second]
        assert trash(storage, ada) == [first]
        assert storage.tasks.counts(ada.id) == TaskCounts(3, total=1, completed=0)

    def test_of_a_task_that_was_removed_permanently_only_its_id_is_left(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        stored_task(storage, ada)
        remove(storage, ada, 1, permanently=True)
        assert trash(storage, ada) == []
        assert storage.tasks.count(ada.id, IN_TRASH) == 0
        assert deletions(storage, ada) == [1]
        with pytest.raises(TaskNotFound):
            restore(storage, ada, 1)
        with pytest.raises(TaskNotFound):
            storage.tasks.erase(TaskId(1), owner_id=ada.id, expires_at=PURGED)
        assert storage.tasks.counts(ada.id) == TaskCounts(2, total=0, completed=0)

    def test_an_erased_task_is_a_tombstone_of_the_same_revision(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        for id in (1, 2):
            stored_task(storage, ada, id)
        remove(storage, ada, 1, 2)
        for owner, id in ((bob, 1), (ada, 3)):
            with pytest.raises(TaskNotFound):
                storage.tasks.erase(TaskId(id), owner_id=owner.id, expires_at=PURGED)
        storage.tasks.erase(TaskId(1), owner_id=ada.id, expires_at=PURGED)
        assert [task.id for task in trash(storage, ada)] == [2]
        assert changes(storage, ada) == FoundChanges(
            [Change(TaskId(1), 3, None), Change(TaskId(2), 4, None)], 4, 0
        )
        with pytest.raises(TaskNotFound):
            restore(storage, ada, 1)
        assert storage.tasks.purge_tombstones(now=PURGED, limit=9) == 0
        assert storage.tasks.purge_tombstones(now=PURGED + MICROSECOND, limit=9) == 1

    def test_a_task_in_the_trash_is_read_by_its_owner_only(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        for user in (ada, bob):
            stored_task(storage, user, 1)
        task = storage.tasks.save(storage.tasks.get(TaskId(1), owner_id=ada.id))
        stored_task(storage, ada, 2)
        remove(storage, ada, 1)
        assert storage.tasks.get_in_trash(TaskId(1), owner_id=ada.id) == task
        for owner, id in ((bob, 1), (ada, 2), (ada, 3)):
            with pytest.raises(TaskNotFound):
                storage.tasks.get_in_trash(TaskId(id), owner_id=owner.id)
        storage.tasks.erase(TaskId(1), owner_id=ada.id, expires_at=PURGED)
        with pytest.raises(TaskNotFound):
            storage.tasks.get_in_trash(TaskId(1), owner_id=ada.id)

    def test_a_task_is_erased_if_it_has_the_version_that_is_given(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        stored_task(storage, ada, 1)
        remove(storage, ada, 1)
        restore(storage, ada, 1)

        def erase(owner: User, id: int, version: int) -> None:
            storage.tasks.erase(TaskId(id), owner_id=owner.id, expires_at=PURGED, version=version)

        with pytest.raises(StaleVersion):
            erase(ada, 1, 2)
        remove(storage, ada, 1)
        for owner, id, version in ((ada, 1, 1), (ada, 1, 3), (bob, 1, 2), (ada, 2, 2)):
            with pytest.raises(StaleVersion):
                erase(owner, id, version)
        assert [task.version for task in trash(storage, ada)] == [2]
        erase(ada, 1, 2)
        assert trash(storage, ada) == []
        with pytest.raises(StaleVersion):
            erase(ada, 1, 2)
        assert storage.tasks.purge_tombstones(now=PURGED + MICROSECOND, limit=9) == 1

    def test_a_failed_unit_of_work_leaves_the_trash_as_it_was(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id in (1, 2, 3):
            stored_task(storage, ada, id)
        remove(storage, ada, 1, 2)
        before = changes(storage, ada)
        with pytest.raises(ZeroDivisionError), storage.unit_of_work() as work:
            work.tasks.restore(TaskId(1), owner_id=ada.id, now=NOW, most=9)
            work.tasks.erase(TaskId(2), owner_id=ada.id, expires_at=PURGED)
            work.tasks.remove(TaskId(3), owner_id=ada.id, expires_at=EXPIRES)
            raise ZeroDivisionError
        assert changes(storage, ada) == before
        assert {task.id for task in trash(storage, ada)} == {1, 2}
        assert storage.tasks.counts(ada.id) == TaskCounts(5, total=1, completed=0)


class TestPages:
    @pytest.fixture
    def owner(self, storage: Storage) -> User:
        """A user with tasks, half of them in the trash, and another user with the same ids."""
        ada, bob = two_users(storage)
        titles = ("Buy milk", "straße", "STRASSE", "a", "B", "Übung")
        for id in range(1, 25):
            created = NOW + timedelta(minutes=id * 7 % 5)  # several at the same time
            task = a_task(ada, id, now=created, title=titles[id % 6])
            storage.tasks.add(task)
            if id % 3:
                changed = created + timedelta(hours=id % 4)
                storage.tasks.save(task.with_completion(True, now=changed))
            storage.tasks.add(a_task(bob, id, now=created))
        remove(storage, ada, *range(2, 25, 2))
        remove(storage, bob, 3, 4)
        storage.tasks.erase(TaskId(24), owner_id=ada.id, expires_at=PURGED)
        return ada

    @pytest.mark.parametrize("descending", [True, False])
    @pytest.mark.parametrize("order", TaskOrder)
    def test_the_trash_is_chosen_sorted_and_paged_as_other_tasks_are(
        self, storage: Storage, owner: User, order: TaskOrder, descending: bool
    ) -> None:
        everything = trash(storage, owner)
        assert {task.id for task in everything} == {*range(2, 24, 2)}
        revisions = {change.id: change.revision for change in changes(storage, owner).changes}

        def place(task: Task) -> Position:
            return Position.of(task, order, revision=revisions[task.id])

        def key(task: Task) -> tuple[object, ...]:
            return place(task).sort_key(descending=descending)

        for completed, created_after, created_before, updated_after, search in product(
            (None, True, False),
            (None, NOW + timedelta(minutes=1)),
            (None, NOW + timedelta(minutes=4)),
            (None, NOW + timedelta(hours=2)),
            (None, SearchText("STRASSE"), SearchText("litres"), SearchText("%")),
        ):
            query = TaskQuery(
                completed=completed,
                created_after=created_after,
                created_before=created_before,
                updated_after=updated_after,
                search=search,
                order=order,
                descending=descending,
                deleted=True,
            )
            chosen = sorted(filter(query.includes, everything), key=key, reverse=descending)
            assert trash(storage, owner, query) == chosen, query
            assert storage.tasks.count(owner.id, query) == len(chosen), query
            if chosen:
                middle = len(chosen) // 2
                after = place(chosen[middle])
                page = storage.tasks.page(owner.id, query, limit=2, after=after)
                assert page.tasks == chosen[middle + 1 :][:2], query
                more = len(chosen) > middle + 3
                assert page.last == (place(chosen[middle + 2]) if more else None), query
                skipped = storage.tasks.page(owner.id, query, limit=3, offset=1)
                assert skipped.tasks == chosen[1:4], query

    @pytest.mark.parametrize("order", TaskOrder)
    def test_pages_of_the_trash_are_the_parts_of_its_list(
        self, storage: Storage, owner: User, order: TaskOrder
    ) -> None:
        query = TaskQuery(order=order, deleted=True)
        for size in (1, 4):
            page = storage.tasks.page(owner.id, query, limit=size)
            pages = list(page.tasks)
            while page.last is not None:
                page = storage.tasks.page(owner.id, query, limit=size, after=page.last)
                pages += page.tasks
            assert pages == trash(storage, owner, query)

    def test_a_list_without_the_trash_has_none_of_it(self, storage: Storage, owner: User) -> None:
        assert {task.id for task in all_tasks(storage.tasks, owner.id)} == {*range(1, 25, 2)}
        milk = TaskQuery(search=SearchText("milk"))
        assert storage.tasks.count(owner.id, milk) == 0, "all of them are in the trash"


class TestExpiry:
    def test_expired_tasks_of_the_trash_are_erased_a_bounded_number_at_a_time(
        self, storage: Storage
    ) -> None:
        users = two_users(storage)
        for user in users:
            for id in range(1, 5):
                stored_task(storage, user, id)
            remove(storage, user, 1, 2)
            remove(storage, user, 3, expires_at=EXPIRES + MICROSECOND)
            remove(storage, user, 4, permanently=True)

        def erase(now: datetime, limit: int) -> int:
            return storage.tasks.erase_expired(now=now, expires_at=PURGED, limit=limit)

        assert erase(EXPIRES, 99) == 0, "they expire after this time"
        assert [erase(EXPIRES + MICROSECOND, 3) for _ in range(3)] == [3, 1, 0]
        for user in users:
            assert [task.id for task in trash(storage, user)] == [3]
            assert deletions(storage, user) == [1, 2, 3, 4]
            assert changes(storage, user).purged_revision == 0
        with pytest.raises(TaskNotFound):
            restore(storage, users[0], 1)
        assert storage.tasks.purge_tombstones(now=PURGED, limit=99) == 2, "the permanent ones"
        assert storage.tasks.purge_tombstones(now=PURGED + HOUR, limit=99) == 4
        assert [task.id for task in trash(storage, users[0])] == [3]

    def test_expired_tombstones_are_purged_a_bounded_number_at_a_time(
        self, storage: Storage
    ) -> None:
        ada, bob = two_users(storage)
        for user in (ada, bob):
            for id in range(1, 6):
                stored_task(storage, user, id)
        remove(storage, ada, 1, 2, 3, permanently=True)
        remove(storage, ada, 4, permanently=True, expires_at=EXPIRES + HOUR)
        remove(storage, ada, 5)
        remove(storage, bob, 1, permanently=True, expires_at=EXPIRES + HOUR)

        def purge(now: datetime) -> int:
            return storage.tasks.purge_tombstones(now=now, limit=2)

        assert purge(EXPIRES) == 0
        assert [purge(EXPIRES + MICROSECOND) for _ in range(3)] == [2, 1, 0]
        assert deletions(storage, ada) == [4, 5]
        assert changes(storage, ada).purged_revision == 8
        assert changes(storage, ada).revision == 10
        assert changes(storage, bob).purged_revision == 0
        assert deletions(storage, bob) == [1]
        assert [task.id for task in trash(storage, ada)] == [5]
        assert purge(EXPIRES + HOUR + MICROSECOND) == 2
        assert changes(storage, ada).purged_revision == 9
        assert changes(storage, bob).purged_revision == 6
        assert changes(storage, bob).changes[-1].revision == 5
        # Of what is left, both counts are right: one of Ada's tasks is deleted and none of Bob's.
        assert storage.tasks.purge_excess(most=1, limit=9) == 0
        assert storage.tasks.purge_excess(most=0, limit=9) == 1

    def test_the_oldest_deletions_beyond_a_number_are_purged(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        for id in range(1, 8):
            stored_task(storage, ada, id)
            stored_task(storage, bob, id)
        remove(storage, ada, 7, 1, 6)
        remove(storage, ada, 2, permanently=True, expires_at=PURGED)
        remove(storage, ada, 5, 3)
        remove(storage, bob, 1, 2)
        assert storage.tasks.purge_excess(most=6, limit=9) == 0
        assert storage.tasks.purge_excess(most=2, limit=3) == 3
        assert deletions(storage, ada) == [2, 5, 3]
        assert changes(storage, ada).purged_revision == 10
        assert storage.tasks.purge_excess(most=2, limit=3) == 1
        assert storage.tasks.purge_excess(most=2, limit=3) == 0
        assert deletions(storage, ada) == [5, 3]
        assert changes(storage, ada).purged_revision == 11
        assert {task.id for task in trash(storage, ada)} == {3, 5}
        assert deletions(storage, bob) == [1, 2]
        assert changes(storage, bob).purged_revision == 0
        with pytest.raises(TaskNotFound):
            restore(storage, ada, 7)
        assert storage.tasks.counts(ada.id) == TaskCounts(13, total=1, completed=0)

    def test_each_owner_with_too_many_deletions_has_its_turn(self, storage: Storage) -> None:
        users = two_users(storage)
        for user in users:
            for id in (1, 2, 3):
                stored_task(storage, user, id)
            remove(storage, user, 1, 2, 3)
        assert [storage.tasks.purge_excess(most=1, limit=9) for _ in range(3)] == [2, 2, 0]
        assert [deletions(storage, user) for user in users] == [[3], [3]]

    def test_a_restored_task_is_not_among_the_deletions_that_are_counted(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        for id in (1, 2):
            stored_task(storage, ada, id)
        remove(storage, ada, 1, 2)
        restore(storage, ada, 1)
        assert storage.tasks.purge_excess(most=1, limit=9) == 0
        storage.tasks.erase(TaskId(2), owner_id=ada.id, expires_at=PURGED)
        assert storage.tasks.purge_excess(most=1, limit=9) == 0
        assert storage.tasks.purge_excess(most=0, limit=9) == 1

    def test_a_later_deletion_is_never_purged_less_than_an_earlier_one(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        for id in (1, 2):
            stored_task(storage, ada, id)
        remove(storage, ada, 1, permanently=True, expires_at=PURGED)
        remove(storage, ada, 2, permanently=True, expires_at=EXPIRES)
        assert storage.tasks.purge_tombstones(now=EXPIRES + HOUR, limit=9) == 1
        assert changes(storage, ada).purged_revision == 4
        assert storage.tasks.purge_tombstones(now=PURGED + HOUR, limit=9) == 1
        assert changes(storage, ada).purged_revision == 4


class TestQuota:
    def test_a_task_beyond_the_quota_is_refused_and_takes_no_revision(
        self, storage: Storage
    ) -> None:
        ada, bob = two_users(storage)
        with pytest.raises(QuotaExceeded):
            storage.tasks.add(a_task(ada), most=0)
        for id in (1, 2):
            storage.tasks.add(a_task(ada, id), most=2)
        for _ in range(2):
            with pytest.raises(QuotaExceeded):
                storage.tasks.add(a_task(ada, 3), most=2)
        storage.tasks.add(a_task(bob), most=2)
        assert storage.tasks.counts(ada.id) == TaskCounts(2, total=2, completed=0)

    def test_what_is_in_the_trash_is_not_counted_until_it_is_restored(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        for id in (1, 2):
            storage.tasks.add(a_task(ada, id), most=2)
        remove(storage, ada, 1)
        storage.tasks.add(a_task(ada, 3), most=2)
        with pytest.raises(QuotaExceeded):
            restore(storage, ada, 1, most=2)
        assert [task.id for task in trash(storage, ada)] == [1]
        assert storage.tasks.counts(ada.id) == TaskCounts(4, total=2, completed=0)
        remove(storage, ada, 2)
        assert restore(storage, ada, 1, most=2).version == 2

    def test_a_task_that_is_not_in_the_trash_is_missing_though_the_quota_is_exceeded(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        stored_task(storage, ada)
        with pytest.raises(TaskNotFound):
            restore(storage, ada, 2, most=1)

    def test_an_account_that_is_gone_has_no_quota(self, storage: Storage) -> None:
        ada = stored_user(storage)
        storage.users.remove(ada)
        for most in (0, 9):
            with pytest.raises(AccountGone):
                storage.tasks.add(a_task(ada), most=most)

    def test_concurrent_tasks_do_not_exceed_the_quota(self, storage: Storage) -> None:
        ada = stored_user(storage)
        stored_task(storage, ada, 100)
        remove(storage, ada, 100)

        def add(number: int) -> None:
            if number:
                storage.tasks.add(a_task(ada, number), most=3)
            else:
                restore(storage, ada, 100, most=3)

        outcomes = at_once(12, add)
        assert sorted(outcomes, key=str) == [QuotaExceeded] * 9 + [None] * 3
        assert storage.tasks.counts(ada.id) == TaskCounts(5, total=3, completed=0)


class TestChanges:
    def test_an_owner_without_tasks_has_no_changes(self, storage: Storage) -> None:
        ada = stored_user(storage)
        nobody = UserId(uuid4())
        for owner_id, after in product((ada.id, nobody), (None, 0, 5)):
            found = storage.tasks.changes(owner_id, after=after, limit=9)
            assert (list(found.changes), found.revision, found.purged_revision) == ([], 0, 0)

    def test_each_task_is_listed_once_with_its_newest_change(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        first, second, third = (stored_task(storage, ada, id) for id in (1, 2, 3))
        stored_task(storage, bob, 4)
        second = storage.tasks.save(second.with_completion(True, now=NOW))
        remove(storage, ada, 1, 3)
        third = restore(storage, ada, 3)
        second = storage.tasks.save(second.edited(title="Buy oats", now=NOW))
        remove(storage, bob, 4)
        assert changes(storage, ada) == FoundChanges(
            [
                Change(first.id, 5, None),
                Change(third.id, 7, third),
                Change(second.id, 8, second),
            ],
            8,
            0,
        )
        assert changes(storage, bob) == FoundChanges([Change(TaskId(4), 2, None)], 2, 0)

    def test_pages_of_changes_are_the_parts_of_their_list(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        for id in range(1, 31):
            task = a_task(ada, id)
            storage.tasks.add(task)
            stored_task(storage, bob, id)
            if id % 3 == 0:
                storage.tasks.save(task.with_completion(True, now=NOW))
            if id % 4 == 0:
                remove(storage, ada, id // 2, permanently=id % 8 == 0)
        everything = changes(storage, ada)
        revisions = [change.revision for change in everything.changes]
        assert revisions == sorted(set(revisions))
        assert revisions[-1] == everything.revision
        assert sorted(change.id for change in everything.changes) == [*range(1, 31)]
        assert changes(storage, ada, limit=7).changes == everything.changes[:7]
        for size in (1, 4, 30):
            pages: list[Change] = []
            after: int | None = None
            while (page := changes(storage, ada, after=after, limit=size)).changes:
                assert len(page.changes) <= size
                assert page.revision == everything.revision
                pages += page.changes
                after = page.changes[-1].revision
            assert pages == everything.changes
            assert page == FoundChanges([], everything.revision, 0)
        assert changes(storage, ada, after=10**15).changes == []


class TestOwnersWithoutRow:
    """As after the migrations, owners have none who have not written a task since."""

    @pytest.fixture
    def storage(self, container: Container) -> Storage:
        """Storage on each kind of database in turn."""
        return storage_of(container)

    @pytest.fixture
    def owner(self, storage: Storage, container: Container) -> User:
        """A user without a row, with three open tasks."""
        ada = stored_user(storage)
        for id in (1, 2, 3):
            stored_task(storage, ada, id)
        with container.database().transaction() as transaction:
            transaction.connection.execute(TASKS.update().values(revision=-TASKS.c.id))
            transaction.connection.execute(TASK_OWNERS.delete())
        return ada

    def test_their_tasks_are_listed_before_every_change(
        self, storage: Storage, owner: User
    ) -> None:
        first, second, third = (a_task(owner, id) for id in (1, 2, 3))
        everything = [Change(TaskId(3), -3, third), Change(TaskId(2), -2, second)]
        everything.append(Change(TaskId(1), -1, first))
        assert changes(storage, owner) == FoundChanges(everything, 0, 0)
        assert changes(storage, owner, after=-2) == FoundChanges(everything[2:], 0, 0)
        second = storage.tasks.save(second.with_completion(True, now=NOW))
        newer = [Change(TaskId(2), 1, second)]
        assert changes(storage, owner, after=-1) == FoundChanges(newer, 1, 0)

    @pytest.mark.parametrize("version", [None, 1])
    @pytest.mark.parametrize("permanently", [False, True])
    def test_their_first_write_may_be_a_deletion(
        self, storage: Storage, owner: User, permanently: bool, version: int | None
    ) -> None:
        with pytest.raises(TaskNotFound if version is None else StaleVersion):
            storage.tasks.remove(TaskId(4), owner_id=owner.id, expires_at=NOW, version=version)
        storage.tasks.remove(
            TaskId(1),
            owner_id=owner.id,
            expires_at=EXPIRES,
            permanently=permanently,
            version=version,
        )
        assert storage.tasks.counts(owner.id) == TaskCounts(1, total=2, completed=0)
        assert deletions(storage, owner) == [1]

    def test_their_first_write_may_be_a_change(self, storage: Storage, owner: User) -> None:
        task = storage.tasks.get(TaskId(1), owner_id=owner.id)
        with pytest.raises(StaleVersion):
            storage.tasks.save(replace(task, version=2))
        storage.tasks.save(task.with_completion(True, now=NOW))
        assert storage.tasks.counts(owner.id) == TaskCounts(1, total=3, completed=1)

    def test_their_first_write_is_held_to_the_quota(self, storage: Storage, owner: User) -> None:
        with pytest.raises(QuotaExceeded):
            storage.tasks.add(a_task(owner, 4), most=3)
        storage.tasks.add(a_task(owner, 4), most=4)
        assert storage.tasks.counts(owner.id) == TaskCounts(1, total=4, completed=0)

    def test_nothing_is_in_their_trash(self, storage: Storage, owner: User) -> None:
        with pytest.raises(TaskNotFound):
            restore(storage, owner, 1)
        assert trash(storage, owner) == []
        assert storage.tasks.purge_excess(most=0, limit=9) == 0


class TestAccounts:
    def test_a_batch_of_tasks_includes_the_trash(self, storage: Storage) -> None:
        ada, bob = two_users(storage)
        for user in (ada, bob):
            for id in range(1, 6):
                stored_task(storage, user, id)
            remove(storage, user, 1, 2)
            remove(storage, user, 3, permanently=True)
        before = changes(storage, bob)
        assert [storage.tasks.remove_batch(ada.id, limit=3) for _ in range(3)] == [3, 2, 0]
        assert changes(storage, ada).changes == []
        assert trash(storage, ada) == []
        assert changes(storage, bob) == before
        assert {task.id for task in trash(storage, bob)} == {1, 2}

    @pytest.mark.parametrize("marks", [True, False])
    def test_a_removed_account_has_no_trash(self, storage: Storage, marks: bool) -> None:
        ada, bob = two_users(storage)
        for user in (ada, bob):
            for id in (1, 2):
                stored_task(storage, user, id)
            remove(storage, user, 1)
            remove(storage, user, 2, permanently=True, expires_at=NOW)
        if marks:
            storage.users.mark_deleted(ada, now=NOW)
            assert storage.users.purge(ada.id)
        else:
            storage.users.remove(ada)
        assert trash(storage, ada) == []
        assert changes(storage, ada) == FoundChanges([], 0, 0)
        with pytest.raises(TaskNotFound):
            restore(storage, ada, 1)
        assert len(trash(storage, bob)) == 1
        assert storage.tasks.purge_tombstones(now=NOW + HOUR, limit=9) == 1, "Bob's"
        assert storage.tasks.erase_expired(now=PURGED, expires_at=PURGED, limit=9) == 1


class TestConcurrency:
    def test_of_many_concurrent_restores_of_a_task_one_succeeds(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id in range(1, 6):
            stored_task(storage, ada, id)
            remove(storage, ada, id)
            outcomes = at_once(8, lambda _: restore(storage, ada, id))  # noqa: B023 - run at once
            assert sorted(outcomes, key=str) == [TaskNotFound] * 7 + [None]
        assert storage.tasks.counts(ada.id) == TaskCounts(15, total=5, completed=0)

    def test_of_a_restore_and_an_erasure_one_succeeds(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id in range(1, 20):
            stored_task(storage, ada, id)
            remove(storage, ada, id)

            def change(number: int, id: int = id) -> None:
                if number:
                    restore(storage, ada, id)
                else:
                    storage.tasks.erase(TaskId(id), owner_id=ada.id, expires_at=PURGED)

            assert sorted(at_once(2, change), key=str) == [TaskNotFound, None]
        restored = len(all_tasks(storage.tasks, ada.id))
        assert storage.tasks.counts(ada.id) == TaskCounts(38 + restored, restored, 0)
        assert len(deletions(storage, ada)) == 19 - restored

    def test_concurrent_clean_ups_purge_no_more_than_the_excess(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for turn in range(5):
            ids = range(turn * 10 + 1, turn * 10 + 11)
            for id in ids:
                stored_task(storage, ada, id)
            remove(storage, ada, *ids)
            purged: list[int] = []
            at_once(4, lambda _: purged.append(storage.tasks.purge_excess(most=6, limit=9)))  # noqa: B023 - run at once
            while count := storage.tasks.purge_excess(most=6, limit=9):
                purged.append(count)
            assert sum(purged) == (4 if turn == 0 else 10)
            assert deletions(storage, ada) == [*ids][4:]

    def test_everything_at_once_neither_waits_for_each_other_nor_miscounts(
        self, storage: Storage
    ) -> None:
        users = two_users(storage)
        ids = range(1, 13)
        for user, id in product(users, ids):
            stored_task(storage, user, id)
        expired = NOW - HOUR

        def remove_one(user: User, id: int, random: Random) -> None:
            remove(storage, user, id, permanently=random.random() < 0.2, expires_at=expired)

        def remove_many(user: User, id: int, random: Random) -> None:
            chosen = [TaskId(each) for each in random.sample(ids, 4)]
            with storage.unit_of_work() as work:
                for task in work.tasks.lock(chosen, owner_id=user.id):
                    work.tasks.remove(
                        task.id, owner_id=user.id, expires_at=expired, version=task.version
                    )

        def restore_one(user: User, id: int, random: Random) -> None:
            restore(storage, user, id, most=10)

        def complete(user: User, id: int, random: Random) -> None:
            task = storage.tasks.get(TaskId(id), owner_id=user.id)
            storage.tasks.save(task.with_completion(not task.completed, now=NOW))

        def erase(user: User, id: int, random: Random) -> None:
            storage.tasks.erase(TaskId(id), owner_id=user.id, expires_at=expired)

        def clean_up(user: User, id: int, random: Random) -> None:
            if random.random() < 0.2:
                storage.tasks.erase_expired(now=NOW, expires_at=expired, limit=2)
            storage.tasks.purge_tombstones(now=NOW, limit=3)
            storage.tasks.purge_excess(most=5, limit=3)

        def add(user: User, id: int, random: Random) -> None:
            # An id of a deleted task is never used again.
            storage.tasks.add(a_task(user, random.randrange(100, 2**53)), most=12)

        def work(number: int) -> None:
            random = Random(number)  # noqa: S311 - the same each time
            actions = (
                *(remove_one, remove_many, restore_one, restore_one),
                *(complete, erase, clean_up, add),
            )
            for _ in range(40):
                with suppress(TaskNotFound, QuotaExceeded, StaleVersion):
                    random.choice(actions)(random.choice(users), random.choice(ids), random)

        assert at_once(8, work) == [None] * 8
        for user in users:
            tasks = all_tasks(storage.tasks, user.id)
            found = changes(storage, user)
            assert storage.tasks.counts(user.id) == TaskCounts(
                found.revision, len(tasks), sum(task.completed for task in tasks)
            )
            listed = [change.id for change in found.changes]
            assert len(listed) == len(set(listed))
            assert {change.id: change.task for change in found.changes if change.task} == {
                task.id: task for task in tasks
            }
            revisions = [change.revision for change in found.changes]
            assert revisions == sorted(set(revisions))
        # The count of deleted tasks is right: as many as are listed are in excess of none.
        left = sum(len(deletions(storage, user)) for user in users)
        purged = 0
        while count := storage.tasks.purge_excess(most=0, limit=99):
            purged += count
        assert purged == left

    def test_no_transaction_of_the_trash_is_rolled_back_by_a_deadlock(
        self, postgresql_container: Container
    ) -> None:
        storage = storage_of(postgresql_container)
        ada = stored_user(storage)
        for id in range(1, 9):
            stored_task(storage, ada, id)

        def work(number: int) -> None:
            random = Random(number)  # noqa: S311 - the same each time
            for _ in range(30):
                id = TaskId(random.randrange(1, 9))
                with suppress(TaskNotFound, HasSubtasks):  # it may be restored meanwhile
                    if number % 3 == 0:
                        restore(storage, ada, id)
                    elif number % 3 == 1:
                        remove(storage, ada, id, expires_at=NOW - HOUR)
                    else:
                        storage.tasks.purge_excess(most=7, limit=1)
                        storage.tasks.purge_tombstones(now=NOW, limit=2)

        # A deadlock would be a StaleVersion, which none of these raises otherwise.
        errors: list[type[TodoError] | None] = at_once(9, work)
        assert errors == [None] * 9
