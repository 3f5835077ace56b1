"""What the operator does with accounts, on in-memory adapters."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.world import PASSWORD, World, give_tasks, vouch
from todo_core.entities.user import UserId
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidResetToken,
    UserNotFound,
    ValidationFailed,
)
from todo_core.ports.mail import PasswordChangedEmail, PasswordResetEmail
from todo_core.ports.security_log import SecurityEvent
from todo_core.use_cases.administration import Administration
from todo_core.use_cases.authentication import LoggedIn
from todo_core.use_cases.cleanup import BATCH

NEW = "another long sentence"


@pytest.fixture
def administration(world: World) -> Administration:
    return world.application.administration


def events(world: World) -> list[SecurityEvent]:
    return [recorded.event for recorded in world.log.recorded]


def authenticated(world: World, login: LoggedIn) -> UserId:
    return world.application.authenticate(login.tokens.access_token.value).user_id


class TestFinding:
    def test_a_user_is_found_by_id_and_by_email_in_any_case(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        for name in (str(ada.id), str(ada.id).upper(), "ada@example.com", "ADA@example.com"):
            assert administration.find_user(name) == ada

    @pytest.mark.parametrize("name", ["", "grace@example.com", "ada", "0" * 32])
    def test_an_unknown_user_is_not_found(
        self, world: World, administration: Administration, name: str
    ) -> None:
        world.register()
        with pytest.raises(UserNotFound):
            administration.find_user(name)


class TestCreating:
    def test_the_operator_creates_accounts_while_registration_is_closed(self) -> None:
        world = World()
        closed = World(
            policy=replace(world.policy, registration_is_open=False), store=world.store
        ).application
        ada = closed.administration.create_user(
            name="Ada", email="ada@example.com", password=PASSWORD
        )
        assert world.log_in().user == ada

    def test_the_rules_of_registration_apply(
        self, world: World, administration: Administration
    ) -> None:
        world.register()
        with pytest.raises(EmailTaken):
            administration.create_user(name="A", email="ADA@example.com", password=PASSWORD)
        with pytest.raises(ValidationFailed) as failure:
            administration.create_user(name=" ", email="ada", password="password1")
        assert [error.field for error in failure.value.errors] == ["name", "email", "password"]

    def test_it_counts_against_no_limit(self, administration: Administration) -> None:
        for number in range(25):  # more than the limit of registrations
            administration.create_user(name="Ada", email=f"{number}@example.com", password=PASSWORD)
        assert len(administration.list_users(limit=100)) == 25


class TestSettingAPassword:
    def test_the_old_password_and_all_sessions_are_no_longer_accepted(
        self, world: World, administration: Administration
    ) -> None:
        ada, session = world.register(), world.log_in()
        administration.set_password(user_id=ada.id, new_password=NEW)
        with pytest.raises(InvalidCredentials):
            world.log_in()
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(session.tokens.access_token.value)
        assert world.application.log_in(email="ada@example.com", password=NEW).user.id == ada.id
        assert [type(email) for email in world.mailer.sent] == [PasswordChangedEmail]
        assert SecurityEvent.PASSWORD_SET in events(world)

    def test_tokens_of_an_issuer_that_were_issued_before_are_refused(
        self, world: World, administration: Administration
    ) -> None:
        token = vouch(world)
        ada = world.application.authenticate(token)
        administration.set_password(user_id=ada.user_id, new_password=NEW)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(token)
        later = world.application.authenticate(vouch(world, "external later", minutes=1))
        assert later.user_id == ada.user_id

    def test_the_rules_of_passwords_apply(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        with pytest.raises(ValidationFailed):
            administration.set_password(user_id=ada.id, new_password="password1")
        assert world.log_in().user == ada

    def test_a_user_without_an_email_cannot_get_one(
        self, world: World, administration: Administration
    ) -> None:
        caller = world.application.authenticate(vouch(world, email=None))
        with pytest.raises(ValidationFailed) as failure:
            administration.set_password(user_id=caller.user_id, new_password=NEW)
        assert failure.value.errors[0].field == "email"


class TestRevokingSessions:
    def test_every_session_of_the_user_is_revoked_and_none_of_others(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        sessions = [world.log_in(), world.log_in()]
        world.register("grace@example.com")
        other = world.log_in("grace@example.com")
        assert administration.revoke_user_sessions(user_id=ada.id) == 2
        for session in sessions:
            with pytest.raises(InvalidAccessToken):
                world.application.authenticate(session.tokens.access_token.value)
            with pytest.raises(InvalidRefreshToken):
                world.application.refresh_session(refresh_token=session.tokens.refresh_token)
        assert authenticated(world, other) == other.user.id
        assert world.log_in().user == ada
        assert events(world).count(SecurityEvent.SESSION_ENDED) == 2

    def test_tokens_of_an_issuer_are_refused_until_it_issues_a_later_one(
        self, world: World, administration: Administration
    ) -> None:
        token = vouch(world)
        ada = world.application.authenticate(token)
        assert administration.revoke_user_sessions(user_id=ada.user_id) == 1
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(token)
        later = world.application.authenticate(vouch(world, "external later", minutes=1))
        assert later.user_id == ada.user_id


class TestDisabling:
    def test_a_disabled_account_answers_like_a_wrong_password(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        disabled = administration.disable_user(user_id=ada.id)
        assert disabled.disabled_at == world.clock.now()
        assert world.users.get(ada.id) == disabled
        with pytest.raises(InvalidCredentials):
            world.log_in()
        assert events(world)[-2:] == [SecurityEvent.DISABLED, SecurityEvent.LOGIN_FAILED]

    def test_its_sessions_are_revoked(self, world: World, administration: Administration) -> None:
        ada, session = world.register(), world.log_in()
        administration.disable_user(user_id=ada.id)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(session.tokens.access_token.value)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=session.tokens.refresh_token)

    def test_a_process_that_has_not_noticed_yet_refuses_everything_about_the_account(
        self, world: World, administration: Administration
    ) -> None:
        ada, session = world.register(), world.log_in()
        administration.disable_user(user_id=ada.id)
        caller = world.access_tokens.verify(
            session.tokens.access_token.value, now=world.clock.now()
        )
        application = world.application
        for attempt in (
            lambda: application.read_profile(user_id=ada.id),
            lambda: application.update_profile(user_id=ada.id, name="Eve"),
            lambda: application.export_account(user_id=ada.id),
            lambda: application.delete_account(user_id=ada.id, current_password=PASSWORD),
            lambda: application.change_password(
                user_id=ada.id,
                session_id=caller.session_id,
                current_password=PASSWORD,
                new_password=NEW,
            ),
        ):
            with pytest.raises(InvalidAccessToken):
                attempt()
        assert world.users.get(ada.id).name == "Ada"

    def test_no_token_of_an_issuer_is_accepted_however_late_it_was_issued(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.application.authenticate(vouch(world))
        administration.disable_user(user_id=ada.user_id)
        for minutes in (0, 1, 60 * 24):
            with pytest.raises(InvalidAccessToken):
                world.application.authenticate(vouch(world, f"external {minutes}", minutes=minutes))
        world.clock.advance(timedelta(days=2))
        administration.enable_user(user_id=ada.user_id)
        later = world.application.authenticate(vouch(world, "external later"))
        assert later.user_id == ada.user_id

    def test_a_changed_name_at_the_issuer_does_not_enable_the_account(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.application.authenticate(vouch(world))
        disabled = administration.disable_user(user_id=ada.user_id)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(vouch(world, "external renamed", name="Eve", minutes=1))
        assert world.users.get(ada.user_id) == disabled

    def test_its_password_cannot_be_reset(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        world.application.forgot_password(email="ada@example.com")
        administration.disable_user(user_id=ada.id)
        world.application.forgot_password(email="ada@example.com")
        [email] = world.mailer.sent
        assert isinstance(email, PasswordResetEmail)
        administration.enable_user(user_id=ada.id)
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=email.token, new_password=NEW)

    def test_a_reset_that_was_loaded_before_is_refused(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        world.application.forgot_password(email="ada@example.com")
        [email] = world.mailer.sent
        assert isinstance(email, PasswordResetEmail)
        kept = world.store.password_resets[ada.id]
        administration.disable_user(user_id=ada.id)
        world.store.password_resets[ada.id] = kept
        with pytest.raises(InvalidResetToken):
            world.application.reset_password(token=email.token, new_password=NEW)

    def test_nothing_is_deleted_and_the_account_can_be_used_again_when_it_is_enabled(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        task = world.application.create_task(owner_id=ada.id, title="Buy milk")
        administration.disable_user(user_id=ada.id)
        enabled = administration.enable_user(user_id=ada.id)
        assert not enabled.is_disabled
        assert world.log_in().user.id == ada.id
        assert world.application.get_task(owner_id=ada.id, task_id=task.id) == task

    def test_doing_it_again_changes_and_records_nothing(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        disabled = administration.disable_user(user_id=ada.id)
        assert administration.disable_user(user_id=ada.id) == disabled
        enabled = administration.enable_user(user_id=ada.id)
        assert administration.enable_user(user_id=ada.id) == enabled
        assert events(world) == [
            SecurityEvent.REGISTERED,
            SecurityEvent.DISABLED,
            SecurityEvent.ENABLED,
        ]

    def test_other_accounts_are_not_affected(
        self, world: World, administration: Administration
    ) -> None:
        ada, grace = world.register(), world.register("grace@example.com")
        session = world.log_in("grace@example.com")
        administration.disable_user(user_id=ada.id)
        assert authenticated(world, session) == grace.id
        assert world.log_in("grace@example.com").user == grace

    def test_its_email_cannot_be_registered_again(
        self, world: World, administration: Administration
    ) -> None:
        administration.disable_user(user_id=world.register().id)
        with pytest.raises(EmailTaken):
            world.register()


class TestDeleting:
    @pytest.mark.parametrize("tasks", [3, BATCH + 3])
    def test_everything_of_the_account_is_deleted_without_its_password(
        self, world: World, administration: Administration, tasks: int
    ) -> None:
        ada, session = world.register(), world.log_in()
        give_tasks(world, ada, tasks)
        administration.delete_user(user_id=ada.id)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(session.tokens.access_token.value)
        with pytest.raises(AccountGone):
            world.application.get_profile(user_id=ada.id)
        assert not world.store.tasks
        assert events(world)[-1] == SecurityEvent.DELETED
        assert world.register().id != ada.id

    def test_a_disabled_account_can_be_deleted(
        self, world: World, administration: Administration
    ) -> None:
        ada = world.register()
        administration.disable_user(user_id=ada.id)
        administration.delete_user(user_id=ada.id)
        assert not world.store.users

    def test_every_change_of_an_unknown_user_is_refused(
        self, administration: Administration
    ) -> None:
        unknown = UserId(World().identifiers.user_id())
        for attempt in (
            administration.delete_user,
            administration.disable_user,
            administration.enable_user,
            administration.revoke_user_sessions,
        ):
            with pytest.raises(UserNotFound):
                attempt(user_id=unknown)
        with pytest.raises(UserNotFound):
            administration.set_password(user_id=unknown, new_password=NEW)
