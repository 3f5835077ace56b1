"""SQLite's write-ahead log is copied to the database in the background."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from threading import Event, Thread
from threading import enumerate as all_threads

import pytest

from tests.support.waiting import until
from todo_api.container import Container, close, start
from todo_core.entities.user import UserId

PASSWORD = "a rather long sentence"
TITLE = "a title like no other"
MOMENT_SECONDS = 1.0
LONG_LOG_PAGES = 4_000


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
    assert LONG_LOG_PAGES < pages <= 20_000


@contextmanager
def written_all_the_time(container: Container) -> Iterator[None]:
    """Let two threads write to 5,000 pages, without a pause, until the end of the block."""
    done, numbers = Event(), cycle(range(1, 5001))
    with container.database().engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE pages (id INTEGER PRIMARY KEY, content BLOB)")
        connection.exec_driver_sql(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT 5000)"
            " INSERT INTO pages SELECT n, zeroblob(3000) FROM numbers"
        )

    def write() -> None:
        with container.database().engine.connect() as connection:
            while not done.is_set():
                connection.exec_driver_sql(
                    "UPDATE pages SET content = randomblob(3000) WHERE id = ?", (next(numbers),)
                )

    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write) for _ in range(2)]
        try:
            yield
        finally:
            done.set()
        for each in writing:
            each.result()


def log_pages(container: Container) -> int:
    """Return how many pages of the log are in use (https://sqlite.org/walformat.html, §2.1)."""
    index = database_file(container).with_name("todo.db-shm").read_bytes()
    return int.from_bytes(index[16:20], sys.byteorder)


def test_a_long_log_is_overwritten_even_if_others_write_all_the_time(
    sqlite_container: Container,
) -> None:
    with written_all_the_time(sqlite_container):
        until(lambda: log_pages(sqlite_container) > LONG_LOG_PAGES)
        for _ in range(3):
            sqlite_container.database().checkpoint()
        until(lambda: log_pages(sqlite_container) < LONG_LOG_PAGES, seconds=1)


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
