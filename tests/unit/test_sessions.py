"""Refreshing, listing and revoking sessions, and limits of logins."""

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.support.world import IDLE, LIFETIME, MAX_SESSIONS, PASSWORD, World
from todo_adapters.security.revoked_sessions import PolledRevokedSessions
from todo_core.entities.session import REFRESH_GRACE
from todo_core.errors import (
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    RateLimited,
    SessionNotFound,
)
from todo_core.ports.security_log import SecurityEvent

SECOND = timedelta(seconds=1)


class TestRefresh:
    def test_a_refresh_issues_two_new_tokens_of_the_same_session(self, world: World) -> None:
        world.register()
        first = world.log_in().tokens
        world.clock.advance(SECOND)
        second = world.application.refresh_session(refresh_token=first.refresh_token)
        assert second.refresh_token != first.refresh_token
        assert second.access_token.value != first.access_token.value
        assert world.application.authenticate(
            second.access_token.value
        ) == world.application.authenticate(first.access_token.value)
        assert second.refresh_token not in repr(second)

    def test_a_session_can_be_refreshed_repeatedly(self, world: World) -> None:
        world.register()
        tokens = world.log_in().tokens
        for _ in range(5):
            world.clock.advance(timedelta(days=10))
            tokens = world.application.refresh_session(refresh_token=tokens.refresh_token)
        world.application.authenticate(tokens.access_token.value)

    def test_a_used_refresh_token_yields_the_same_successor_within_the_grace_period(
        self, world: World
    ) -> None:
        world.register()
        first = world.log_in().tokens
        second = world.application.refresh_session(refresh_token=first.refresh_token)
        world.clock.advance(REFRESH_GRACE - SECOND)
        again = world.application.refresh_session(refresh_token=first.refresh_token)
        assert again.refresh_token == second.refresh_token
        third = world.application.refresh_session(refresh_token=again.refresh_token)
        assert third.refresh_token != second.refresh_token

    def test_setting_the_clock_back_does_not_extend_the_grace_period(self, world: World) -> None:
        world.register()
        world.clock.advance(timedelta(days=10))
        first = world.log_in().tokens
        world.application.refresh_session(refresh_token=first.refresh_token)
        world.clock.advance(timedelta(days=-1))
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=first.refresh_token)

    def test_a_replayed_refresh_token_revokes_the_session_after_the_grace_period(
        self, world: World
    ) -> None:
        ada = world.register()
        first = world.log_in().tokens
        second = world.application.refresh_session(refresh_token=first.refresh_token)
        world.clock.advance(REFRESH_GRACE)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=first.refresh_token)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=second.refresh_token)
        for tokens in (first, second):
            with pytest.raises(InvalidAccessToken):
                world.application.authenticate(tokens.access_token.value)
        assert [
            (each.event, each.user_id)
            for each in world.log.recorded
            if each.event is SecurityEvent.REFRESH_REUSED
        ] == [(SecurityEvent.REFRESH_REUSED, ada.id)]

    def test_a_refresh_token_two_generations_old_revokes_the_session_at_once(
        self, world: World
    ) -> None:
        world.register()
        first = world.log_in().tokens
        second = world.application.refresh_session(refresh_token=first.refresh_token)
        third = world.application.refresh_session(refresh_token=second.refresh_token)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=first.refresh_token)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=third.refresh_token)

    def test_a_replayed_refresh_token_does_not_affect_other_sessions(self, world: World) -> None:
        world.register()
        first, other = world.log_in().tokens, world.log_in().tokens
        world.application.refresh_session(refresh_token=first.refresh_token)
        world.clock.advance(REFRESH_GRACE)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=first.refresh_token)
        world.application.refresh_session(refresh_token=other.refresh_token)

    def test_a_session_that_is_idle_for_too_long_is_expired(self, world: World) -> None:
        world.register()
        tokens = world.log_in().tokens
        world.clock.advance(IDLE - SECOND)
        tokens = world.application.refresh_session(refresh_token=tokens.refresh_token)
        world.clock.advance(IDLE)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=tokens.refresh_token)

    def test_a_session_expires_even_if_it_is_refreshed_regularly(self, world: World) -> None:
        world.register()
        tokens = world.log_in().tokens
        for _ in range(9):
            world.clock.advance(timedelta(days=10) - SECOND)
            tokens = world.application.refresh_session(refresh_token=tokens.refresh_token)
        assert tokens.access_token.expires_in == 9 * SECOND
        world.clock.advance(10 * SECOND)
        assert world.clock.now() > world.store.users.popitem()[1].created_at + LIFETIME
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=tokens.refresh_token)

    @pytest.mark.parametrize(
        "changed",
        ["{}A", "A{}", " {}", "{}=", "", "todo_rt_" + "A" * 70, "todo_rt_" + "é" * 70, "\ud800"],
    )
    def test_an_unknown_refresh_token_changes_nothing(self, world: World, changed: str) -> None:
        world.register()
        tokens = world.log_in().tokens
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=changed.format(tokens.refresh_token))
        world.application.refresh_session(refresh_token=tokens.refresh_token)

    def test_a_forged_refresh_token_does_not_revoke_a_session(self, world: World) -> None:
        world.register()
        first = world.log_in().tokens
        second = world.application.refresh_session(refresh_token=first.refresh_token)
        world.clock.advance(REFRESH_GRACE)
        forged = first.refresh_token[:-4] + ("AAAA" if first.refresh_token[-4:] != "AAAA" else "BB")
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=forged)
        world.application.refresh_session(refresh_token=second.refresh_token)


