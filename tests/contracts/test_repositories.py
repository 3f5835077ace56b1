"""The contract of the repositories: what their ports promise holds on every storage."""

from collections.abc import Sequence
from contextlib import suppress
from copy import replace
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from time import sleep
from uuid import uuid4

import pytest

from tests.support.concurrency import at_once
from tests.support.storages import Storage
from tests.support.tasks import all_tasks, revisions_of
from todo_core.entities.idempotency import (
    MAX_KEPT_BYTES,
    IdempotencyKey,
    IdempotentRequest,
    KeptResponse,
)
from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.session import Session, SessionId
from todo_core.entities.stream_ticket import StreamTicket
from todo_core.entities.task import Task, TaskCounts, TaskId, Title
from todo_core.entities.task_query import Position, TaskOrder, TaskQuery
from todo_core.entities.user import EmailAddress, PersonName, User, UserId
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    IdempotencyInProgress,
    IdentityNotFound,
    IdentityTaken,
    IdTaken,
    InvalidAccessToken,
    InvalidResetToken,
    SessionNotFound,
    StaleVersion,
    TaskNotFound,
    TooManyKeptResponses,
    UserNotFound,
)
from todo_core.ports.unit_of_work import UnitOfWork

NOW = datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIFETIME = timedelta(days=90)
LATER = NOW + LIFETIME
MICROSECOND = timedelta(microseconds=1)
LARGEST_TASK_ID = TaskId(2**63 - 1)

in_a_turkish_locale_too = pytest.mark.parametrize(
    "storage", ["in_memory", "sqlite", "postgresql", "turkish_postgresql"], indirect=True
)
"""For tests that compare text: in a Turkish locale, SQL lowers `I` to a letter without a dot."""


