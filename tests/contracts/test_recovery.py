"""What follows a restore, on SQLite and PostgreSQL: nothing from before it is valid afterwards."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.waiting import until
from todo_adapters.sql.recovery import SKIPPED_REVISIONS, SKIPPED_VERSIONS, Recovery, recover
from todo_api.container import Container, recover_everything
from todo_core.entities.identity import Identity
from todo_core.entities.reminders import ReminderFields
from todo_core.entities.user import UserId
from todo_core.errors import InvalidAccessToken, InvalidRefreshToken, SyncTokenExpired

PASSWORD = "a rather long sentence"


@pytest.fixture
def restored(container: Container) -> Iterator[Container]:
    """A service whose database is one that was restored."""
    yield container
    container.migration_database().close()


def a_user(container: Container) -> UserId:
    application = container.application()
    email = "ada@example.com"
    return application.register_user(name="Ada", email=email, password=PASSWORD).id


def recovered(container: Container, *, now: datetime | None = None) -> Recovery:
    return recover(container.migration_database(), now=now or datetime.now(UTC))


def open_resets(container: Container) -> int:
    with container.database().engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM password_resets").scalar_one())


def test_a_session_from_before_the_restore_is_revoked(restored: Container) -> None:
    a_user(restored)
    application = restored.application()
    login = application.log_in(
        email="ada@example.com", password=PASSWORD, user_agent="", address="192.0.2.1"
    )
    assert recovered(restored).sessions == 1
    restored.revoked_sessions().poll()
    with pytest.raises(InvalidAccessToken):
        application.authenticate(login.tokens.access_token.value)
    with pytest.raises(InvalidRefreshToken):
        application.refresh_session(refresh_token=login.tokens.refresh_token)


def test_a_sync_token_from_before_the_restore_has_expired(restored: Container) -> None:
    owner, application = a_user(restored), restored.application()
    application.create_task(owner_id=owner, title="Buy milk")
    # Written after the backup: the restored database does not have this revision.
    token = restored.cursors().issue("900 900", scope=f"changes {owner}")
    assert application.list_changes(owner_id=owner, since=token).changes == []
    recovered(restored)
    with pytest.raises(SyncTokenExpired):
        application.list_changes(owner_id=owner, since=token)
    again = application.list_changes(owner_id=owner)
    assert [change.task and change.task.title for change in again.changes] == ["Buy milk"]
    application.create_task(owner_id=owner, title="Buy oats")
    [change] = application.list_changes(owner_id=owner, since=again.next_token).changes
    assert change.revision == 1 + SKIPPED_REVISIONS + 1


def test_a_version_from_before_the_restore_matches_no_task(restored: Container) -> None:
    owner, application = a_user(restored), restored.application()
    kept, deleted = (application.create_task(owner_id=owner, title=title) for title in "ab")
    application.delete_task(owner_id=owner, task_id=deleted.id)
    recovered(restored)
    assert application.get_task(owner_id=owner, task_id=kept.id).version == 1 + SKIPPED_VERSIONS
    back = application.restore_task(owner_id=owner, task_id=deleted.id)
    assert back.version == deleted.version + 1 + SKIPPED_VERSIONS


def test_a_reminder_that_came_due_since_the_backup_is_not_sent_again(restored: Container) -> None:
    owner, application = a_user(restored), restored.application()
    soon = datetime.now(UTC) + timedelta(hours=1)
    task = application.create_task(
        owner_id=owner,
        title="Buy milk",
        reminders=[
            {"remind_at": soon.isoformat()},
            {"remind_at": (soon + timedelta(days=1)).isoformat()},
        ],
    )
    now = soon + timedelta(minutes=1)
    assert restored.reminders().due(now=now, limit=10) == {owner: [task.id]}
    assert recovered(restored, now=now).reminders == 1
    assert restored.reminders().due(now=now, limit=10) == {}
    assert restored.reminders().fired_after({owner: 0}) == []
    later = now + timedelta(days=1)
    assert restored.reminders().due(now=later, limit=10) == {owner: [task.id]}


def test_an_email_that_was_waiting_when_the_backup_was_made_is_not_sent(
    restored: Container,
) -> None:
    owner, application = a_user(restored), restored.application()
    soon = datetime.now(UTC) + timedelta(hours=1)
    reminders: list[ReminderFields] = [{"remind_at": soon.isoformat()}]
    task = application.create_task(owner_id=owner, title="Buy milk", reminders=reminders)
    now = soon + timedelta(seconds=1)
    assert restored.reminders().fire(owner, [task.id], now=now, with_emails=True) == 1
    recovered(restored, now=now)
    claimed = restored.reminders().claim_emails(
        now=now, until=now + timedelta(seconds=30), latest=now + timedelta(days=1), limit=10
    )
    assert claimed == []


def test_a_token_of_another_issuer_from_before_the_restore_is_revoked(restored: Container) -> None:
    now = datetime.now(UTC)
    identity = Identity.claimed(
        issuer="a", subject="ada", name=None, email=None, issued_at=now - timedelta(minutes=1)
    )
    restored.application().resolve_external_user(identity)
    recovered(restored, now=now)
    recovered(restored, now=now)  # a second time does no harm
    assert restored.revocations().external_revoked_at(identity.session_id) == now


def test_a_password_reset_from_before_the_restore_is_removed(restored: Container) -> None:
    a_user(restored)
    restored.application().forgot_password(email="ada@example.com")
    until(lambda: open_resets(restored) == 1)
    recovered(restored)
    assert open_resets(restored) == 0


def test_what_follows_a_restore_requires_the_newest_schema(restored: Container) -> None:
    restored.database().close()
    before = restored.schema().history()[-2]
    restored.migration_schema().downgrade(before.id)
    restored.migration_database().close()
    try:
        with pytest.raises(ValueError, match=r"Run `todo migrate` first"):
            recover_everything(restored)
    finally:
        restored.migration_schema().migrate()
