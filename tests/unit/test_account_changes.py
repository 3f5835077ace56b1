"""Changing passwords, profiles and accounts, and deleting accounts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.world import PASSWORD, World, give_tasks
from todo_core.entities.caller import Caller
from todo_core.entities.user import User
from todo_core.errors import (
    AccountGone,
    EditConflict,
    EmailTaken,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidResetToken,
    NoPassword,
    RateLimited,
    ValidationFailed,
)
from todo_core.ports.background import Background
from todo_core.ports.mail import EmailChangedEmail, PasswordChangedEmail, PasswordResetEmail
from todo_core.ports.security_log import SecurityEvent
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.cleanup import BATCH

NEW = "another long sentence"


def caller_of(world: World) -> Caller:
    return world.application.authenticate(world.log_in().tokens.access_token.value)


def codes(failure: pytest.ExceptionInfo[ValidationFailed]) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in failure.value.errors]


def without_password(world: World) -> User:
    return world.users.save(replace(world.register(), password_hash=None))


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


class TestChangePassword:
    def change(self, world: World, caller: Caller, current: str = PASSWORD, new: str = NEW) -> None:
        world.application.change_password(
            user_id=caller.user_id,
            session_id=caller.session_id,
            current_password=current,
            new_password=new,
        )

    def test_after_a_change_the_new_password_is_accepted_and_the_old_one_refused(
        self, world: World
    ) -> None:
        world.register()
        self.change(world, caller_of(world))
        world.application.log_in(email="ada@example.com", password=NEW)
        with pytest.raises(InvalidCredentials):
            world.log_in()
        [email] = world.mailer.sent
        assert isinstance(email, PasswordChangedEmail)

    def test_a_change_is_recorded_even_if_the_mailer_fails(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.register()
        caller = caller_of(world)
        monkeypatch.setattr(world.mailer, "send", fail)
        with pytest.raises(OSError, match="No space left"):
            self.change(world, caller)
        last = world.log.recorded[-1]
        assert (last.event, last.session_id) == (SecurityEvent.PASSWORD_CHANGED, caller.session_id)

    def test_changing_the_password_revokes_all_sessions_but_the_current_one(
        self, world: World
    ) -> None:
        world.register()
        here, there = world.log_in().tokens, world.log_in().tokens
        self.change(world, world.application.authenticate(here.access_token.value))
        world.application.authenticate(here.access_token.value)
        world.application.refresh_session(refresh_token=here.refresh_token)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(there.access_token.value)

    @pytest.mark.parametrize("wrong", ["", "wrong", "\x00", "a" * 500])
    def test_changing_the_password_needs_the_current_password(
        self, world: World, wrong: str
    ) -> None:
        world.register()
        with pytest.raises(ValidationFailed) as failure:
            self.change(world, caller_of(world), current=wrong)
        assert codes(failure) == [("current_password", "incorrect")]
        world.log_in()

    def test_attempts_to_guess_the_current_password_are_limited(self, world: World) -> None:
        world.register()
        caller = caller_of(world)
        for _ in range(5):
            with pytest.raises(ValidationFailed):
                self.change(world, caller, current="wrong")
        with pytest.raises(RateLimited):
            self.change(world, caller)

    def test_a_new_password_must_satisfy_the_policy(self, world: World) -> None:
        world.register()
        with pytest.raises(ValidationFailed) as failure:
            self.change(world, caller_of(world), new="password1")
        assert codes(failure) == [("new_password", "too_common")]

    def test_changing_the_password_withdraws_an_open_reset(self, world: World) -> None:
        world.register()
        token = requested_reset(world)
        self.change(world, caller_of(world))
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=token, new_password=NEW)

    def test_a_user_without_a_password_cannot_change_it(self, world: World) -> None:
        world.register()
        caller = caller_of(world)
        world.users.save(replace(world.users.get(caller.user_id), password_hash=None))
        with pytest.raises(NoPassword):
            self.change(world, caller)


def requested_reset(world: World, email: str = "ada@example.com") -> str:
    """Request a password reset, and return the token from the email."""
    world.application.forgot_password(email=email)
    message = world.mailer.sent[-1]
    assert isinstance(message, PasswordResetEmail)
    return message.token


class TestReset:
    def test_a_reset_changes_the_password_and_revokes_all_sessions(self, world: World) -> None:
        world.register()
        before = world.log_in().tokens
        world.application.reset_password(
            token=requested_reset(world, "ADA@example.com"), new_password=NEW
        )
        world.application.log_in(email="ada@example.com", password=NEW)
        with pytest.raises(InvalidCredentials):
            world.log_in()
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(before.access_token.value)

    def test_a_reset_token_is_valid_once(self, world: World) -> None:
        world.register()
        token = requested_reset(world)
        world.application.reset_password(token=token, new_password=NEW)
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=token, new_password="yet another sentence")
        world.application.log_in(email="ada@example.com", password=NEW)

    def test_a_reset_token_expires_after_its_lifetime(self, world: World) -> None:
        world.register()
        token = requested_reset(world)
        world.clock.advance(timedelta(minutes=10))
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=token, new_password=NEW)

    def test_a_newer_reset_request_replaces_the_older(self, world: World) -> None:
        world.register()
        older, newer = requested_reset(world), requested_reset(world)
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=older, new_password=NEW)
        world.application.reset_password(token=newer, new_password=NEW)

    def test_a_refused_password_does_not_use_up_the_reset_token(self, world: World) -> None:
        world.register()
        token = requested_reset(world)
        with pytest.raises(ValidationFailed) as failure:
            world.application.reset_password(token=token, new_password="short")
        assert codes(failure) == [("new_password", "too_short")]
        world.application.reset_password(token=token, new_password=NEW)

    @pytest.mark.parametrize("token", ["", "unknown", "\ud800", "é" * 1000])
    def test_an_unknown_reset_token_is_refused(self, world: World, token: str) -> None:
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=token, new_password=NEW)

    def test_the_stored_hash_of_a_reset_token_is_not_accepted(self, world: World) -> None:
        world.register()
        token = requested_reset(world)
        [stored] = world.store.password_resets.values()
        assert token not in repr(stored)
        assert token not in repr(world.mailer.sent)
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=stored.token_hash, new_password=NEW)

    @pytest.mark.parametrize("email", ["nobody@example.com", "no address", ""])
    def test_an_unknown_email_is_sent_nothing(self, world: World, email: str) -> None:
        world.register()
        world.application.forgot_password(email=email)
        assert world.mailer.sent == []

    def test_a_user_without_a_password_is_sent_no_email(self, world: World) -> None:
        without_password(world)
        world.application.forgot_password(email="ada@example.com")
        assert world.mailer.sent == []

    def test_reset_emails_to_an_account_are_limited_without_an_error(self, world: World) -> None:
        world.register()
        for address in "abcdef":
            world.application.forgot_password(email="ADA@example.com", address=address)
        assert len(world.mailer.sent) == 3
        events = [recorded.event for recorded in world.log.recorded]
        assert events.count(SecurityEvent.PASSWORD_RESET_REQUESTED) == 3
        assert events.count(SecurityEvent.PASSWORD_RESET_WITHHELD) == 3
        last = world.mailer.sent[-1]
        assert isinstance(last, PasswordResetEmail)
        world.application.reset_password(token=last.token, new_password=NEW)

    def test_a_reset_of_an_account_that_keeps_being_changed_is_withheld_without_an_error(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ada = world.register()
        stale = replace(ada, version=ada.version - 1)
        monkeypatch.setattr(type(world.users), "get_by_email", lambda *_: stale)
        world.application.forgot_password(email="ada@example.com")
        assert world.mailer.sent == []
        assert world.log.recorded[-1].event == SecurityEvent.PASSWORD_RESET_WITHHELD

    def test_requests_for_reset_emails_from_one_address_are_limited(self, world: World) -> None:
        for number in range(6):
            world.application.forgot_password(
                email=f"user{number}@example.com", address="203.0.113.9"
            )
        with pytest.raises(RateLimited):
            world.application.forgot_password(email="ada@example.com", address="203.0.113.9")


class TestProfile:
    def test_changing_the_name_needs_no_password(self, world: World) -> None:
        ada = world.register()
        changed = world.application.update_profile(user_id=ada.id, name=" Ada Lovelace ")
        assert (changed.name, changed.email) == ("Ada Lovelace", ada.email)
        assert world.application.get_profile(user_id=ada.id) == changed
        assert world.mailer.sent == []

    def test_changing_the_email_needs_the_password_and_notifies_the_old_address(
        self, world: World
    ) -> None:
        ada = world.register()
        changed = world.application.update_profile(
            user_id=ada.id, email="new@example.com", current_password=PASSWORD
        )
        assert changed.email == "new@example.com"
        world.log_in("new@example.com")
        [email] = world.mailer.sent
        assert isinstance(email, EmailChangedEmail)
        assert (email.to, email.new_email) == ("ada@example.com", "new@example.com")

    @pytest.mark.parametrize(("given", "code"), [(None, "required"), ("wrong", "incorrect")])
    def test_without_the_password_the_profile_does_not_change(
        self, world: World, given: str | None, code: str
    ) -> None:
        ada = world.register()
        with pytest.raises(ValidationFailed) as failure:
            world.application.update_profile(
                user_id=ada.id, name="Eve", email="eve@example.com", current_password=given
            )
        assert codes(failure) == [("current_password", code)]
        assert world.application.get_profile(user_id=ada.id) == ada

    def test_a_reset_that_was_mailed_to_the_old_email_is_withdrawn(self, world: World) -> None:
        ada = world.register()
        token = requested_reset(world)
        world.application.update_profile(
            user_id=ada.id, email="new@example.com", current_password=PASSWORD
        )
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=token, new_password=NEW)

    def test_changing_to_the_email_of_another_user_is_refused(self, world: World) -> None:
        ada = world.register()
        world.register("bob@example.com")
        with pytest.raises(EmailTaken):
            world.application.update_profile(
                user_id=ada.id, email="BOB@example.com", current_password=PASSWORD
            )

    def test_an_update_that_changes_nothing_stores_nothing(self, world: World) -> None:
        ada = world.register()
        assert (
            world.application.update_profile(user_id=ada.id, name="Ada", email=str(ada.email))
            == ada
        )
        assert world.application.update_profile(user_id=ada.id) == ada


class TestExport:
    def test_an_export_contains_everything_of_one_user(self, world: World) -> None:
        ada, bob = world.register(), world.register("bob@example.com")
        task = world.application.create_task(owner_id=ada.id, title="Buy milk")
        world.application.create_task(owner_id=bob.id, title="Somebody else's")
        world.log_in()
        export = world.application.export_account(user_id=ada.id)
        assert export.user == ada
        assert [*export.pages] == [[task]]
        assert len(export.sessions) == 1

    def test_an_export_lists_tasks_by_creation_and_the_trash_by_deletion(
        self, world: World
    ) -> None:
        ada = world.register()
        titles = {}
        for title in ("a", "b", "c", "d"):
            titles[title] = world.application.create_task(owner_id=ada.id, title=title).id
            world.clock.advance(timedelta(minutes=1))
        for title in ("d", "b"):
            world.application.delete_task(owner_id=ada.id, task_id=titles[title])
        export = world.application.export_account(user_id=ada.id)
        assert [task.title for page in export.pages for task in page] == ["c", "a"]
        assert [task.title for page in export.trash_pages for task in page] == ["b", "d"]

    def test_exports_are_limited_for_each_user(self, world: World) -> None:
        ada, bob = world.register(), world.register("bob@example.com")
        for _ in range(2):
            world.application.export_account(user_id=ada.id)
        with pytest.raises(RateLimited) as limited:
            world.application.export_account(user_id=ada.id)
        assert limited.value.allowance.rule == "export"
        assert world.application.export_account(user_id=bob.id).user == bob
        exported = [each for each in world.log.recorded if each.event is SecurityEvent.EXPORTED]
        assert len(exported) == 3


class TestReading:
    def test_a_user_reads_their_own_profile(self, world: World) -> None:
        ada = world.register()
        assert world.application.read_profile(user_id=ada.id) == ada

    def test_profile_reads_are_limited_for_each_user(self, world: World) -> None:
        ada, bob = world.register(), world.register("bob@example.com")
        for _ in range(6):
            world.application.read_profile(user_id=ada.id)
        with pytest.raises(RateLimited) as limited:
            world.application.read_profile(user_id=ada.id)
        assert limited.value.allowance.rule == "profile"
        assert world.application.read_profile(user_id=bob.id) == bob

    def test_changes_of_the_profile_count_like_reads(self, world: World) -> None:
        ada, bob = world.register(), world.register("bob@example.com")
        for number in range(6):
            world.application.update_profile(user_id=ada.id, name=f"Ada {number}")
        with pytest.raises(RateLimited) as limited:
            world.application.update_profile(user_id=ada.id, name="Ada")
        assert limited.value.allowance.rule == "profile"
        assert world.application.update_profile(user_id=bob.id, name="Robert").name == "Robert"

    def test_changes_of_the_time_zone_have_a_limit_of_their_own(self, world: World) -> None:
        ada = world.register()
        zones = ["Europe/Berlin", "Asia/Kathmandu", "Europe/Berlin", "Asia/Kathmandu"]
        for zone in zones:
            world.application.update_profile(user_id=ada.id, time_zone=zone)
        # The same zone again is no change: front ends may send it at each start.
        world.application.update_profile(user_id=ada.id, time_zone=zones[-1])
        with pytest.raises(RateLimited) as limited:
            world.application.update_profile(user_id=ada.id, time_zone="Europe/Berlin")
        assert limited.value.allowance.rule == "time_zone"
        assert world.application.get_profile(user_id=ada.id).time_zone == zones[-1]


class DeferredBackground(Background):
    """A background that keeps its jobs until a test runs them."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def run(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)