class TestRevocation:
    def test_a_logout_revokes_this_session_and_no_other(self, world: World) -> None:
        world.register()
        here, there = world.log_in().tokens, world.log_in().tokens
        world.application.log_out(world.application.authenticate(here.access_token.value))
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(here.access_token.value)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=here.refresh_token)
        world.application.authenticate(there.access_token.value)

    def test_a_second_logout_is_no_error(self, world: World) -> None:
        world.register()
        caller = world.application.authenticate(world.log_in().tokens.access_token.value)
        world.application.log_out(caller)
        world.application.log_out(caller)

    def test_a_session_of_another_user_is_not_found(self, world: World) -> None:
        world.register()
        bob = world.register("bob@example.com")
        tokens = world.log_in().tokens
        adas = world.application.authenticate(tokens.access_token.value)
        with pytest.raises(SessionNotFound):
            world.application.revoke_session(user_id=bob.id, session_id=adas.session_id)
        assert world.application.authenticate(tokens.access_token.value) == adas
        assert world.application.list_sessions(user_id=bob.id) == []

    def test_revoking_other_sessions_keeps_this_one(self, world: World) -> None:
        ada = world.register()
        here, there = world.log_in().tokens, world.log_in().tokens
        caller = world.application.authenticate(here.access_token.value)
        world.application.revoke_other_sessions(caller)
        world.application.authenticate(here.access_token.value)
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(there.access_token.value)
        assert [each.id for each in world.application.list_sessions(user_id=ada.id)] == [
            caller.session_id
        ]


class TestList:
    def test_sessions_show_the_device_and_address_of_their_login(self, world: World) -> None:
        ada = world.register()
        world.application.log_in(
            email="ada@example.com",
            password=PASSWORD,
            user_agent="Fire\x00fox" + "x" * 500,
            address="192.0.2.1",
        )
        world.clock.advance(SECOND)
        newest = world.log_in()
        sessions = world.application.list_sessions(user_id=ada.id)
        assert [each.address for each in sessions] == ["", "192.0.2.1"]
        assert sessions[1].user_agent.startswith("Firefoxxx")
        assert len(sessions[1].user_agent) == 256
        assert sessions[1].device == sessions[1].user_agent[:40]
        assert newest.tokens.refresh_token not in repr(sessions)

    @pytest.mark.parametrize(
        ("user_agent", "device"),
        [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
                "Firefox on Windows",
            ),
            (
                "an unheard-of program, which is called by its first words",
                "an unheard-of program, which is called b",
            ),
            ("", "Unknown device"),
        ],
    )
    def test_a_device_has_the_name_of_its_browser_and_system(
        self, world: World, user_agent: str, device: str
    ) -> None:
        ada = world.register()
        world.application.log_in(email="ada@example.com", password=PASSWORD, user_agent=user_agent)
        assert [each.device for each in world.application.list_sessions(user_id=ada.id)] == [device]

    @pytest.mark.parametrize(
        "user_agent",
        ["\x00" * 2**16, "Mozilla/5.0 (" * 5000, "(Linux; Android 1;" + " " * 2**16, "-1." * 2**15],
    )
    def test_a_hostile_user_agent_costs_little_time_and_space(
        self, world: World, user_agent: str
    ) -> None:
        ada = world.register()
        world.log_in()  # loads the tables of user agents
        began = time.process_time()
        world.application.log_in(email="ada@example.com", password=PASSWORD, user_agent=user_agent)
        assert time.process_time() - began < 0.5
        for session in world.application.list_sessions(user_id=ada.id):
            assert len(session.user_agent) <= 256
            assert 0 < len(session.device) <= 100


