"""Users of external issuers, on in-memory adapters."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.world import ISSUER, PASSWORD, World, vouch
from todo_adapters.in_memory.security_log import Recorded
from todo_core.entities.caller import Caller
from todo_core.entities.identity import Identity, LinkedIdentity
from todo_core.errors import (
    ExternalSession,
    InvalidAccessToken,
    NoPassword,
    RateLimited,
    ValidationFailed,
)
from todo_core.ports.security_log import SecurityEvent


def test_the_first_token_of_an_external_user_creates_an_account_and_the_next_finds_it(
    world: World,
) -> None:
    first = world.application.authenticate(vouch(world))
    later = world.application.authenticate(vouch(world, "external ada later", minutes=20))
    assert (first.user_id, first.session_id) == (later.user_id, later.session_id)
    assert first.alias == "ada"
    user = world.application.get_profile(user_id=first.user_id)
    assert (user.name, user.email, user.password_hash) == ("Ada", "ada@example.com", None)
    assert world.log.recorded == [
        Recorded(SecurityEvent.PROVISIONED, first.user_id, first.session_id)
    ]


def test_a_cached_external_user_is_authenticated_without_waiting(world: World) -> None:
    token = vouch(world)
    assert world.application.authenticate.without_waiting(token) is None
    caller = world.application.authenticate(token)
    world.store.users.clear()
    world.store.identities.clear()
    assert world.application.authenticate.without_waiting(token) == caller


def test_other_subjects_and_the_same_subject_of_other_issuers_are_other_users(world: World) -> None:
    callers = [
        world.application.authenticate(
            vouch(world, f"external {issuer} {subject}", issuer=issuer, subject=subject)
        )
        for issuer in (ISSUER, "https://other.example.com")
        for subject in ("ada", "Ada")
    ]
    assert len({caller.user_id for caller in callers}) == 4
    assert len({caller.session_id for caller in callers}) == 4


def test_new_accounts_from_one_address_are_limited(world: World) -> None:
    known = world.application.authenticate(
        vouch(world, "external 0", subject="0"), address="192.0.2.1"
    )
    for n in range(1, 4):
        world.application.authenticate(
            vouch(world, f"external {n}", subject=f"{n}"), address="192.0.2.1"
        )
    newcomer = vouch(world, "external 4", subject="4")
    with pytest.raises(RateLimited) as limited:
        world.application.authenticate(newcomer, address="192.0.2.1")
    assert limited.value.allowance.rule == "provision_address"
    assert len(world.store.users) == 4
    world.identity_cache.__init__()  # type: ignore[misc]  # as in another process
    assert world.application.authenticate("external 0", address="192.0.2.1") == known
    assert world.application.authenticate(newcomer, address="192.0.2.2").user_id != known.user_id


def test_new_accounts_of_one_issuer_are_limited(world: World) -> None:
    for n in range(6):
        world.application.authenticate(vouch(world, f"external {n}", subject=f"{n}"))
    newcomer = vouch(world, "external 6", subject="6")
    with pytest.raises(RateLimited) as limited:
        world.application.authenticate(newcomer, address="192.0.2.1")
    assert limited.value.allowance.rule == "provision_issuer"
    other = vouch(world, "external 7", subject="6", issuer="https://other.example.com")
    world.application.authenticate(other, address="192.0.2.1")
    assert len(world.store.users) == 7


def test_an_account_that_takes_several_attempts_is_counted_once(world: World) -> None:
    for n in range(6):
        world.register(f"{n}@example.com")  # whose emails are taken
        world.application.authenticate(
            vouch(world, f"external {n}", subject=f"{n}", email=f"{n}@example.com")
        )
    assert len(world.store.identities) == 6


def test_external_users_with_an_account_do_not_count_as_new_accounts(world: World) -> None:
    for n in range(20):
        world.identity_cache.__init__()  # type: ignore[misc]  # as in another process
        token = vouch(world, f"external {n}", name=f"Ada {n}", minutes=n)
        world.application.authenticate(token, address="192.0.2.1")
    assert len(world.store.users) == 1


@pytest.mark.parametrize(
    "spelling",
    [
        str,
        lambda uuid: str(uuid).upper(),
        lambda uuid: uuid.hex,
        lambda uuid: uuid.urn,
        "{{{}}}".format,
    ],
)
def test_a_subject_that_is_the_id_of_another_user_does_not_stand_for_the_callers_id(
    world: World, spelling: Callable[[UUID], str]
) -> None:
    bob = world.register("bob@example.com")
    caller = world.application.authenticate(vouch(world, subject=spelling(bob.id)))
    assert caller.user_id != bob.id
    assert caller.alias is None
    recalled = world.application.authenticate.without_waiting("external ada")
    assert recalled == caller


def test_a_subject_that_is_a_uuid_of_no_user_stands_for_the_callers_id(world: World) -> None:
    subject = str(uuid4())
    caller = world.application.authenticate(vouch(world, subject=subject))
    assert caller.alias == subject
    again = world.application.authenticate(
        vouch(world, "external own id", subject=str(caller.user_id), issuer="https://other")
    )
    assert again.alias is None


def test_an_external_user_is_never_linked_to_an_account_by_email(world: World) -> None:
    registered = world.register("Ada@example.com")
    caller = world.application.authenticate(vouch(world))
    assert caller.user_id != registered.id
    assert world.application.get_profile(user_id=caller.user_id).email is None
    assert world.application.get_profile(user_id=registered.id) == registered


def test_a_changed_email_that_another_user_has_is_left_out(world: World) -> None:
    world.register("taken@example.com")
    caller = world.application.authenticate(vouch(world))
    world.application.authenticate(vouch(world, "external 2", email="taken@example.com", minutes=1))
    assert world.application.get_profile(user_id=caller.user_id).email is None
    world.application.authenticate(vouch(world, "external 3", email="free@example.com", minutes=2))
    assert world.application.get_profile(user_id=caller.user_id).email == "free@example.com"


def test_name_and_email_follow_the_latest_token_of_the_issuer(world: World) -> None:
    old = vouch(world)
    caller = world.application.authenticate(old)
    new = vouch(world, "external 2", name="Ada L.", email="ada.l@example.com", minutes=1)
    world.application.authenticate(new)
    for token in (new, old):
        world.application.authenticate(token)
        user = world.application.get_profile(user_id=caller.user_id)
        assert (user.name, user.email) == ("Ada L.", "ada.l@example.com")


def test_a_name_changed_here_is_kept_until_it_changes_at_the_issuer(world: World) -> None:
    caller = world.application.authenticate(vouch(world))
    world.application.update_profile(user_id=caller.user_id, name="Countess")
    world.application.authenticate(vouch(world, "external 2", minutes=1))
    assert world.application.get_profile(user_id=caller.user_id).name == "Countess"
    world.application.authenticate(vouch(world, "external 3", name="Ada Lovelace", minutes=2))
    assert world.application.get_profile(user_id=caller.user_id).name == "Ada Lovelace"


def test_a_claim_that_is_missing_from_a_token_changes_nothing(world: World) -> None:
    caller = world.application.authenticate(vouch(world))
    world.application.authenticate(vouch(world, "external 2", name=None, email=None, minutes=1))
    user = world.application.get_profile(user_id=caller.user_id)
    assert (user.name, user.email) == ("Ada", "ada@example.com")


@pytest.mark.parametrize(
    ("name", "email", "expected"),
    [
        ("  Ada \x00\ud800 L.\n ", None, ("Ada  L.", None)),
        ("x" * 300, None, ("x" * 100, None)),
        (None, "ada@example.com", ("ada", "ada@example.com")),
        (" \x00 ", "not an address", ("User", None)),
        (17, ["ada@example.com"], ("User", None)),
    ],
)
def test_a_token_with_unusable_claims_still_creates_an_account(
    world: World, name: object, email: object, expected: tuple[str, str | None]
) -> None:
    caller = world.application.authenticate(vouch(world, name=name, email=email))
    user = world.application.get_profile(user_id=caller.user_id)
    assert (user.name, user.email) == expected


@pytest.mark.parametrize("subject", ["", "x" * 256, "a\x00b", "\ud800", "a\nb"])
def test_an_invalid_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValidationFailed):
        Identity.claimed(
            issuer=ISSUER,
            subject=subject,
            name=None,
            email=None,
            issued_at=datetime(2026, 1, 1, tzinfo=UTC),
        )


def deleted(world: World) -> Caller:
    """Create and delete the account of an external user, and return its caller."""
    caller = world.application.authenticate(vouch(world))
    world.application.create_task(owner_id=caller.user_id, title="Buy milk")
    world.clock.advance(timedelta(minutes=1))
    world.application.delete_account(user_id=caller.user_id)
    return caller


def test_an_external_user_deletes_their_account_without_a_password(world: World) -> None:
    caller = deleted(world)
    assert world.store.identities == {}
    assert world.store.users == {}
    assert world.application.list_tasks(owner_id=caller.user_id).tasks == []
    assert world.log.recorded[-1].event is SecurityEvent.DELETED


def test_a_token_from_before_a_deletion_creates_no_new_account(world: World) -> None:
    deleted(world)
    for token in ("external ada", vouch(world, "external 2", minutes=-0.5)):
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(token)
    assert world.store.users == {}


def test_a_token_from_before_a_deletion_is_refused_by_the_revocation_alone(world: World) -> None:
    caller = world.application.authenticate(vouch(world))
    world.revoked_sessions.add([caller.session_id])
    assert world.application.authenticate.without_waiting("external ada") is None


def test_a_token_without_or_with_a_future_issue_time_creates_no_new_account_after_a_deletion(
    world: World,
) -> None:
    """A token without an issue time counts as issued when it expires, in the future."""
    caller = world.application.authenticate(vouch(world, minutes=15))
    world.application.delete_account(user_id=caller.user_id, caller_identity=caller.identity)
    for minutes in (14, 15):
        with pytest.raises(InvalidAccessToken):
            world.application.authenticate(vouch(world, f"external {minutes}", minutes=minutes))
    assert (
        world.application.authenticate(vouch(world, "external later", minutes=16)).user_id
        != caller.user_id
    )


def test_a_concurrent_request_creates_no_account_after_a_deletion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = world.application.authenticate(vouch(world))
    world.identity_cache.__init__()  # type: ignore[misc]  # as after its lifetime
    get = world.identities.get

    def get_after_deletion(identity: Identity) -> LinkedIdentity:
        if caller.user_id in world.store.users:
            world.clock.advance(timedelta(minutes=1))
            world.application.delete_account(user_id=caller.user_id)
            world.revoked_sessions.__init__()  # type: ignore[misc]  # as in another process
        return get(identity)

    monkeypatch.setattr(world.identities, "get", get_after_deletion)
    with pytest.raises(InvalidAccessToken):
        world.application.authenticate("external ada")
    assert world.store.users == {}


def test_a_user_who_returns_after_deletion_gets_a_new_account(world: World) -> None:
    before = deleted(world)
    after = world.application.authenticate(vouch(world, "external 2", minutes=1))
    assert after.user_id != before.user_id
    assert world.application.list_tasks(owner_id=after.user_id).tasks == []
    assert world.application.authenticate("external 2") == after


def test_operations_that_the_issuer_manages_are_refused(world: World) -> None:
    caller = world.application.authenticate(vouch(world))
    with pytest.raises(NoPassword):
        world.application.change_password(
            user_id=caller.user_id,
            session_id=caller.session_id,
            current_password=PASSWORD,
            new_password="another long sentence",
        )
    with pytest.raises(NoPassword):
        world.application.update_profile(
            user_id=caller.user_id, email="new@example.com", current_password=PASSWORD
        )
    with pytest.raises(ExternalSession):
        world.application.log_out(caller)
    with pytest.raises(ExternalSession):
        world.application.revoke_other_sessions(caller)


def test_a_user_with_a_password_must_give_it_to_delete_their_account(world: World) -> None:
    user = world.register()
    with pytest.raises(ValidationFailed) as failed:
        world.application.delete_account(user_id=user.id)
    assert [error.code for error in failed.value.errors] == ["required"]
    assert world.application.get_profile(user_id=user.id) == user


def test_an_export_contains_the_identities(world: World) -> None:
    caller = world.application.authenticate(vouch(world))
    [identity] = world.application.export_account(user_id=caller.user_id).identities
    assert (identity.issuer, identity.subject) == (ISSUER, "ada")