class TestDelete:
    def test_deleting_an_account_deletes_its_data_and_nothing_of_others(self, world: World) -> None:
        ada, bob = world.register(), world.register("bob@example.com")
        world.application.create_task(owner_id=ada.id, title="Buy milk")
        kept = world.application.create_task(owner_id=bob.id, title="Buy milk")
        requested_reset(world)
        tokens = world.log_in().tokens
        world.application.delete_account(user_id=ada.id, current_password=PASSWORD)
        with pytest.raises(AccountGone):
            world.application.get_profile(user_id=ada.id)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(tokens.access_token.value)
        with pytest.raises(InvalidCredentials):
            world.log_in()
        assert list(world.store.tasks.values()) == [kept]
        assert world.store.sessions == {}
        assert world.store.password_resets == {}
        assert world.register().id != ada.id

    def test_a_large_account_is_deleted_at_once_and_its_tasks_in_batches(
        self,
    ) -> None:
        background = DeferredBackground()
        world = World(background=background)
        ada, bob = world.register(), world.register("bob@example.com")
        kept = world.application.create_task(owner_id=bob.id, title="Buy milk")
        give_tasks(world, ada, 2 * BATCH + 1)
        tokens = world.log_in().tokens
        world.application.delete_account(user_id=ada.id, current_password=PASSWORD)
        assert len(world.store.tasks) == BATCH + 2
        with pytest.raises(AccountGone):
            world.application.get_profile(user_id=ada.id)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(tokens.access_token.value)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=tokens.refresh_token)
        with pytest.raises(InvalidCredentials):
            world.log_in()
        with pytest.raises(AccountGone):
            world.application.export_account(user_id=ada.id)
        with pytest.raises(AccountGone):
            world.application.delete_account(user_id=ada.id, current_password=PASSWORD)
        again = world.register()
        assert world.application.list_tasks(owner_id=again.id).tasks == []
        steps = []
        while background.jobs:
            before = len(world.store.tasks)
            background.jobs.pop(0)()
            steps.append(before - len(world.store.tasks))
        assert steps == [BATCH, 1, 0, 0]
        assert list(world.store.tasks.values()) == [kept]
        assert world.store.deleted_users == {}
        assert world.application.get_profile(user_id=again.id) == again

    def test_a_deletion_that_was_interrupted_is_completed_by_the_clean_up(
        self,
    ) -> None:
        background = DeferredBackground()
        world = World(background=background)
        ada = world.register()
        give_tasks(world, ada, 2 * BATCH)
        world.application.delete_account(user_id=ada.id, current_password=PASSWORD)
        removed = [world.application.clean_up() for _ in range(4)]
        assert removed == [BATCH, 1, 0, 0]  # the tasks, and then the account
        assert world.store.tasks == {}
        assert world.store.deleted_users == {}
        for job in background.jobs:
            job()

    def test_deleting_an_account_needs_the_password(self, world: World) -> None:
        ada = world.register()
        with pytest.raises(ValidationFailed):
            world.application.delete_account(user_id=ada.id, current_password="wrong")
        assert world.application.get_profile(user_id=ada.id) == ada


