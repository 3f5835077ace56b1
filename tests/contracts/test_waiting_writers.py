"""On SQLite, a statement waits in short pauses while another connection writes."""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from sqlite3 import OperationalError
from threading import Thread

import pytest
from sqlalchemy import text

from tests.support.settings import embedded_settings, migrate
from todo_adapters.sql import sqlite
from todo_adapters.sql.database import Database, open_database
from todo_core.errors import Unavailable

WRITE = text("DELETE FROM tasks")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A migrated database with two connections."""
    settings = embedded_settings(tmp_path)
    migrate(settings)
    file = settings.data_dir / "todo.db"
    with closing(open_database(f"sqlite:///{file}", pool_size=2, pool_timeout=1)) as database:
        yield database


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The lengths of the pauses, in seconds, while statements wait."""
    pauses: list[float] = []
    sleep = time.sleep

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", pause)
    return pauses


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_writer_waits_for_another_one_in_short_pauses(
    database: Database, pauses: list[float], in_transaction: bool
) -> None:
    written = []

    def write() -> None:
        if in_transaction:
            with database.transaction() as transaction:
                written.append(transaction.write(WRITE, {}))
        else:
            written.append(database.write(WRITE, {}))

    with database.transaction():
        other = Thread(target=write)
        other.start()
        while other.is_alive() and len(pauses) < 20:
            other.join(0.001)
        assert not written
    other.join()
    assert written == [0]
    assert pauses[0] <= 0.0001
    assert max(pauses) <= 0.001


def test_a_reader_does_not_wait_for_a_writer(database: Database, pauses: list[float]) -> None:
    with database.transaction() as transaction:
        transaction.write(WRITE, {})
        assert database.values(text("SELECT count(*) FROM tasks"), {}) == [0]
    assert not pauses


def test_a_writer_gives_up_after_a_while(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_LONGEST_WAIT_SECONDS", 0.05)
    with database.transaction():
        began = time.monotonic()
        with pytest.raises(Unavailable):
            database.write(WRITE, {})
        assert time.monotonic() - began >= 0.05
    assert database.write(WRITE, {}) == 0


def test_another_error_is_raised_at_once(database: Database, pauses: list[float]) -> None:
    connection = database.engine.raw_connection()
    with (
        closing(connection),
        closing(connection.cursor()) as cursor,
        pytest.raises(OperationalError, match="no such table"),
    ):
        cursor.execute("DELETE FROM missing")
    assert not pauses
