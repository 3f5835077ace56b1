"""Registration and login."""

from dataclasses import replace
from datetime import timedelta

import pytest
from passlib.hash import bcrypt

from tests.support.world import PASSWORD, World
from todo_adapters.security.passwords import PasslibPasswordHasher, common_passwords
from todo_core.entities.user import Password
from todo_core.errors import (
    AccountGone,
    EmailTaken,
    InvalidCredentials,
    RegistrationClosed,
    ValidationFailed,
)


class TestRegistration:
    def test_a_password_is_stored_only_as_a_hash(self, world: World) -> None:
        ada = world.register()
        stored = world.users.get(ada.id)
        assert stored == ada
        assert PASSWORD not in str(stored.password_hash)
        assert world.passwords.verify(Password(PASSWORD), stored.password_hash)
        assert str(stored.password_hash) not in repr(stored)

    def test_an_email_belongs_to_one_account(self, world: World) -> None:
        world.register("ada@example.com")
        with pytest.raises(EmailTaken):
            world.register("Ada@Example.com")

    def test_a_refused_registration_names_every_invalid_field(self, world: World) -> None:
        with pytest.raises(ValidationFailed) as failure:
            world.application.register_user(name=" ", email="ada", password="password1")
        assert [(error.field, error.code) for error in failure.value.errors] == [
            ("name", "too_short"),
            ("email", "invalid_email"),
            ("password", "too_common"),
        ]

    def test_closed_registration_opens_no_account_and_counts_nothing(self, world: World) -> None:
        closed = replace(world.application.register_user, is_open=False)
        for _ in range(25):
            with pytest.raises(RegistrationClosed):
                closed(name="", email="", password="")
        assert world.store.users == {}
        assert world.register().email == "ada@example.com"


class TestLogin:
    def test_the_tokens_of_a_login_authenticate_its_user(self, world: World) -> None:
        ada = world.register()
        logged_in = world.application.log_in(email="ADA@example.com", password=PASSWORD)
        caller = world.application.authenticate(logged_in.tokens.access_token.value)
        assert caller.user_id == logged_in.user.id == ada.id
        assert caller.session_id in world.store.sessions
        session = world.store.sessions[caller.session_id]
        assert session.expires_at == world.clock.now() + timedelta(days=90)
        assert logged_in.tokens.access_token.value not in repr(logged_in)
        assert logged_in.tokens.refresh_token not in repr(logged_in)

    def test_every_login_starts_a_session_of_its_own(self, world: World) -> None:
        world.register()
        first = world.application.log_in(email="ada@example.com", password=PASSWORD)
        second = world.application.log_in(email="ada@example.com", password=PASSWORD)
        assert first.tokens.refresh_token != second.tokens.refresh_token
        assert len(world.store.sessions) == 2

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("ada@example.com", PASSWORD + "."),
            ("ada@example.com", ""),
            ("ada@example.com", "\x00"),
            ("ada@example.com", "a" * 129),
            ("bob@example.com", PASSWORD),
            ("", PASSWORD),
            ("\ud800", "\ud800"),
        ],
    )
    def test_a_wrong_email_or_password_starts_no_session(
        self, world: World, email: str, password: str
    ) -> None:
        world.register()
        with pytest.raises(InvalidCredentials):
            world.application.log_in(email=email, password=password)
        assert world.store.sessions == {}

    def test_a_user_without_a_password_cannot_log_in(self, world: World) -> None:
        ada = world.register()
        world.users.save(replace(ada, password_hash=None))
        with pytest.raises(InvalidCredentials):
            world.application.log_in(email="ada@example.com", password=PASSWORD)

    def test_a_password_is_compared_even_if_the_account_does_not_exist(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared: list[str | None] = []
        verify = world.passwords.verify

        def recording(password: Password, password_hash: str | None) -> bool:
            compared.append(password_hash)
            return verify(password, password_hash)

        monkeypatch.setattr(world.passwords, "verify", recording)
        ada = world.register()
        for email, password in (
            ("ada@example.com", "wrong"),
            ("bob@example.com", PASSWORD),
            ("no address", PASSWORD),
            ("ada@example.com", "\x00"),
        ):
            with pytest.raises(InvalidCredentials):
                world.application.log_in(email=email, password=password)
        assert compared == [ada.password_hash, None, None, None]

    @pytest.mark.parametrize(
        "outdated",
        [
            bcrypt.using(rounds=4).hash(PASSWORD),
            PasslibPasswordHasher(cost=5).hash(Password(PASSWORD)),
        ],
        ids=["plain bcrypt", "another cost"],
    )
    def test_an_outdated_hash_is_replaced(self, world: World, outdated: str) -> None:
        ada = world.register()
        world.users.save(replace(ada, password_hash=outdated))
        world.application.log_in(email="ada@example.com", password=PASSWORD)
        renewed = world.users.get(ada.id)
        assert renewed.password_hash is not None
        assert renewed.password_hash.startswith("$bcrypt-sha256$")
        assert not world.passwords.needs_rehash(renewed.password_hash)
        world.application.log_in(email="ada@example.com", password=PASSWORD)
        assert world.users.get(ada.id) == renewed

    def test_a_login_fails_if_the_password_is_changed_meanwhile(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ada = world.register()
        outdated = PasslibPasswordHasher(cost=5).hash(Password(PASSWORD))
        world.users.save(replace(ada, password_hash=outdated))
        needs_rehash = world.passwords.needs_rehash

        def change_meanwhile(password_hash: str) -> bool:
            current = world.users.get(ada.id)
            another = world.passwords.hash(Password("another sentence"))
            world.users.save(current.with_password_hash(another, now=world.clock.now()))
            return needs_rehash(password_hash)

        monkeypatch.setattr(world.passwords, "needs_rehash", change_meanwhile)
        with pytest.raises(InvalidCredentials):
            world.application.log_in(email="ada@example.com", password=PASSWORD)
        assert world.store.sessions == {}


class TestHasher:
    def test_every_character_of_a_password_counts(self, world: World) -> None:
        password = Password("é" * 127 + "a")
        hashed = world.passwords.hash(password)
        assert world.passwords.verify(password, hashed)
        assert not world.passwords.verify(Password("é" * 127 + "b"), hashed)

    def test_no_password_matches_a_missing_hash(self, world: World) -> None:
        assert not world.passwords.verify(Password(PASSWORD), None)

    def test_equal_passwords_have_different_hashes(self, world: World) -> None:
        assert world.passwords.hash(Password(PASSWORD)) != world.passwords.hash(Password(PASSWORD))


def test_the_list_of_common_passwords_contains_the_most_common() -> None:
    common = common_passwords()
    assert len(common) == 10_000
    assert {"123456", "password", "qwertyuiop"} <= common
    assert all(password == password.lower() for password in common)


def test_a_deleted_account_is_reported_as_deleted(world: World) -> None:
    ada = world.register()
    assert world.application.get_profile(user_id=ada.id) == ada
    world.store.users.clear()
    with pytest.raises(AccountGone):
        world.application.get_profile(user_id=ada.id)