class TestMaximum:
    def test_a_login_beyond_the_maximum_revokes_the_session_used_least_recently(
        self, world: World
    ) -> None:
        ada = world.register()
        logins = []
        for _ in range(MAX_SESSIONS):
            logins.append(world.log_in())
            world.clock.advance(SECOND)
        used = world.application.refresh_session(refresh_token=logins[0].tokens.refresh_token)
        world.clock.advance(SECOND)
        newest = world.log_in()
        revoked = logins[1].tokens
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(revoked.access_token.value)
        with pytest.raises(InvalidRefreshToken):
            world.application.refresh_session(refresh_token=revoked.refresh_token)
        kept = [used, newest.tokens, *(each.tokens for each in logins[2:])]
        callers = [world.application.authenticate(each.access_token.value) for each in kept]
        assert {each.session_id for each in callers} == {
            each.id for each in world.application.list_sessions(user_id=ada.id)
        }
        assert len(kept) == MAX_SESSIONS
        revocations = [
            each for each in world.log.recorded if each.event is SecurityEvent.SESSION_ENDED
        ]
        assert [each.user_id for each in revocations] == [ada.id]

    def test_the_new_session_is_kept_even_if_the_clock_was_set_back(self, world: World) -> None:
        world.register()
        for _ in range(MAX_SESSIONS):
            world.log_in()
        world.clock.advance(timedelta(minutes=-1))
        world.application.authenticate(world.log_in().tokens.access_token.value)
        assert len(world.store.sessions) == MAX_SESSIONS

    def test_the_sessions_of_another_user_do_not_count(self, world: World) -> None:
        world.register()
        bob = world.register("bob@example.com")
        for _ in range(MAX_SESSIONS):
            world.log_in()
        world.log_in("bob@example.com")
        assert len(world.store.sessions) == MAX_SESSIONS + 1
        assert len(world.application.list_sessions(user_id=bob.id)) == 1

    def test_an_expired_session_is_not_listed(self, world: World) -> None:
        ada = world.register()
        world.log_in()
        world.clock.advance(IDLE)
        assert world.application.list_sessions(user_id=ada.id) == []


class TestSessionLimits:
    def test_requests_about_sessions_are_limited_for_each_user(self, world: World) -> None:
        ada, bob = world.register(), world.register("bob@example.com")
        caller = world.application.authenticate(world.log_in().tokens.access_token.value)
        other = world.application.authenticate(world.log_in().tokens.access_token.value)
        for _ in range(4):
            world.application.list_sessions(user_id=ada.id)
        world.application.revoke_session(user_id=ada.id, session_id=other.session_id)
        world.application.revoke_other_sessions(caller)
        refused: list[Callable[[], object]] = [
            lambda: world.application.list_sessions(user_id=ada.id),
            lambda: world.application.revoke_session(user_id=ada.id, session_id=caller.session_id),
            lambda: world.application.revoke_other_sessions(caller),
        ]
        for request in refused:
            with pytest.raises(RateLimited) as limited:
                request()
            assert limited.value.allowance.rule == "sessions"
        assert caller.session_id in world.store.sessions
        assert world.application.list_sessions(user_id=bob.id) == []

    def test_logging_out_is_never_limited(self, world: World) -> None:
        ada = world.register()
        caller = world.application.authenticate(world.log_in().tokens.access_token.value)
        for _ in range(6):
            world.application.list_sessions(user_id=ada.id)
        world.application.log_out(caller)
        assert world.store.sessions == {}


class TestLoginLimits:
    def wrong(self, world: World, address: str, email: str = "ada@example.com") -> None:
        with pytest.raises(InvalidCredentials):
            world.application.log_in(email=email, password="wrong", address=address)

    def test_after_too_many_failed_logins_even_the_right_password_is_refused(
        self, world: World
    ) -> None:
        world.register()
        for _ in range(5):
            self.wrong(world, "192.0.2.1")
        with pytest.raises(RateLimited) as limited:
            world.log_in(address="192.0.2.1")
        allowance = limited.value.allowance
        assert (allowance.rule, allowance.limit) == ("login_account", 5)
        assert SECOND <= allowance.resets_in <= 60 * SECOND

    def test_failed_logins_from_elsewhere_do_not_lock_a_user_out(self, world: World) -> None:
        world.register()
        for _ in range(5):
            self.wrong(world, "203.0.113.9")
        with pytest.raises(RateLimited):
            world.log_in(address="203.0.113.9")
        world.log_in(address="192.0.2.1")

    def test_failed_logins_from_one_address_are_limited_across_accounts(self, world: World) -> None:
        for number in range(12):
            self.wrong(world, "203.0.113.9", f"user{number}@example.com")
        with pytest.raises(RateLimited) as limited:
            world.application.log_in(
                email="new@example.com", password="wrong", address="203.0.113.9"
            )
        assert limited.value.allowance.rule == "login_address"

    def test_a_successful_login_resets_the_count_of_failed_logins(self, world: World) -> None:
        world.register()
        for _ in range(2):
            for _ in range(4):
                self.wrong(world, "192.0.2.1")
            world.log_in(address="192.0.2.1")

    def test_the_login_limit_ignores_the_case_of_the_email(self, world: World) -> None:
        world.register()
        for email in ("ada@example.com", "ADA@example.com", "Ada@example.com", " ada@example.com"):
            self.wrong(world, "192.0.2.1", email)
        self.wrong(world, "192.0.2.1")
        with pytest.raises(RateLimited):
            world.log_in(address="192.0.2.1")


def test_a_revocation_is_noticed_although_the_clock_of_its_process_is_behind(world: World) -> None:
    ada = world.register()
    polled = PolledRevokedSessions(world.revocations, world.clock, remember=timedelta(hours=1))
    polled.poll()
    world.log_in()
    [session_id] = world.store.sessions
    behind = world.clock.now() - timedelta(minutes=9)
    world.sessions.revoke(session_id, user_id=ada.id, now=behind)
    world.clock.advance(timedelta(seconds=3))
    polled.poll()
    assert session_id in polled
