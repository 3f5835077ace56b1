"""The contract of the repositories: what their ports promise holds on every storage."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from tests.concurrency import at_once
from tests.contracts.conftest import Storage
from todo_core.entities.session import Session, SessionId
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import Email, PersonName, User, UserId
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    IdTaken,
    StaleVersion,
    TaskNotFound,
    UserNotFound,
)

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
LARGEST_TASK_ID = TaskId(2**63 - 1)


def a_user(email: str = "ada@example.com") -> User:
    return User.register(
        id=UserId(uuid4()),
        name=PersonName("Ada"),
        email=Email(email),
        password_hash="a hash",
        now=NOW,
    )


def a_task(owner: User, id: int = 1, *, now: datetime = NOW, title: str = "Buy milk") -> Task:
    return Task.create(
        id=TaskId(id), owner_id=owner.id, title=title, description="Two\nlitres", now=now
    )


def stored_user(storage: Storage, email: str = "ada@example.com") -> User:
    user = a_user(email)
    storage.users.add(user)
    return user


def stored_task(storage: Storage, owner: User, id: int = 1) -> Task:
    task = a_task(owner, id)
    storage.tasks.add(task)
    return task


class TestUsers:
    def test_a_user_comes_back_as_it_was_stored(self, storage: Storage) -> None:
        user = stored_user(storage)
        assert storage.users.get(user.id) == user

    def test_a_user_without_a_password_comes_back_so(self, storage: Storage) -> None:
        user = replace(a_user(), password_hash=None)
        storage.users.add(user)
        assert storage.users.get(user.id).password_hash is None

    def test_an_unknown_id_is_not_found(self, storage: Storage) -> None:
        stored_user(storage)
        with pytest.raises(UserNotFound):
            storage.users.get(UserId(uuid4()))

    def test_an_email_is_found_in_whatever_case_it_is_written(self, storage: Storage) -> None:
        user = stored_user(storage, "Ada@Example.com")
        found = storage.users.get_by_email(Email("aDA@eXAMPLE.com"))
        assert found == user
        assert found.email == "Ada@Example.com"

    def test_an_unknown_email_is_not_found(self, storage: Storage) -> None:
        stored_user(storage)
        with pytest.raises(UserNotFound):
            storage.users.get_by_email(Email("ada@example.org"))

    def test_an_email_belongs_to_one_account_in_whatever_case(self, storage: Storage) -> None:
        stored_user(storage, "ada@example.com")
        with pytest.raises(EmailTaken):
            stored_user(storage, "ADA@example.com")

    def test_saving_stores_the_change_and_grows_the_version(self, storage: Storage) -> None:
        user = stored_user(storage)
        later = NOW + timedelta(days=1)
        saved = storage.users.save(user.with_password_hash("another", now=later))
        assert saved == replace(
            user, password_hash="another", updated_at=later, version=user.version + 1
        )
        assert storage.users.get(user.id) == saved

    def test_a_stale_user_is_not_saved(self, storage: Storage) -> None:
        user = stored_user(storage)
        storage.users.save(user.with_password_hash("the first", now=NOW))
        with pytest.raises(StaleVersion):
            storage.users.save(user.with_password_hash("the second", now=NOW))
        assert storage.users.get(user.id).password_hash == "the first"

    def test_a_user_who_is_not_there_is_not_saved(self, storage: Storage) -> None:
        with pytest.raises(StaleVersion):
            storage.users.save(a_user())

    def test_a_user_cannot_be_saved_with_the_email_of_another(self, storage: Storage) -> None:
        stored_user(storage, "ada@example.com")
        user = stored_user(storage, "bob@example.com")
        with pytest.raises(EmailTaken):
            storage.users.save(replace(user, email=Email("Ada@example.com")))
        assert storage.users.get(user.id) == user

    def test_a_user_can_be_saved_with_their_own_email(self, storage: Storage) -> None:
        user = stored_user(storage, "ada@example.com")
        saved = storage.users.save(replace(user, email=Email("ADA@example.com")))
        assert storage.users.get(user.id).email == saved.email == "ADA@example.com"

    def test_of_many_who_register_one_email_at_once_exactly_one_succeeds(
        self, storage: Storage
    ) -> None:
        outcomes = at_once(32, lambda _: storage.users.add(a_user("ada@example.com")))
        assert outcomes.count(None) == 1
        assert outcomes.count(EmailTaken) == 31


class TestSessions:
    def test_a_session_needs_its_user(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.sessions.add(a_session(a_user()))

    def test_a_user_has_as_many_sessions_as_they_like(self, storage: Storage) -> None:
        user = stored_user(storage)
        storage.sessions.add(a_session(user))
        storage.sessions.add(a_session(user))


def a_session(user: User) -> Session:
    return Session.start(
        id=SessionId(uuid4()),
        user_id=user.id,
        refresh_salt="00" * 16,
        user_agent="a browser",
        address="192.0.2.1",
        lifetime=timedelta(days=90),
        now=NOW,
    )


class TestTasks:
    def test_a_task_comes_back_as_it_was_stored(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        assert storage.tasks.get(task.id, owner_id=ada.id) == task
        assert storage.tasks.list(ada.id) == [task]

    @pytest.mark.parametrize(
        "text", ["ß Ünï 漢字 🎉 \u202e", "' OR 1=1 --", "%_\\", "a" * 200, "𝒳" * 200]
    )
    def test_any_text_comes_back_as_it_was_written(self, storage: Storage, text: str) -> None:
        ada = stored_user(storage)
        task = Task.create(
            id=TaskId(1), owner_id=ada.id, title=text, description=f"\t{text}\n", now=NOW
        )
        storage.tasks.add(task)
        assert storage.tasks.get(task.id, owner_id=ada.id) == task

    def test_an_id_may_have_64_bits(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada, LARGEST_TASK_ID)
        assert storage.tasks.get(LARGEST_TASK_ID, owner_id=ada.id) == task

    def test_times_come_back_in_utc_to_the_microsecond(self, storage: Storage) -> None:
        ada = stored_user(storage)
        storage.tasks.add(a_task(ada))
        [task] = storage.tasks.list(ada.id)
        assert task.created_at == NOW
        assert task.created_at.tzinfo is UTC

    def test_the_newest_come_first(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id, minutes in ((7, 0), (3, 2), (9, 1), (5, 1)):
            storage.tasks.add(a_task(ada, id, now=NOW + timedelta(minutes=minutes)))
        assert [task.id for task in storage.tasks.list(ada.id)] == [3, 9, 5, 7]

    def test_the_list_can_be_of_those_completed_or_not(self, storage: Storage) -> None:
        ada = stored_user(storage)
        to_do, done = stored_task(storage, ada, 1), stored_task(storage, ada, 2)
        done = storage.tasks.save(done.with_completion(True, now=NOW))
        assert storage.tasks.list(ada.id, completed=True) == [done]
        assert storage.tasks.list(ada.id, completed=False) == [to_do]

    def test_an_owner_who_does_not_exist_has_no_tasks(self, storage: Storage) -> None:
        assert storage.tasks.list(UserId(uuid4())) == []

    def test_a_task_needs_its_owner(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.tasks.add(a_task(a_user()))

    def test_an_id_is_used_once_whoever_uses_it(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        task = stored_task(storage, ada, 1)
        with pytest.raises(IdTaken):
            storage.tasks.add(a_task(bob, 1))
        assert storage.tasks.get(task.id, owner_id=ada.id) == task

    def test_saving_stores_the_change_and_grows_the_version(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        later = NOW + timedelta(days=1)
        edited = task.edited(title="Buy oats", description=None, completed=True, now=later)
        saved = storage.tasks.save(edited)
        assert saved == replace(edited, version=task.version + 1)
        assert storage.tasks.get(task.id, owner_id=ada.id) == saved

    def test_saving_does_not_change_when_a_task_was_created(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        storage.tasks.save(replace(task, created_at=NOW + timedelta(days=1)))
        assert storage.tasks.get(task.id, owner_id=ada.id).created_at == NOW

    def test_a_stale_task_is_not_saved(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        saved = storage.tasks.save(task.edited(title="The first", now=NOW))
        with pytest.raises(StaleVersion):
            storage.tasks.save(task.edited(title="The second", now=NOW))
        assert storage.tasks.get(task.id, owner_id=ada.id) == saved

    def test_a_removed_task_is_gone(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        storage.tasks.remove(task.id, owner_id=ada.id)
        assert storage.tasks.list(ada.id) == []
        with pytest.raises(TaskNotFound):
            storage.tasks.get(task.id, owner_id=ada.id)
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(task.id, owner_id=ada.id)
        with pytest.raises(StaleVersion):
            storage.tasks.save(task)

    def test_anothers_task_is_out_of_reach(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        task = stored_task(storage, ada)
        with pytest.raises(TaskNotFound):
            storage.tasks.get(task.id, owner_id=bob.id)
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(task.id, owner_id=bob.id)
        with pytest.raises(StaleVersion):
            storage.tasks.save(replace(task, owner_id=bob.id))
        assert storage.tasks.list(bob.id) == []
        assert storage.tasks.list(bob.id, completed=False) == []
        assert storage.tasks.list(ada.id) == [task]

    def test_of_many_saves_at_once_exactly_one_succeeds(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        outcomes = at_once(
            16, lambda number: storage.tasks.save(task.edited(title=f"No. {number}", now=NOW))
        )
        assert outcomes.count(None) == 1
        assert outcomes.count(StaleVersion) == 15
        assert storage.tasks.get(task.id, owner_id=ada.id).version == task.version + 1


class TestUnitOfWork:
    def test_what_it_wrote_is_there_when_it_ends(self, storage: Storage) -> None:
        user = a_user()
        with storage.unit_of_work() as work:
            work.users.add(user)
            work.sessions.add(a_session(user))
            work.tasks.add(a_task(user))
        assert storage.users.get(user.id) == user
        assert storage.tasks.list(user.id) == [a_task(user)]

    def test_it_sees_what_it_wrote(self, storage: Storage) -> None:
        user = a_user()
        with storage.unit_of_work() as work:
            work.users.add(user)
            assert work.users.get(user.id) == user

    def test_an_exception_undoes_all_of_it(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        with pytest.raises(ZeroDivisionError), storage.unit_of_work() as work:
            work.users.save(ada.with_password_hash("another", now=NOW))
            work.tasks.remove(task.id, owner_id=ada.id)
            raise ZeroDivisionError
        assert storage.users.get(ada.id) == ada
        assert storage.tasks.list(ada.id) == [task]

    def test_a_refused_write_undoes_all_of_it(self, storage: Storage) -> None:
        ada = stored_user(storage)
        bob = a_user("bob@example.com")
        with pytest.raises(EmailTaken), storage.unit_of_work() as work:
            work.users.add(bob)
            work.users.add(a_user("ada@example.com"))
        with pytest.raises(UserNotFound):
            storage.users.get(bob.id)
        assert storage.users.get(ada.id) == ada

    def test_works_at_once_do_not_disturb_each_other(self, storage: Storage) -> None:
        ada = stored_user(storage)

        def add_two(number: int) -> None:
            with storage.unit_of_work() as work:
                work.tasks.add(a_task(ada, 2 * number + 1))
                work.tasks.add(a_task(ada, 2 * number + 2))
                if number % 2:
                    raise StaleVersion

        outcomes = at_once(16, add_two)
        assert outcomes.count(StaleVersion) == 8
        assert sorted(task.id for task in storage.tasks.list(ada.id)) == [
            id for number in range(0, 16, 2) for id in (2 * number + 1, 2 * number + 2)
        ]
