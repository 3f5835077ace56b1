"""SQLite's write-ahead log is copied to the database in the background."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from threading import enumerate as all_threads

import pytest

from tests.support.waiting import until
from todo_api.container import Container, close, start
from todo_core.entities.user import UserId

PASSWORD = "a rather long sentence"
TITLE = "a title like no other"
MOMENT_SECONDS = 1.0


@pytest.fixture
def running_service(sqlite_container: Container) -> Iterator[Container]:
    """An embedded service with its background jobs."""
    start(sqlite_container)
    yield sqlite_container
    close(sqlite_container)


def register(container: Container) -> UserId:
    return (
        container.application().register_user(name="A", email="a@b.example", password=PASSWORD).id
    )


def database_file(container: Container) -> Path:
    folder: Path = container.settings().data_dir
    return folder / "todo.db"


def log_file(container: Container) -> Path:
    return database_file(container).with_name("todo.db-wal")


def checkpoint_threads() -> set[Thread]:
    """Return those of this process, which may also be those of a service that other tests share."""
    return {thread for thread in all_threads() if thread.name == "checkpoint"}


def test_what_was_written_soon_reaches_the_database_file(running_service: Container) -> None:
    ada = register(running_service)
    running_service.application().create_task(owner_id=ada, title=TITLE)
    until(lambda: TITLE.encode() in database_file(running_service).read_bytes())


def test_a_copied_log_is_overwritten(running_service: Container) -> None:
    ada = register(running_service)
    running_service.application().create_task(owner_id=ada, title=TITLE)

    def is_overwritten() -> bool:
        running_service.database().checkpoint()  # does nothing while another one is running
        length = log_file(running_service).stat().st_size
        running_service.application().create_task(owner_id=ada, title="the next one")
        return log_file(running_service).stat().st_size == length

    until(is_overwritten)


def test_a_checkpoint_waits_for_nobody_and_delays_nobody(sqlite_container: Container) -> None:
    ada = register(sqlite_container)
    database = sqlite_container.database()
    with database.transaction() as writer:
        writer.connection.exec_driver_sql("DELETE FROM tasks")
        began = time.monotonic()
        database.checkpoint()
        assert time.monotonic() - began < MOMENT_SECONDS
    with database.engine.connect() as reader:
        reader.exec_driver_sql("BEGIN")
        assert reader.exec_driver_sql("SELECT count(*) FROM tasks").scalar_one() == 0
        sqlite_container.application().create_task(owner_id=ada, title=TITLE)
        began = time.monotonic()
        database.checkpoint()
        sqlite_container.application().create_task(owner_id=ada, title=TITLE)
        assert time.monotonic() - began < MOMENT_SECONDS
        assert reader.exec_driver_sql("SELECT count(*) FROM tasks").scalar_one() == 0


def test_writers_copy_a_log_that_the_background_does_not(sqlite_container: Container) -> None:
    with sqlite_container.database().engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    assert 1_000 < pages <= 10_000


def test_postgresql_which_does_it_by_itself_has_no_such_job(
    postgresql_container: Container,
) -> None:
    before = checkpoint_threads()
    start(postgresql_container)
    try:
        assert checkpoint_threads() == before
        postgresql_container.database().checkpoint()
    finally:
        close(postgresql_container)


def test_the_job_ends_with_the_service(sqlite_container: Container) -> None:
    before = checkpoint_threads()
    start(sqlite_container)
    assert len(checkpoint_threads() - before) == 1
    close(sqlite_container)
    assert checkpoint_threads() == before