def a_user(email: str = "ada@example.com") -> User:
    return User.register(
        id=UserId(uuid4()),
        name=PersonName("Ada"),
        email=EmailAddress(email),
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


def an_identity(
    subject: str = "ada",
    *,
    issuer: str = "https://a.example.com",
    name: str | None = "Ada",
    email: str | None = "ada@example.com",
    now: datetime = NOW,
) -> Identity:
    return Identity.claimed(issuer=issuer, subject=subject, name=name, email=email, issued_at=now)


def stored_identity(storage: Storage, user: User, *, subject: str = "ada") -> LinkedIdentity:
    linked = LinkedIdentity(an_identity(subject), user.id)
    storage.identities.add(linked)
    return linked


def stored_task(storage: Storage, owner: User, id: int = 1) -> Task:
    task = a_task(owner, id)
    storage.tasks.add(task)
    return task


@in_a_turkish_locale_too
class TestUsers:
    def test_a_user_is_loaded_as_it_was_stored(self, storage: Storage) -> None:
        user = stored_user(storage)
        assert storage.users.get(user.id) == user

    def test_a_user_without_a_password_is_loaded_without_one(self, storage: Storage) -> None:
        user = replace(a_user(), password_hash=None)
        storage.users.add(user)
        assert storage.users.get(user.id).password_hash is None

    def test_an_unknown_user_id_is_not_found(self, storage: Storage) -> None:
        stored_user(storage)
        with pytest.raises(UserNotFound):
            storage.users.get(UserId(uuid4()))

    def test_a_user_is_found_by_their_email_in_any_case(self, storage: Storage) -> None:
        user = stored_user(storage, "Info@Example.com")
        found = storage.users.get_by_email(EmailAddress("iNFO@eXAMPLE.com"))
        assert found == user
        assert found.email == "Info@Example.com"

    def test_an_unknown_email_is_not_found(self, storage: Storage) -> None:
        stored_user(storage)
        with pytest.raises(UserNotFound):
            storage.users.get_by_email(EmailAddress("ada@example.org"))

    def test_an_email_belongs_to_one_account_in_any_case(self, storage: Storage) -> None:
        stored_user(storage, "info@example.com")
        with pytest.raises(EmailTaken):
            stored_user(storage, "INFO@example.com")

    def test_saving_a_user_stores_the_change_and_increments_the_version(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        later = NOW + timedelta(days=1)
        saved = storage.users.save(user.with_password_hash("another", now=later))
        assert saved == replace(
            user, password_hash="another", updated_at=later, version=user.version + 1
        )
        assert storage.users.get(user.id) == saved

    def test_a_disabled_user_is_loaded_as_they_were_stored(self, storage: Storage) -> None:
        ada = stored_user(storage)
        disabled = storage.users.save(ada.disabled(now=LATER))
        assert storage.users.get(ada.id) == disabled
        assert storage.users.get(ada.id).disabled_at == LATER
        enabled = storage.users.save(disabled.enabled(now=LATER))
        assert storage.users.get(ada.id) == enabled
        assert storage.users.get(ada.id).disabled_at is None

    def test_users_are_listed_the_most_recently_created_first(self, storage: Storage) -> None:
        users = [
            replace(a_user(f"{number}@example.com"), created_at=NOW + timedelta(minutes=number))
            for number in (2, 1, 3)
        ]
        for user in users:
            storage.users.add(user)
        newest_first = [users[2], users[0], users[1]]
        assert list(storage.users.list(email_part="", limit=10)) == newest_first
        assert list(storage.users.list(email_part="", limit=2)) == newest_first[:2]

    def test_users_are_found_by_a_part_of_their_email_taken_literally(
        self, storage: Storage
    ) -> None:
        for email in ("Ada_L@example.com", "adaXl@example.com", "a%b@example.org"):
            stored_user(storage, email)
        storage.users.add(replace(a_user(), email=None, password_hash=None))

        def found(part: str) -> set[str]:
            return {str(user.email) for user in storage.users.list(email_part=part, limit=10)}

        assert found("ADA_l@") == {"Ada_L@example.com"}
        assert found("%") == {"a%b@example.org"}
        assert found("example.com") == {"Ada_L@example.com", "adaXl@example.com"}
        assert found("\\") == found("nobody") == set()

    def test_deleted_users_are_not_listed(self, storage: Storage) -> None:
        ada, grace = stored_user(storage), stored_user(storage, "grace@example.com")
        storage.users.mark_deleted(ada, now=LATER)
        assert list(storage.users.list(email_part="", limit=10)) == [grace]

    def test_a_stale_user_is_not_saved(self, storage: Storage) -> None:
        user = stored_user(storage)
        storage.users.save(user.with_password_hash("the first", now=NOW))
        with pytest.raises(StaleVersion):
            storage.users.save(user.with_password_hash("the second", now=NOW))
        assert storage.users.get(user.id).password_hash == "the first"

    def test_saving_a_user_who_does_not_exist_is_refused(self, storage: Storage) -> None:
        with pytest.raises(StaleVersion):
            storage.users.save(a_user())

    def test_a_user_cannot_be_saved_with_the_email_of_another(self, storage: Storage) -> None:
        stored_user(storage, "ada@example.com")
        user = stored_user(storage, "bob@example.com")
        with pytest.raises(EmailTaken):
            storage.users.save(replace(user, email=EmailAddress("Ada@example.com")))
        assert storage.users.get(user.id) == user

    def test_a_user_can_be_saved_with_their_own_email(self, storage: Storage) -> None:
        user = stored_user(storage, "ada@example.com")
        saved = storage.users.save(replace(user, email=EmailAddress("ADA@example.com")))
        assert storage.users.get(user.id).email == saved.email == "ADA@example.com"

    def test_of_many_concurrent_users_with_one_email_exactly_one_is_stored(
        self, storage: Storage
    ) -> None:
        outcomes = at_once(32, lambda _: storage.users.add(a_user("ada@example.com")))
        assert outcomes.count(None) == 1
        assert outcomes.count(EmailTaken) == 31

    def test_a_user_who_was_saved_since_cannot_be_locked(self, storage: Storage) -> None:
        user = stored_user(storage)
        storage.users.lock(user)
        saved = storage.users.save(user.with_password_hash("another", now=NOW))
        storage.users.lock(saved)
        with pytest.raises(StaleVersion):
            storage.users.lock(user)

    def test_removing_a_user_removes_their_data_and_nothing_of_others(
        self, storage: Storage
    ) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        for id, user in enumerate((ada, bob), 1):
            storage.tasks.add(a_task(user, id))
            storage.sessions.add(a_session(user))
            storage.password_resets.put(a_reset(user, f"hash {id}"))
        storage.users.remove(ada)
        with pytest.raises(UserNotFound):
            storage.users.get(ada.id)
        assert all_tasks(storage.tasks, ada.id) == []
        assert storage.sessions.list(ada.id) == []
        with pytest.raises(InvalidResetToken):
            storage.password_resets.get("hash 1")
        assert storage.users.get(bob.id) == bob
        assert len(all_tasks(storage.tasks, bob.id)) == len(storage.sessions.list(bob.id)) == 1
        assert storage.password_resets.get("hash 2").user_id == bob.id

    def test_a_user_who_is_marked_as_deleted_has_only_tasks_left(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        for id, user in enumerate((ada, bob), 1):
            stored_task(storage, user, id)
            storage.sessions.add(a_session(user))
            storage.password_resets.put(a_reset(user, f"hash {id}"))
            stored_identity(storage, user, subject=f"subject {id}")
        storage.users.mark_deleted(ada, now=NOW)
        with pytest.raises(UserNotFound):
            storage.users.get(ada.id)
        with pytest.raises(UserNotFound):
            storage.users.get_by_email(EmailAddress("ada@example.com"))
        for change in (storage.users.save, storage.users.lock, storage.users.remove):
            with pytest.raises(StaleVersion):
                change(ada)
        with pytest.raises(StaleVersion):
            storage.users.mark_deleted(ada, now=NOW)
        assert storage.sessions.list(ada.id) == []
        assert storage.identities.list(ada.id) == []
        with pytest.raises(InvalidResetToken):
            storage.password_resets.get("hash 1")
        assert stored_user(storage, "ada@example.com").id != ada.id
        assert storage.users.get(bob.id) == bob
        assert len(storage.sessions.list(bob.id)) == len(storage.identities.list(bob.id)) == 1
        assert storage.password_resets.get("hash 2").user_id == bob.id

    def test_a_user_who_is_marked_as_deleted_is_purged_after_their_tasks(
        self, storage: Storage
    ) -> None:
        ada, bob, eve = (stored_user(storage, f"{name}@example.com") for name in ("a", "b", "e"))
        stored_task(storage, ada)
        kept = stored_task(storage, eve, 2)
        assert storage.users.list_marked_deleted(limit=3) == []
        assert not storage.users.purge(bob.id)
        storage.users.mark_deleted(bob, now=NOW + HOUR)
        storage.users.mark_deleted(ada, now=NOW)
        assert storage.users.list_marked_deleted(limit=1) == [ada.id]
        assert storage.users.list_marked_deleted(limit=3) == [ada.id, bob.id]
        assert not storage.users.purge(ada.id)
        assert storage.tasks.remove_batch(ada.id, limit=1) == 1
        assert storage.users.purge(ada.id)
        assert not storage.users.purge(ada.id)
        assert storage.users.purge(bob.id)
        assert storage.users.list_marked_deleted(limit=3) == []
        assert all_tasks(storage.tasks, eve.id) == [kept]
        assert storage.users.get(eve.id) == eve

    def test_a_user_who_was_saved_since_cannot_be_removed(self, storage: Storage) -> None:
        user = stored_user(storage)
        saved = storage.users.save(user.with_password_hash("another", now=NOW))
        with pytest.raises(StaleVersion):
            storage.users.remove(user)
        assert storage.users.get(user.id) == saved

    def test_a_locked_user_cannot_be_changed_by_others(self, storage: Storage) -> None:
        user = stored_user(storage)
        confirmed, order = Event(), []

        def change() -> None:
            confirmed.wait(timeout=10)
            storage.users.save(user.with_password_hash("another", now=NOW))
            order.append("changed")

        thread = Thread(target=change)
        thread.start()
        with storage.unit_of_work() as work:
            work.users.lock(user)
            confirmed.set()
            thread.join(timeout=0.2)
            work.sessions.add(a_session(user))
            order.append("work")
        thread.join(timeout=10)
        assert order == ["work", "changed"]


class TestSessions:
    def test_a_session_is_loaded_as_it_was_stored(self, storage: Storage) -> None:
        session = stored_session(storage, stored_user(storage))
        assert storage.sessions.get(session.id) == session
        assert storage.sessions.list(session.user_id) == [session]

    def test_an_unknown_session_is_not_found(self, storage: Storage) -> None:
        with pytest.raises(SessionNotFound):
            storage.sessions.get(SessionId(uuid4()))

    def test_a_session_needs_its_user(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.sessions.add(a_session(a_user()))

    def test_the_most_recently_refreshed_session_is_listed_first(self, storage: Storage) -> None:
        user = stored_user(storage)
        sessions = [stored_session(storage, user, now=NOW + n * HOUR) for n in (2, 1, 3)]
        assert storage.sessions.list(user.id) == [sessions[2], sessions[0], sessions[1]]

    def test_a_refresh_is_stored_once(self, storage: Storage) -> None:
        session = stored_session(storage, stored_user(storage))
        refreshed = session.refreshed(now=NOW + HOUR)
        storage.sessions.save_refreshed(refreshed)
        assert storage.sessions.get(session.id) == refreshed
        with pytest.raises(StaleVersion):
            storage.sessions.save_refreshed(refreshed)

    def test_of_many_concurrent_refreshes_exactly_one_succeeds(self, storage: Storage) -> None:
        session = stored_session(storage, stored_user(storage))
        refreshed = session.refreshed(now=NOW + HOUR)
        outcomes = at_once(16, lambda _: storage.sessions.save_refreshed(refreshed))
        assert outcomes.count(None) == 1
        assert outcomes.count(StaleVersion) == 15

    def test_a_revoked_session_is_removed_and_its_revocation_recorded(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        session, other = stored_session(storage, user), stored_session(storage, user)
        storage.sessions.revoke(session.id, user_id=user.id, now=NOW + HOUR)
        with pytest.raises(SessionNotFound):
            storage.sessions.get(session.id)
        with pytest.raises(SessionNotFound):
            storage.sessions.revoke(session.id, user_id=user.id, now=NOW + HOUR)
        with pytest.raises(StaleVersion):
            storage.sessions.save_refreshed(session.refreshed(now=NOW))
        assert storage.sessions.list(user.id) == [other]
        assert storage.revocations.revoked_since(NOW + HOUR) == [session.id]
        assert storage.revocations.revoked_since(NOW + HOUR + MICROSECOND) == []

    def test_a_session_of_another_user_cannot_be_revoked(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        session = stored_session(storage, ada)
        with pytest.raises(SessionNotFound):
            storage.sessions.revoke(session.id, user_id=bob.id, now=NOW)
        assert storage.sessions.revoke_all(bob.id, now=NOW) == []
        assert storage.sessions.list(ada.id) == [session]
        assert storage.revocations.revoked_since(NOW) == []

    def test_the_sessions_refreshed_last_are_kept_and_the_others_are_revoked(
        self, storage: Storage
    ) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        third, first, second, fourth = (
            stored_session(storage, ada, now=NOW + n * HOUR) for n in (3, 1, 2, 4)
        )
        bobs = stored_session(storage, bob)
        storage.sessions.save_refreshed(first.refreshed(now=NOW + 5 * HOUR))
        now = NOW + 6 * HOUR
        revoked = storage.sessions.revoke_least_recent(ada.id, keep=2, now=now)
        assert set(revoked) == {second.id, third.id}
        assert [each.id for each in storage.sessions.list(ada.id)] == [first.id, fourth.id]
        assert storage.sessions.list(bob.id) == [bobs]
        assert set(storage.revocations.revoked_since(now)) == {second.id, third.id}
        assert storage.sessions.revoke_least_recent(ada.id, keep=2, now=now) == []

    def test_all_sessions_are_revoked_if_none_is_to_be_kept(self, storage: Storage) -> None:
        ada = stored_user(storage)
        session = stored_session(storage, ada)
        assert storage.sessions.revoke_least_recent(ada.id, keep=0, now=NOW) == [session.id]
        assert storage.sessions.list(ada.id) == []

    def test_concurrent_units_of_work_that_lock_the_user_keep_the_session_maximum(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)

        def log_in(number: int) -> None:
            now = NOW + number * HOUR
            with storage.unit_of_work() as work:
                work.users.lock(ada)
                work.sessions.revoke_least_recent(ada.id, keep=2, now=now)
                work.sessions.add(a_session(ada, now=now))

        assert set(at_once(16, log_in)) == {None}
        assert len(storage.sessions.list(ada.id)) == 3
        assert len(storage.revocations.revoked_since(NOW)) == 13

    def test_all_sessions_of_a_user_are_revoked_but_the_one_to_keep(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        kept, *others = [stored_session(storage, ada) for _ in range(3)]
        bobs = stored_session(storage, bob)
        revoked = storage.sessions.revoke_all(ada.id, keep=kept.id, now=NOW)
        assert set(revoked) == {session.id for session in others}
        assert set(storage.revocations.revoked_since(NOW)) == set(revoked)
        assert storage.sessions.list(ada.id) == [kept]
        assert storage.sessions.list(bob.id) == [bobs]
        assert storage.sessions.revoke_all(ada.id, now=NOW) == [kept.id]

    def test_a_revocation_outlives_the_user(self, storage: Storage) -> None:
        user = stored_user(storage)
        session = stored_session(storage, user)
        with storage.unit_of_work() as work:
            work.sessions.revoke_all(user.id, now=NOW)
            work.users.remove(user)
        assert storage.revocations.revoked_since(NOW) == [session.id]

    def test_expired_and_idle_sessions_are_purged_a_bounded_number_at_a_time(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        for _ in range(3):
            stored_session(storage, user)
        idle = stored_session(storage, user, now=NOW + HOUR)
        current = stored_session(storage, user, now=NOW + 3 * HOUR)

        def purge() -> int:
            return storage.sessions.purge(
                expired_before=NOW + LIFETIME + MICROSECOND, idle_since=NOW + 2 * HOUR, limit=2
            )

        assert [purge(), purge(), purge()] == [2, 2, 0]
        assert storage.sessions.list(user.id) == [current]
        assert idle not in storage.sessions.list(user.id)


class TestRevocations:
    def test_a_session_of_an_external_issuer_is_revoked_again_at_a_later_time(
        self, storage: Storage
    ) -> None:
        session_id = an_identity().session_id
        assert storage.revocations.external_revoked_at(session_id) is None
        storage.revocations.revoke_external(session_id, now=NOW)
        storage.revocations.revoke_external(session_id, now=NOW + HOUR)
        assert storage.revocations.external_revoked_at(session_id) == NOW + HOUR
        assert storage.revocations.revoked_since(NOW + HOUR) == [session_id]
        assert storage.revocations.revoked_since(NOW + 2 * HOUR) == []

    def test_a_session_of_this_service_is_not_an_external_one(self, storage: Storage) -> None:
        user = stored_user(storage)
        session = stored_session(storage, user)
        storage.sessions.revoke(session.id, user_id=user.id, now=NOW)
        assert storage.revocations.external_revoked_at(session.id) is None

    def test_a_revocation_is_rolled_back_with_its_unit_of_work(self, storage: Storage) -> None:
        session = stored_session(storage, stored_user(storage))
        with suppress(TaskNotFound), storage.unit_of_work() as work:
            work.sessions.revoke_all(session.user_id, now=NOW)
            work.revocations.revoke_external(SessionId(uuid4()), now=NOW)
            raise TaskNotFound
        assert storage.revocations.revoked_since(NOW) == []
        assert storage.sessions.get(session.id) == session

    def test_old_revocations_are_purged_a_bounded_number_of_each_kind_at_a_time(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        for now in (NOW, NOW, NOW, NOW + HOUR):
            session = stored_session(storage, user)
            storage.sessions.revoke(session.id, user_id=user.id, now=now)
        external = [SessionId(uuid4()) for _ in range(4)]
        for session_id in external:
            storage.revocations.revoke_external(session_id, now=NOW)
        storage.revocations.revoke_external(external[0], now=NOW + 2 * HOUR)

        def purge() -> int:
            return storage.revocations.purge(
                revoked_before=NOW + HOUR, revoked_externally_before=NOW + MICROSECOND, limit=2
            )

        assert [purge(), purge(), purge()] == [4, 2, 0]
        assert set(storage.revocations.revoked_since(NOW)) == {session.id, external[0]}
        assert storage.revocations.external_revoked_at(external[1]) is None
        assert storage.revocations.external_revoked_at(external[0]) == NOW + 2 * HOUR

    def test_each_kind_of_revocation_is_purged_after_its_own_retention(
        self, storage: Storage
    ) -> None:
        session = stored_session(storage, stored_user(storage))
        storage.sessions.revoke(session.id, user_id=session.user_id, now=NOW)
        external = SessionId(uuid4())
        storage.revocations.revoke_external(external, now=NOW)
        assert (
            storage.revocations.purge(
                revoked_before=NOW + MICROSECOND, revoked_externally_before=NOW, limit=2
            )
            == 1
        )
        assert storage.revocations.revoked_since(NOW) == [external]


@in_a_turkish_locale_too
class TestIdentities:
    def test_an_identity_is_found_by_its_issuer_and_subject(self, storage: Storage) -> None:
        linked = stored_identity(storage, stored_user(storage))
        other = stored_identity(storage, stored_user(storage, "bob@example.com"), subject="bob")
        queried = replace(linked.identity, name=None, email=None, issued_at=NOW + HOUR)
        assert storage.identities.get(queried) == linked
        assert storage.identities.get(other.identity) == other
        for missing in (
            replace(linked.identity, issuer=Issuer("https://other.example.com")),
            replace(linked.identity, subject=Subject("Ada")),
        ):
            with pytest.raises(IdentityNotFound):
                storage.identities.get(missing)

    def test_an_identity_is_loaded_as_it_was_stored(self, storage: Storage) -> None:
        user = stored_user(storage)
        nameless = LinkedIdentity(an_identity(subject="x" * 255, name=None, email=None), user.id)
        storage.identities.add(nameless)
        assert storage.identities.get(nameless.identity) == nameless

    def test_an_identity_belongs_to_one_account(self, storage: Storage) -> None:
        linked = stored_identity(storage, stored_user(storage))
        bob = stored_user(storage, "bob@example.com")
        with pytest.raises(IdentityTaken):
            storage.identities.add(LinkedIdentity(an_identity(), bob.id))
        assert storage.identities.get(an_identity()) == linked

    def test_an_identity_needs_an_existing_user(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.identities.add(LinkedIdentity(an_identity(), UserId(uuid4())))

    def test_of_16_concurrent_additions_of_an_identity_one_succeeds(self, storage: Storage) -> None:
        users = [stored_user(storage, f"user{number}@example.com") for number in range(16)]
        outcomes = at_once(
            16,
            lambda number: storage.identities.add(LinkedIdentity(an_identity(), users[number].id)),
        )
        assert outcomes.count(None) == 1
        assert outcomes.count(IdentityTaken) == 15

    def test_an_identity_that_was_issued_later_replaces_the_earlier(self, storage: Storage) -> None:
        linked = stored_identity(storage, stored_user(storage))
        later = replace(linked.identity, name=PersonName("Ada L."), issued_at=NOW + HOUR)
        storage.identities.save(later)
        assert storage.identities.get(later) == replace(linked, identity=later)
        for not_later in (linked.identity, later, an_identity(subject="nobody")):
            with pytest.raises(StaleVersion):
                storage.identities.save(not_later)

    def test_a_user_may_have_several_identities(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        first = stored_identity(storage, ada)
        second = LinkedIdentity(an_identity(issuer="https://b.example.com", now=NOW + HOUR), ada.id)
        storage.identities.add(second)
        stored_identity(storage, bob, subject="bob")
        assert storage.identities.list(ada.id) == [second.identity, first.identity]

    def test_identities_are_deleted_with_their_user(self, storage: Storage) -> None:
        ada = stored_user(storage)
        stored_identity(storage, ada)
        storage.users.remove(ada)
        with pytest.raises(IdentityNotFound):
            storage.identities.get(an_identity())
        assert storage.identities.list(ada.id) == []

    def test_identities_take_part_in_a_unit_of_work(self, storage: Storage) -> None:
        ada = stored_user(storage)
        with suppress(TaskNotFound), storage.unit_of_work() as work:
            work.identities.add(LinkedIdentity(an_identity(), ada.id))
            raise TaskNotFound
        assert storage.identities.list(ada.id) == []


class TestPasswordResets:
    def test_a_reset_is_loaded_as_it_was_stored_until_it_is_taken(self, storage: Storage) -> None:
        reset = a_reset(stored_user(storage), "a hash")
        storage.password_resets.put(reset)
        assert storage.password_resets.get("a hash") == reset
        assert storage.password_resets.take("a hash") == reset
        for use in (storage.password_resets.get, storage.password_resets.take):
            with pytest.raises(InvalidResetToken):
                use("a hash")

    def test_a_new_reset_replaces_the_older(self, storage: Storage) -> None:
        user = stored_user(storage)
        storage.password_resets.put(a_reset(user, "older"))
        newer = a_reset(user, "newer")
        storage.password_resets.put(newer)
        with pytest.raises(InvalidResetToken):
            storage.password_resets.get("older")
        assert storage.password_resets.get("newer") == newer

    def test_a_reset_can_be_withdrawn(self, storage: Storage) -> None:
        user = stored_user(storage)
        storage.password_resets.withdraw(user.id)
        storage.password_resets.put(a_reset(user, "a hash"))
        storage.password_resets.withdraw(user.id)
        with pytest.raises(InvalidResetToken):
            storage.password_resets.get("a hash")

    def test_a_reset_needs_its_user(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.password_resets.put(a_reset(a_user(), "a hash"))

    def test_of_many_concurrent_takes_of_a_reset_exactly_one_succeeds(
        self, storage: Storage
    ) -> None:
        storage.password_resets.put(a_reset(stored_user(storage), "a hash"))
        outcomes = at_once(16, lambda _: storage.password_resets.take("a hash"))
        assert outcomes.count(None) == 1
        assert outcomes.count(InvalidResetToken) == 15

    def test_concurrent_reset_requests_leave_one_reset_and_none_fails(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        outcomes = at_once(
            16, lambda number: storage.password_resets.put(a_reset(user, f"hash {number}"))
        )
        assert outcomes == [None] * 16
        found = at_once(16, lambda number: storage.password_resets.get(f"hash {number}"))
        assert found.count(None) == 1

    def test_expired_resets_are_purged_a_bounded_number_at_a_time(self, storage: Storage) -> None:
        for number in range(3):
            user = stored_user(storage, f"user{number}@example.com")
            storage.password_resets.put(a_reset(user, f"hash {number}"))
        after = NOW + HOUR + MICROSECOND
        assert storage.password_resets.purge(expired_before=NOW + HOUR, limit=10) == 0
        assert storage.password_resets.purge(expired_before=after, limit=2) == 2
        assert storage.password_resets.purge(expired_before=after, limit=2) == 1


def a_request(user: User, key: str = "a-key", fingerprint: str = "a request") -> IdempotentRequest:
    return IdempotentRequest(user.id, IdempotencyKey(key), fingerprint)


def claim(
    storage: Storage, request: IdempotentRequest, *, now: datetime = NOW
) -> KeptResponse | None:
    """Claim the key in a unit of work that keeps nothing."""
    with storage.unit_of_work() as work:
        kept = work.kept_responses.claim(request, now=now, kept_since=now - HOUR)
        if kept is None:
            keep(work, request, KeptResponse(request.fingerprint, b""), now=now)
            raise _Undo
        return kept


def keep(
    work: UnitOfWork,
    request: IdempotentRequest,
    response: KeptResponse,
    *,
    now: datetime = NOW,
    most: int = MAX_KEPT_BYTES,
) -> None:
    """Keep the response for an hour."""
    work.kept_responses.keep(request, response, now=now, kept_since=now - HOUR, most=most)


class _Undo(Exception):
    """Rolls back a unit of work."""


def is_free(storage: Storage, request: IdempotentRequest, *, now: datetime = NOW) -> bool:
    with suppress(_Undo):
        return claim(storage, request, now=now) is None
    return True


def kept_response(
    storage: Storage,
    request: IdempotentRequest,
    content: bytes,
    *,
    now: datetime = NOW,
    most: int = MAX_KEPT_BYTES,
) -> KeptResponse:
    response = KeptResponse(request.fingerprint, content)
    with storage.unit_of_work() as work:
        assert work.kept_responses.claim(request, now=now, kept_since=now - HOUR) is None
        keep(work, request, response, now=now, most=most)
    return response


def refused(
    storage: Storage, request: IdempotentRequest, content: bytes, *, now: datetime = NOW, most: int
) -> timedelta:
    """Try to keep a response, and return until when no more is kept."""
    with pytest.raises(TooManyKeptResponses) as error:
        kept_response(storage, request, content, now=now, most=most)
    return error.value.resets_in


class TestKeptResponses:
    @pytest.mark.parametrize("content", [b"", b"\x00\xff\n'", b"x" * KeptResponse.MAX_SIZE])
    def test_a_response_is_returned_as_it_was_kept(self, storage: Storage, content: bytes) -> None:
        request = a_request(stored_user(storage), "".join(map(chr, range(0x21, 0x7F))))
        assert is_free(storage, request)
        kept = kept_response(storage, request, content)
        assert claim(storage, request) == kept
        assert claim(storage, replace(request, fingerprint="another")) == kept

    def test_keys_are_independent_of_other_users_and_of_their_case(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        firsts = [
            (request, kept_response(storage, request, content))
            for request, content in (
                (a_request(ada), b"ada's"),
                (a_request(bob), b"bob's"),
                (a_request(ada, "A-key"), b"another"),
            )
        ]
        for request, response in firsts:
            assert claim(storage, request) == response
        assert is_free(storage, a_request(ada, "a-key2"))

    def test_a_claim_is_rolled_back_with_its_unit_of_work(self, storage: Storage) -> None:
        user = stored_user(storage)
        for _ in range(2):
            with suppress(_Undo), storage.unit_of_work() as work:
                assert work.kept_responses.claim(a_request(user), now=NOW, kept_since=NOW) is None
                work.tasks.add(a_task(user))
                raise _Undo
        assert all_tasks(storage.tasks, user.id) == []
        kept_response(storage, a_request(user), b"kept")

    def test_a_response_that_is_no_longer_kept_is_replaced(self, storage: Storage) -> None:
        request = a_request(stored_user(storage))
        kept = kept_response(storage, request, b"the first")
        assert claim(storage, request, now=NOW + HOUR) == kept
        later = NOW + HOUR + MICROSECOND
        assert is_free(storage, request, now=later)
        assert claim(storage, request) == kept
        second = kept_response(storage, replace(request, fingerprint="2"), b"2", now=later)
        assert claim(storage, request, now=later) == second

    def test_a_claim_needs_its_user(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        kept_response(storage, a_request(ada), b"ada's")
        storage.users.remove(ada)
        kept_response(storage, a_request(bob), b"bob's")
        storage.users.mark_deleted(bob, now=NOW)
        for user in (a_user(), ada, bob):
            for key in ("a-key", "another"):
                with pytest.raises(AccountGone):
                    claim(storage, a_request(user, key))

    def test_responses_are_deleted_with_their_user(self, storage: Storage) -> None:
        users = [stored_user(storage, f"{name}@example.com") for name in ("ada", "bob", "eve")]
        for user in users:
            kept_response(storage, a_request(user), b"kept")
        storage.users.remove(users[0])
        storage.users.mark_deleted(users[1], now=NOW)
        assert storage.kept_responses.purge(claimed_before=NOW + HOUR, limit=10) == 1

    def test_old_responses_are_purged_a_bounded_number_at_a_time(self, storage: Storage) -> None:
        user = stored_user(storage)
        for number in range(3):
            kept_response(storage, a_request(user, str(number)), b"old")
        later = kept_response(storage, a_request(user, "later"), b"new", now=NOW + HOUR)
        assert storage.kept_responses.purge(claimed_before=NOW, limit=10) == 0
        assert storage.kept_responses.purge(claimed_before=NOW + MICROSECOND, limit=2) == 2
        assert storage.kept_responses.purge(claimed_before=NOW + MICROSECOND, limit=2) == 1
        assert claim(storage, a_request(user, "later"), now=NOW + HOUR) == later

    def test_the_responses_of_a_user_are_refused_from_a_number_of_bytes_on(
        self, storage: Storage
    ) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        small, large = b"x" * 100, b"x" * 5000
        most = KeptResponse("", small).size * 2 + KeptResponse("", large).size
        for user in (ada, bob):
            first = a_request(user, "first")
            kept = kept_response(storage, first, large, most=most)
            later = NOW + HOUR / 3
            for _ in range(2):  # a refused one does not count, and its key stays free
                second = a_request(user, "second")
                assert refused(storage, second, large, now=later, most=most) == HOUR * 2 / 3
            assert is_free(storage, second, now=later)
            kept_response(storage, second, small, now=later, most=most)
            kept_response(storage, a_request(user, "third"), small, now=later, most=most)
            fourth = a_request(user, "fourth")
            assert refused(storage, fourth, b"", now=later, most=most) == HOUR * 2 / 3
            assert claim(storage, first, now=later) == kept

    def test_bytes_are_counted_again_from_zero_when_the_first_response_is_no_longer_kept(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        most = KeptResponse("", b"").size
        kept_response(storage, a_request(user), b"", most=most)
        at_the_end, after = NOW + HOUR, NOW + HOUR + MICROSECOND
        another = a_request(user, "another")
        assert refused(storage, another, b"", now=at_the_end, most=most) == timedelta()
        kept_response(storage, another, b"", now=after, most=most)
        third = a_request(user, "third")
        assert refused(storage, third, b"", now=after, most=most) == HOUR
        assert storage.kept_responses.purge(claimed_before=after, limit=10) == 1
        assert refused(storage, third, b"", now=after, most=most) == HOUR

    def test_a_write_whose_response_is_refused_is_rolled_back(self, storage: Storage) -> None:
        user = stored_user(storage)
        task = stored_task(storage, user)
        with pytest.raises(TooManyKeptResponses), storage.unit_of_work() as work:
            work.kept_responses.claim(a_request(user), now=NOW, kept_since=NOW)
            work.tasks.save(task.with_completion(True, now=NOW))
            keep(work, a_request(user), KeptResponse("", b""), most=1)
        assert all_tasks(storage.tasks, user.id) == [task]
        assert storage.tasks.counts(user.id).total == 1

    def test_of_many_concurrent_responses_as_many_are_kept_as_may_be(
        self, storage: Storage
    ) -> None:
        user = stored_user(storage)
        most = KeptResponse("", b"").size * 5
        outcomes = at_once(
            16, lambda number: kept_response(storage, a_request(user, str(number)), b"", most=most)
        )
        assert outcomes.count(TooManyKeptResponses) == 11
        assert storage.kept_responses.purge(claimed_before=NOW + HOUR, limit=16) == 5

    def test_of_many_concurrent_claims_of_a_key_exactly_one_writes(self, storage: Storage) -> None:
        user = stored_user(storage)

        def write(number: int) -> None:
            with storage.unit_of_work() as work:
                request = a_request(user)
                kept = work.kept_responses.claim(request, now=NOW, kept_since=NOW)
                if kept is None:
                    work.tasks.add(a_task(user, number + 1))
                    kept = KeptResponse(request.fingerprint, str(number + 1).encode())
                    keep(work, request, kept)
                seen.append(kept.content)

        seen: list[bytes] = []
        outcomes = at_once(16, write)
        assert set(outcomes) <= {None, IdempotencyInProgress}
        [task] = all_tasks(storage.tasks, user.id)
        assert set(seen) == {str(task.id).encode()}
        assert len(seen) == outcomes.count(None)

    def test_a_deletion_of_the_account_waits_for_a_claim_and_deletes_the_response(
        self, storage: Storage
    ) -> None:
        """The deletion locks the account first, so neither waits for the other halfway."""
        user = stored_user(storage)
        stored_task(storage, user)
        claimed, deleted = Event(), []

        def delete() -> None:
            claimed.wait(10)
            with storage.unit_of_work() as work:
                work.users.lock(user)
                work.tasks.remove_batch(user.id, limit=10)
                work.users.remove(user)
            deleted.append(user)

        deletion = Thread(target=delete)
        deletion.start()
        with storage.unit_of_work() as work:
            request = a_request(user)
            assert work.kept_responses.claim(request, now=NOW, kept_since=NOW) is None
            claimed.set()
            deletion.join(0.2)  # it waits for this unit of work
            assert deleted == []
            task = work.tasks.get(TaskId(1), owner_id=user.id)
            work.tasks.save(task.with_completion(True, now=NOW))
            keep(work, request, KeptResponse("a request", b"kept"))
        deletion.join(10)
        assert deleted == [user]
        assert storage.kept_responses.purge(claimed_before=NOW + HOUR, limit=10) == 0


def stored_session(storage: Storage, user: User, *, now: datetime = NOW) -> Session:
    session = a_session(user, now=now)
    storage.sessions.add(session)
    return session


def a_session(user: User, *, now: datetime = NOW) -> Session:
    return Session.start(
        id=SessionId(uuid4()),
        user_id=user.id,
        refresh_salt="00" * 16,
        user_agent="a browser",
        device="Firefox on Windows",
        address="192.0.2.1",
        lifetime=LIFETIME,
        now=now,
    )


def a_reset(user: User, token_hash: str) -> PasswordReset:
    return PasswordReset(
        user_id=user.id, token_hash=token_hash, created_at=NOW, expires_at=NOW + HOUR
    )


class TestTasks:
    def test_a_task_is_loaded_as_it_was_stored(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        assert storage.tasks.get(task.id, owner_id=ada.id) == task
        assert all_tasks(storage.tasks, ada.id) == [task]

    @pytest.mark.parametrize(
        "text", ["ß Ünï 漢字 🎉 \u202e", "' OR 1=1 --", "%_\\", "a" * 200, "𝒳" * 200]
    )
    def test_any_text_of_a_task_is_loaded_as_it_was_stored(
        self, storage: Storage, text: str
    ) -> None:
        ada = stored_user(storage)
        task = Task.create(
            id=TaskId(1), owner_id=ada.id, title=text, description=f"\t{text}\n", now=NOW
        )
        storage.tasks.add(task)
        assert storage.tasks.get(task.id, owner_id=ada.id) == task

    def test_a_task_id_may_have_64_bits(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada, LARGEST_TASK_ID)
        assert storage.tasks.get(LARGEST_TASK_ID, owner_id=ada.id) == task

    def test_times_are_loaded_in_utc_to_the_microsecond(self, storage: Storage) -> None:
        ada = stored_user(storage)
        storage.tasks.add(a_task(ada))
        [task] = all_tasks(storage.tasks, ada.id)
        assert task.created_at == NOW
        assert task.created_at.tzinfo is UTC

    def test_the_newest_tasks_are_listed_first(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id, minutes in ((7, 0), (3, 2), (9, 1), (5, 1)):
            storage.tasks.add(a_task(ada, id, now=NOW + timedelta(minutes=minutes)))
        assert [task.id for task in all_tasks(storage.tasks, ada.id)] == [3, 9, 5, 7]

    def test_the_stored_tasks_can_be_filtered_by_completion(self, storage: Storage) -> None:
        ada = stored_user(storage)
        to_do, done = stored_task(storage, ada, 1), stored_task(storage, ada, 2)
        done = storage.tasks.save(done.with_completion(True, now=NOW))
        assert storage.tasks.page(ada.id, TaskQuery(completed=True), limit=9).tasks == [done]
        assert storage.tasks.page(ada.id, TaskQuery(completed=False), limit=9).tasks == [to_do]

    @pytest.mark.parametrize("descending", [True, False])
    @pytest.mark.parametrize("order", TaskOrder)
    @pytest.mark.parametrize("completed", [None, True, False])
    def test_pages_are_the_parts_of_a_sorted_list(
        self, storage: Storage, completed: bool | None, order: TaskOrder, descending: bool
    ) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        for id in range(1, 20):
            created = NOW + timedelta(minutes=id * 7 % 5)  # several at the same time
            task = a_task(ada, id, now=created)
            storage.tasks.add(task)
            if id % 3:
                changed = created + timedelta(hours=id % 4)
                storage.tasks.save(task.with_completion(True, now=changed))
            storage.tasks.add(a_task(bob, id, now=created))
        query = TaskQuery(completed=completed, order=order, descending=descending)
        revisions = revisions_of(storage.tasks, ada.id)
        everything = sorted(
            (
                task
                for task in all_tasks(storage.tasks, ada.id)
                if completed in (None, task.completed)
            ),
            key=lambda task: Position.of(task, order, revision=revisions[task.id]).sort_key(
                descending=descending
            ),
            reverse=descending,
        )
        assert storage.tasks.page(ada.id, query, limit=99).tasks == everything
        assert storage.tasks.count(ada.id, query) == len(everything)
        for size in (1, 4):
            pages: list[Task] = []
            after: Position | None = None
            has_more = True
            while has_more:
                found = storage.tasks.page(ada.id, query, limit=size, after=after)
                assert 0 < len(found.tasks) <= size
                pages += found.tasks
                after, has_more = found.last, found.last is not None
            assert pages == everything
        assert storage.tasks.page(ada.id, query, limit=3, offset=2).tasks == everything[2:5]
        assert storage.tasks.page(ada.id, query, limit=3, offset=99).tasks == []

    def test_a_page_has_the_revision_of_its_owner(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        assert storage.tasks.page(ada.id, TaskQuery(), limit=9).revision == 0
        task = stored_task(storage, ada)
        stored_task(storage, bob)
        for query, revision in (
            (TaskQuery(), 1),
            (TaskQuery(completed=False), 1),
            (TaskQuery(completed=True), 0),
        ):
            assert storage.tasks.page(ada.id, query, limit=9).revision == revision
        storage.tasks.save(task.with_completion(True, now=NOW))
        assert storage.tasks.page(ada.id, TaskQuery(), limit=9).revision == 2
        stored_task(storage, ada, 2)
        storage.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER)
        assert storage.tasks.page(ada.id, TaskQuery(), limit=9).revision == 4

    def test_tasks_are_chosen_by_their_times_exclusively(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id in range(1, 6):
            storage.tasks.add(a_task(ada, id, now=NOW + timedelta(microseconds=id)))
        second, fourth = (NOW + timedelta(microseconds=id) for id in (2, 4))

        def ids(query: TaskQuery) -> list[int]:
            found = storage.tasks.page(ada.id, query, limit=9).tasks
            assert storage.tasks.count(ada.id, query) == len(found)
            return [task.id for task in found]

        assert ids(TaskQuery(created_after=second)) == [5, 4, 3]
        assert ids(TaskQuery(created_before=fourth)) == [3, 2, 1]
        assert ids(TaskQuery(created_after=second, created_before=fourth)) == [3]
        assert ids(TaskQuery(updated_after=fourth, completed=False)) == [5]
        assert ids(TaskQuery(updated_after=fourth, completed=True)) == []

    def test_an_owner_who_does_not_exist_has_no_tasks(self, storage: Storage) -> None:
        nobody = UserId(uuid4())
        assert all_tasks(storage.tasks, nobody) == []
        assert storage.tasks.page(nobody, TaskQuery(), limit=9).tasks == []
        assert storage.tasks.count(nobody, TaskQuery()) == 0
        assert storage.tasks.counts(nobody) == TaskCounts(0, total=0, completed=0)

    def test_a_task_needs_its_owner(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.tasks.add(a_task(a_user()))

    def test_a_task_can_be_removed_if_it_has_a_version(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        task = stored_task(storage, ada)
        newer = storage.tasks.save(task.edited(title="Newer", now=NOW))
        for owner, version in ((ada, task.version), (ada, newer.version + 1), (bob, newer.version)):
            with pytest.raises(StaleVersion):
                storage.tasks.remove(task.id, owner_id=owner.id, expires_at=LATER, version=version)
        assert all_tasks(storage.tasks, ada.id) == [newer]
        assert storage.tasks.counts(ada.id) == TaskCounts(2, total=1, completed=0)
        storage.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER, version=newer.version)
        assert all_tasks(storage.tasks, ada.id) == []
        assert storage.tasks.counts(ada.id) == TaskCounts(3, total=0, completed=0)
        with pytest.raises(StaleVersion):
            storage.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER, version=newer.version)

    def test_a_task_may_be_removed_while_it_is_changed(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for id in range(1, 30):
            task = stored_task(storage, ada, id)

            def change(number: int, task: Task = task) -> None:
                if number:
                    storage.tasks.save(task.with_completion(True, now=NOW))
                else:
                    storage.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER)

            outcomes = at_once(2, change)
            assert set(outcomes) <= {None, StaleVersion}, outcomes
        assert all_tasks(storage.tasks, ada.id) == []
        counts = storage.tasks.counts(ada.id)
        assert (counts.total, counts.completed) == (0, 0)

    def test_an_owner_uses_a_task_id_once(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada, 1)
        with pytest.raises(IdTaken):
            storage.tasks.add(replace(a_task(ada, 1), title=Title("Another")))
        assert all_tasks(storage.tasks, ada.id) == [task]
        assert storage.tasks.counts(ada.id) == TaskCounts(1, total=1, completed=0)

    def test_two_owners_may_have_tasks_with_the_same_id(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        task, bobs = stored_task(storage, ada, 1), stored_task(storage, bob, 1)
        changed = storage.tasks.save(bobs.edited(title="Bob's", completed=True, now=NOW))
        assert storage.tasks.get(task.id, owner_id=ada.id) == task
        assert storage.tasks.get(task.id, owner_id=bob.id) == changed
        storage.tasks.remove(task.id, owner_id=bob.id, expires_at=LATER)
        assert all_tasks(storage.tasks, ada.id) == [task]
        assert all_tasks(storage.tasks, bob.id) == []

    def test_each_change_takes_the_next_revision_of_its_owner(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        assert storage.tasks.counts(ada.id) == TaskCounts(0, total=0, completed=0)
        first, second = stored_task(storage, ada, 1), stored_task(storage, ada, 2)
        stored_task(storage, bob, 3)
        assert storage.tasks.counts(ada.id) == TaskCounts(2, total=2, completed=0)
        first = storage.tasks.save(first.with_completion(True, now=NOW))
        assert storage.tasks.counts(ada.id) == TaskCounts(3, total=2, completed=1)
        storage.tasks.save(first.edited(title="Still completed", now=NOW))
        assert storage.tasks.counts(ada.id) == TaskCounts(4, total=2, completed=1)
        storage.tasks.remove(first.id, owner_id=ada.id, expires_at=LATER)
        assert storage.tasks.counts(ada.id) == TaskCounts(5, total=1, completed=0)
        storage.tasks.remove(second.id, owner_id=ada.id, expires_at=LATER)
        assert storage.tasks.counts(ada.id) == TaskCounts(6, total=0, completed=0)
        assert storage.tasks.counts(bob.id) == TaskCounts(1, total=1, completed=0)

    def test_a_change_that_is_refused_takes_no_revision(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        stale = stored_task(storage, ada, 1)
        storage.tasks.save(stale.edited(title="Newer", now=NOW))
        before = storage.tasks.counts(ada.id)
        with pytest.raises(StaleVersion):
            storage.tasks.save(stale.with_completion(True, now=NOW))
        with pytest.raises(StaleVersion):
            storage.tasks.save(replace(stale, owner_id=bob.id, version=2))
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(TaskId(2), owner_id=ada.id, expires_at=LATER)
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(stale.id, owner_id=bob.id, expires_at=LATER)
        with pytest.raises(ZeroDivisionError), storage.unit_of_work() as work:
            work.tasks.add(a_task(ada, 9))
            raise ZeroDivisionError
        assert storage.tasks.counts(ada.id) == before
        assert storage.tasks.counts(bob.id) == TaskCounts(0, total=0, completed=0)

    def test_concurrent_changes_are_all_counted(self, storage: Storage) -> None:
        ada = stored_user(storage)
        tasks = [stored_task(storage, ada, number) for number in range(1, 5)]

        def change(number: int) -> None:
            if number < 8:
                storage.tasks.add(a_task(ada, 100 + number))
            elif number < 12:
                storage.tasks.save(tasks[number % 2].with_completion(True, now=NOW))
            else:
                storage.tasks.remove(tasks[2 + number % 2].id, owner_id=ada.id, expires_at=LATER)

        outcomes = at_once(16, change)
        assert (outcomes.count(StaleVersion), outcomes.count(TaskNotFound)) == (2, 2)
        assert storage.tasks.counts(ada.id) == TaskCounts(4 + 8 + 2 + 2, total=10, completed=2)
        assert len(storage.tasks.page(ada.id, TaskQuery(completed=True), limit=9).tasks) == 2

    def test_the_tasks_that_the_owner_has_are_locked_in_the_order_of_their_ids(
        self, storage: Storage
    ) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        tasks = {id: stored_task(storage, ada, id) for id in (2**53, 10, 9)}
        stored_task(storage, bob, 8)
        ids = [TaskId(id) for id in (10, 8, 2**63 - 1, 9, 2**53, 0, 10)]
        with storage.unit_of_work() as work:
            locked = work.tasks.lock(ids, owner_id=ada.id)
            assert locked == [tasks[9], tasks[10], tasks[2**53]]
            assert work.tasks.lock([], owner_id=ada.id) == []

    def test_a_locked_task_is_not_changed_by_others_until_the_unit_of_work_ends(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        has_locked = Event()

        def change(number: int) -> None:
            if number:
                assert has_locked.wait(timeout=10)
                storage.tasks.save(task.edited(title="Too late", now=NOW))
                return
            with storage.unit_of_work() as work:
                [locked] = work.tasks.lock([task.id], owner_id=ada.id)
                has_locked.set()
                sleep(0.2)
                work.tasks.save(locked.edited(title="The first", now=NOW))

        assert at_once(2, change) == [None, StaleVersion]
        assert [each.title for each in all_tasks(storage.tasks, ada.id)] == ["The first"]

    def test_writes_that_wait_for_each_other_are_a_conflict_for_one_of_them(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        tasks = [stored_task(storage, ada, id) for id in (1, 2)]

        def change(number: int) -> None:
            with storage.unit_of_work() as work:
                for task in tasks[::-1] if number else tasks:  # they were not locked before
                    work.tasks.save(task.edited(title=f"No. {number}", now=NOW))
                    sleep(0.2)

        assert set(at_once(2, change)) == {None, StaleVersion}
        assert len({task.title for task in all_tasks(storage.tasks, ada.id)}) == 1
        assert storage.tasks.counts(ada.id).revision == 4

    def test_writes_of_the_same_tasks_in_any_order_do_not_wait_for_each_other(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        ids = [stored_task(storage, ada, id).id for id in range(1, 7)]

        def change_all(order: Sequence[TaskId]) -> None:
            with storage.unit_of_work() as work:
                locked = {each.id: each for each in work.tasks.lock(order, owner_id=ada.id)}
                for id in order:
                    task = locked[id]
                    work.tasks.save(task.with_completion(not task.completed, now=NOW))

        def change_one(id: TaskId) -> None:
            task = storage.tasks.get(id, owner_id=ada.id)
            with suppress(StaleVersion):
                storage.tasks.save(task.edited(title=f"{task.title}.", now=NOW))

        def change(number: int) -> None:
            for turn in range(10):
                if number < 4:
                    change_all(ids[::-1] if number % 2 else ids)
                else:
                    change_one(ids[(number + turn) % 6])

        assert at_once(8, change) == [None] * 8
        tasks = all_tasks(storage.tasks, ada.id)
        assert [task.completed for task in tasks] == [False] * 6, "each was inverted 40 times"
        changes = sum(task.version - 1 for task in tasks)
        assert changes >= 4 * 10 * 6
        assert storage.tasks.counts(ada.id) == TaskCounts(6 + changes, total=6, completed=0)

    def test_saving_a_task_stores_the_change_and_increments_the_version(
        self, storage: Storage
    ) -> None:
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

    def test_a_task_without_an_account_is_neither_saved_nor_removed(self, storage: Storage) -> None:
        nobody = a_user("nobody@example.com")
        tasks, unknown = storage.tasks, a_task(nobody)
        with pytest.raises(StaleVersion):
            tasks.save(unknown)
        with pytest.raises(TaskNotFound):
            tasks.remove(unknown.id, owner_id=nobody.id, expires_at=NOW)
        with pytest.raises(StaleVersion):
            tasks.remove(unknown.id, owner_id=nobody.id, expires_at=NOW, version=1)

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
        storage.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER)
        assert all_tasks(storage.tasks, ada.id) == []
        with pytest.raises(TaskNotFound):
            storage.tasks.get(task.id, owner_id=ada.id)
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER)
        with pytest.raises(StaleVersion):
            storage.tasks.save(task)

    def test_a_batch_of_tasks_of_one_owner_is_removed_and_none_of_another(
        self, storage: Storage
    ) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        for id in range(1, 6):
            stored_task(storage, ada, id)
        kept = stored_task(storage, bob, 6)
        removed = [storage.tasks.remove_batch(ada.id, limit=2) for _ in range(4)]
        assert removed == [2, 2, 1, 0]
        assert all_tasks(storage.tasks, ada.id) == []
        assert all_tasks(storage.tasks, bob.id) == [kept]

    def test_a_task_of_another_user_cannot_be_reached(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        task = stored_task(storage, ada)
        with pytest.raises(TaskNotFound):
            storage.tasks.get(task.id, owner_id=bob.id)
        with pytest.raises(TaskNotFound):
            storage.tasks.remove(task.id, owner_id=bob.id, expires_at=LATER)
        with pytest.raises(StaleVersion):
            storage.tasks.save(replace(task, owner_id=bob.id))
        assert all_tasks(storage.tasks, bob.id) == []
        assert storage.tasks.page(bob.id, TaskQuery(completed=False), limit=9).tasks == []
        assert all_tasks(storage.tasks, ada.id) == [task]

    def test_of_many_concurrent_saves_of_a_task_exactly_one_succeeds(
        self, storage: Storage
    ) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        outcomes = at_once(
            16, lambda number: storage.tasks.save(task.edited(title=f"No. {number}", now=NOW))
        )
        assert outcomes.count(None) == 1
        assert outcomes.count(StaleVersion) == 15
        assert storage.tasks.get(task.id, owner_id=ada.id).version == task.version + 1


class TestUnitOfWork:
    def test_writes_are_visible_after_the_unit_of_work(self, storage: Storage) -> None:
        user = a_user()
        with storage.unit_of_work() as work:
            work.users.add(user)
            work.sessions.add(a_session(user))
            work.tasks.add(a_task(user))
        assert storage.users.get(user.id) == user
        assert all_tasks(storage.tasks, user.id) == [a_task(user)]

    def test_a_unit_of_work_sees_its_own_writes(self, storage: Storage) -> None:
        user = a_user()
        with storage.unit_of_work() as work:
            work.users.add(user)
            assert work.users.get(user.id) == user

    def test_an_exception_rolls_back_the_unit_of_work(self, storage: Storage) -> None:
        ada = stored_user(storage)
        task = stored_task(storage, ada)
        with pytest.raises(ZeroDivisionError), storage.unit_of_work() as work:
            work.users.save(ada.with_password_hash("another", now=NOW))
            work.tasks.remove(task.id, owner_id=ada.id, expires_at=LATER)
            raise ZeroDivisionError
        assert storage.users.get(ada.id) == ada
        assert all_tasks(storage.tasks, ada.id) == [task]

    def test_a_refused_write_rolls_back_the_unit_of_work(self, storage: Storage) -> None:
        ada = stored_user(storage)
        bob = a_user("bob@example.com")
        with pytest.raises(EmailTaken), storage.unit_of_work() as work:
            work.users.add(bob)
            work.users.add(a_user("ada@example.com"))
        with pytest.raises(UserNotFound):
            storage.users.get(bob.id)
        assert storage.users.get(ada.id) == ada

    def test_concurrent_units_of_work_do_not_disturb_each_other(self, storage: Storage) -> None:
        ada = stored_user(storage)

        def add_two(number: int) -> None:
            with storage.unit_of_work() as work:
                work.tasks.add(a_task(ada, 2 * number + 1))
                work.tasks.add(a_task(ada, 2 * number + 2))
                if number % 2:
                    raise StaleVersion

        outcomes = at_once(16, add_two)
        assert outcomes.count(StaleVersion) == 8
        assert sorted(task.id for task in all_tasks(storage.tasks, ada.id)) == [
            id for number in range(0, 16, 2) for id in (2 * number + 1, 2 * number + 2)
        ]


def a_ticket(user: User, hashed: str = "a hash", *, expires_at: datetime = NOW) -> StreamTicket:
    return StreamTicket(
        token_hash=hashed,
        user_id=user.id,
        session_id=SessionId(uuid4()),
        expires_at=expires_at,
        stream_ends_at=NOW + HOUR,
    )


class TestStreamTickets:
    def test_a_ticket_is_taken_once(self, storage: Storage) -> None:
        ada = stored_user(storage)
        ticket, other = a_ticket(ada), a_ticket(ada, "another hash")
        for each in (ticket, other):
            storage.stream_tickets.add(each)
        assert storage.stream_tickets.take("a hash") == ticket
        with pytest.raises(InvalidAccessToken):
            storage.stream_tickets.take("a hash")
        assert storage.stream_tickets.take("another hash") == other

    def test_of_concurrent_takes_of_a_ticket_one_succeeds(self, storage: Storage) -> None:
        storage.stream_tickets.add(a_ticket(stored_user(storage)))
        outcomes = at_once(8, lambda _: storage.stream_tickets.take("a hash"))
        assert sorted(outcomes, key=str) == [InvalidAccessToken] * 7 + [None]

    def test_a_ticket_needs_a_user(self, storage: Storage) -> None:
        with pytest.raises(AccountGone):
            storage.stream_tickets.add(a_ticket(a_user()))

    @pytest.mark.parametrize("marks", [True, False])
    def test_tickets_are_deleted_with_their_user(self, storage: Storage, marks: bool) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        for user in (ada, bob):
            storage.stream_tickets.add(a_ticket(user, str(user.id)))
        if marks:
            storage.users.mark_deleted(ada, now=NOW)
        else:
            storage.users.remove(ada)
        with pytest.raises(InvalidAccessToken):
            storage.stream_tickets.take(str(ada.id))
        assert storage.stream_tickets.take(str(bob.id)).user_id == bob.id

    def test_expired_tickets_are_purged_a_bounded_number_at_a_time(self, storage: Storage) -> None:
        ada = stored_user(storage)
        for number in range(3):
            storage.stream_tickets.add(a_ticket(ada, str(number), expires_at=NOW - MICROSECOND))
        storage.stream_tickets.add(a_ticket(ada, "valid"))

        def purge() -> int:
            return storage.stream_tickets.purge(expired_before=NOW, limit=2)

        assert [purge(), purge(), purge()] == [2, 1, 0]
        assert storage.stream_tickets.take("valid").expires_at == NOW


class TestRevisionsOfOwners:
    def test_each_owner_has_their_own_and_0_if_they_never_wrote(self, storage: Storage) -> None:
        ada, bob = stored_user(storage), stored_user(storage, "bob@example.com")
        for id in (1, 2):
            storage.tasks.add(a_task(ada, id))
        storage.tasks.remove(TaskId(1), owner_id=ada.id, expires_at=LATER)
        storage.tasks.add(a_task(bob))
        nobody = UserId(uuid4())
        assert storage.tasks.revisions([ada.id, nobody]) == {ada.id: 3, nobody: 0}
        assert storage.tasks.revisions([bob.id]) == {bob.id: 1}
        assert storage.tasks.revisions([]) == {}

    def test_a_thousand_owners_are_read_at_once(self, storage: Storage) -> None:
        ada = stored_user(storage)
        storage.tasks.add(a_task(ada))
        others = [UserId(uuid4()) for _ in range(999)]
        revisions = storage.tasks.revisions([*others, ada.id])
        assert revisions == {ada.id: 1} | dict.fromkeys(others, 0)