class TestCleanUp:
    def test_clean_up_deletes_expired_rows_and_no_others(self, world: World) -> None:
        ada = world.register()
        requested_reset(world)
        old = caller_of(world)
        revoked = caller_of(world)
        world.application.revoke_session(user_id=ada.id, session_id=revoked.session_id)
        assert world.application.clean_up() == 0
        world.clock.advance(timedelta(days=15))
        current = caller_of(world)
        assert world.application.clean_up() == 3
        assert list(world.store.sessions) == [current.session_id]
        assert old.session_id not in world.store.sessions
        assert world.store.revoked_sessions == {}
        assert world.store.password_resets == {}
        assert world.application.clean_up() == 0


def test_every_event_is_recorded_once(world: World) -> None:
    ada = world.register()
    caller = caller_of(world)
    with pytest.raises(InvalidCredentials):
        world.application.log_in(email="ada@example.com", password="wrong")
    world.application.change_password(
        user_id=ada.id,
        session_id=caller.session_id,
        current_password=PASSWORD,
        new_password=NEW,
    )
    world.application.reset_password(token=requested_reset(world), new_password=PASSWORD)
    world.application.update_profile(
        user_id=ada.id, email="new@example.com", current_password=PASSWORD
    )
    world.application.export_account(user_id=ada.id)
    caller = world.application.authenticate(
        world.log_in("new@example.com").tokens.access_token.value
    )
    world.application.log_out(caller)
    with pytest.raises(ValidationFailed):
        world.application.delete_account(user_id=ada.id, current_password="wrong")
    world.application.delete_account(user_id=ada.id, current_password=PASSWORD)
    assert [each.event for each in world.log.recorded] == [
        SecurityEvent.REGISTERED,
        SecurityEvent.LOGGED_IN,
        SecurityEvent.LOGIN_FAILED,
        SecurityEvent.PASSWORD_CHANGED,
        SecurityEvent.PASSWORD_RESET_REQUESTED,
        SecurityEvent.SESSION_ENDED,
        SecurityEvent.PASSWORD_RESET,
        SecurityEvent.EMAIL_CHANGED,
        SecurityEvent.EXPORTED,
        SecurityEvent.LOGGED_IN,
        SecurityEvent.SESSION_ENDED,
        SecurityEvent.REAUTHENTICATION_FAILED,
        SecurityEvent.DELETED,
    ]


