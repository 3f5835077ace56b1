"""Large accounts are deleted in batches, so that other writers do not wait for long."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from tests.support.replacing import replaced
from tests.support.statements import watched_statements
from tests.support.waiting import until
from todo_adapters.sql.database import Database
from todo_adapters.sql.tables import SESSIONS, TASKS
from todo_api.container import Container, clean_up_everything
from todo_core.entities.user import User, UserId
from todo_core.errors import InvalidAccessToken, InvalidCredentials
from todo_core.ports.background import Background
from todo_core.use_cases import cleanup
from todo_core.use_cases.cleanup import BATCH

PASSWORD = "a rather long sentence"
TASK_COUNT = 4 * BATCH + 1


class CrashedBackground(Background):
    """A background that runs no job, as if the process had been killed."""

    def run(self, job: Callable[[], None]) -> None:
        del job


class DirectBackground(Background):
    """A background that runs its jobs immediately, one after the other."""

    def __init__(self) -> None:
        self._jobs: list[Callable[[], None]] = []

    def run(self, job: Callable[[], None]) -> None:
        self._jobs.append(job)
        if len(self._jobs) == 1:
            while self._jobs:
                self._jobs[0]()
                self._jobs.pop(0)


def registered(container: Container, email: str = "ada@example.com") -> User:
    return container.application().register_user(name="Ada", email=email, password=PASSWORD)


def give_tasks(database: Database, owner: User, count: int = TASK_COUNT) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "id": number,
            "owner_id": owner.id,
            "title": "Buy milk",
            "description": None,
            "completed": False,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }
        for number in range(1, count + 1)
    ]
    with database.transaction() as transaction:
        transaction.connection.execute(TASKS.insert(), rows)


def count(database: Database, table: str) -> int:
    with database.engine.connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


@contextmanager
def rows_of_each_transaction(database: Database) -> Iterator[list[int]]:
    """Count the rows that each transaction changes on SQLite, with cascades."""
    changed: list[int] = []
    before: dict[int, int] = {}

    def begin(driver: Any, _: str) -> None:
        if not driver.in_transaction:
            before[id(driver)] = driver.total_changes

    def end(driver: Any, _: str) -> None:
        if not driver.in_transaction:
            changed.append(driver.total_changes - before[id(driver)])

    with watched_statements(database.engine, before=begin, after=end):
        yield changed


@pytest.mark.parametrize("background", [DirectBackground, CrashedBackground])
def test_every_transaction_of_a_deletion_changes_a_bounded_number_of_rows(
    sqlite_container: Container, background: type[Background]
) -> None:
    database = sqlite_container.database()
    ada, bob = registered(sqlite_container), registered(sqlite_container, "bob@example.com")
    give_tasks(database, ada)
    sqlite_container.application().log_in(email="ada@example.com", password=PASSWORD)
    kept = sqlite_container.application().create_task(owner_id=bob.id, title="Buy milk")
    with (
        replaced(sqlite_container, background=background()),
        rows_of_each_transaction(database) as changed,
    ):
        sqlite_container.application().delete_account(user_id=ada.id, current_password=PASSWORD)
        clean_up_everything(sqlite_container)
    assert sum(changed) > TASK_COUNT
    assert max(changed) <= BATCH + 10
    assert sqlite_container.application().list_tasks(owner_id=bob.id).tasks == [kept]
    assert (count(database, "users"), count(database, "tasks")) == (1, 1)


def test_a_deleted_account_is_not_found_while_its_tasks_are_deleted(container: Container) -> None:
    database = container.database()
    ada = registered(container)
    give_tasks(database, ada)
    token = container.application().log_in(email="ada@example.com", password=PASSWORD).tokens
    with replaced(container, background=CrashedBackground()):
        container.application().delete_account(user_id=ada.id, current_password=PASSWORD)
    with pytest.raises(InvalidAccessToken):
        container.application().authenticate(token.access_token.value)
    with pytest.raises(InvalidCredentials):
        container.application().log_in(email="ada@example.com", password=PASSWORD)
    again = registered(container, "ADA@example.com")
    assert container.application().list_tasks(owner_id=again.id).tasks == []
    # Another process may accept the token a moment longer.
    container.application().create_task(owner_id=ada.id, title="Too late")
    clean_up_everything(container)
    assert (count(database, "users"), count(database, "tasks")) == (1, 0)
    assert container.application().get_profile(user_id=again.id) == again


def test_the_clean_up_continues_until_nothing_is_left(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "BATCH", 2)
    ada = registered(container)
    long_ago = datetime.now(UTC) - timedelta(days=100)
    rows = [
        {
            "id": uuid4(),
            "user_id": ada.id,
            "refresh_salt": "00",
            "generation": 0,
            "created_at": long_ago,
            "refreshed_at": long_ago,
            "expires_at": long_ago,
        }
        for _ in range(9)
    ]
    with container.database().transaction() as transaction:
        transaction.connection.execute(SESSIONS.insert(), rows)
    container.housekeeping().start()
    until(lambda: count(container.database(), "sessions") == 0)
    container.housekeeping().close()


def test_deleted_content_is_overwritten_in_the_file_of_an_embedded_database(
    sqlite_container: Container,
) -> None:
    engine = sqlite_container.database().engine

    def disable_secure_delete(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA secure_delete = OFF")

    # As in a build of SQLite that does not overwrite deleted content by default.
    event.listen(engine, "connect", disable_secure_delete, insert=True)
    engine.dispose()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
    ada = registered(sqlite_container)
    secret = f"a secret {UserId(uuid4())}"
    task = sqlite_container.application().create_task(
        owner_id=ada.id, title=secret, description=secret * 9
    )
    assert secret.encode() in content_of(sqlite_container)
    sqlite_container.application().delete_task(owner_id=ada.id, task_id=task.id, permanently=True)
    assert secret.encode() not in content_of(sqlite_container)


def content_of(container: Container) -> bytes:
    """Return all bytes of the database file after a checkpoint."""
    with container.database().engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    folder: Path = container.settings().data_dir
    return b"".join(file.read_bytes() for file in sorted(folder.glob("todo.db*")))