class TestAdmission:
    """An attempt counts before the password is compared, even if it is not completed."""

    @pytest.mark.parametrize(
        ("rule", "allowed"),
        [
            ("log in", 5),
            ("register", 20),
            ("reset", 10),
            ("change", 5),
            ("email", 5),
            ("delete", 5),
        ],
    )
    def test_an_attempt_is_counted_once_and_before_the_password_is_compared(
        self, world: World, rule: str, allowed: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ada = world.register()
        session_id = world.application.authenticate(
            world.log_in().tokens.access_token.value
        ).session_id
        looked_at: list[str] = []
        monkeypatch.setattr(world.passwords, "verify", lambda *_: looked_at.append("verify"))
        monkeypatch.setattr(world.passwords, "hash", lambda *_: looked_at.append("hash"))
        admissions: dict[str, Callable[[], Admitted[object]]] = {
            "log in": lambda: world.application.log_in.admit(
                email="ada@example.com", password=PASSWORD
            ),
            "register": lambda: world.application.register_user.admit(
                name="Bob", email="bob@example.com", password=PASSWORD, address="192.0.2.1"
            ),
            "reset": lambda: world.application.reset_password.admit(token="any", new_password=NEW),
            "change": lambda: world.application.change_password.admit(
                user_id=ada.id,
                session_id=session_id,
                current_password=PASSWORD,
                new_password=NEW,
            ),
            "email": lambda: world.application.update_profile.admit(
                user_id=ada.id, email="new@example.com", current_password=PASSWORD
            ),
            "delete": lambda: world.application.delete_account.admit(
                user_id=ada.id, current_password=PASSWORD
            ),
        }
        for _ in range(allowed):
            assert admissions[rule]().hashes
        with pytest.raises(RateLimited):
            admissions[rule]()
        assert looked_at == []

    def test_changing_only_the_name_hashes_no_password(self, world: World) -> None:
        ada = world.register()
        for _ in range(6):
            admitted = world.application.update_profile.admit(
                user_id=ada.id, name="Ada King", email="ada@example.com", current_password="wrong"
            )
            assert not admitted.hashes
        assert admitted.complete().name == "Ada King"

    def test_an_email_that_changed_after_admission_is_not_overwritten_without_the_password(
        self, world: World
    ) -> None:
        ada = world.register()
        admitted = world.application.update_profile.admit(user_id=ada.id, email="ada@example.com")
        world.application.update_profile(
            user_id=ada.id, email="new@example.com", current_password=PASSWORD
        )
        with pytest.raises(EditConflict):
            admitted.complete()
        assert world.users.get(ada.id).email == "new@example.com"

    def test_deleting_an_account_without_a_password_hashes_no_password(self, world: World) -> None:
        ada = without_password(world)
        admitted = world.application.delete_account.admit(user_id=ada.id)
        assert not admitted.hashes
        admitted.complete()
        assert world.store.users == {}
