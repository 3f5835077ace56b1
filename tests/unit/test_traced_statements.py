"""Statements with spans do what they do without, and their spans contain no values."""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import pytest
from opentelemetry.trace import StatusCode
from sqlalchemy import (
    Column,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    insert,
    make_url,
    select,
)
from sqlalchemy.engine.interfaces import DBAPICursor

from tests.support.spans import Recorder
from tests.support.statements import prebuilt_statements
from todo_adapters.sql.statements import DriverStatement, Statement
from todo_adapters.tracing.statements import TracedStatement

STATEMENTS = prebuilt_statements()
DIALECTS = {
    "postgresql": make_url("postgresql+psycopg://").get_dialect()(),
    "sqlite": make_url("sqlite://").get_dialect()(),
}
NOTES = Table("notes", MetaData(), Column("id", Integer, primary_key=True), Column("text", String))
ADD = insert(NOTES)
READ = select(NOTES.c.text).where(NOTES.c.text != bindparam("other")).order_by(NOTES.c.id)
CANARY = "canary sings"
CONTROL = {"BEGIN", "COMMIT", "ROLLBACK"}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def cursor() -> Iterator[DBAPICursor]:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)")
        yield cast(DBAPICursor, connection.cursor())
    connection.close()


def traced(recorder: Recorder, statement: Statement, *names: str) -> TracedStatement:
    return TracedStatement(recorder.tracer, statement, names, dialect=DIALECTS["sqlite"])


def names_of(statement: Statement) -> list[str]:
    """Return the names of all parameters that a statement may have."""
    return [*statement.table.c.keys()] if isinstance(statement, Insert) else []


@pytest.mark.parametrize(
    ("name", "dialect"),
    [
        (name, dialect)
        for name in STATEMENTS
        for dialect in DIALECTS
        if dialect == "postgresql" or not name.endswith("at_once")
    ],
)
def test_every_statement_has_a_name_that_says_what_it_does(name: str, dialect: str) -> None:
    recorder = Recorder()
    statement = STATEMENTS[name]
    made = TracedStatement(
        recorder.tracer, statement, names_of(statement), dialect=DIALECTS[dialect]
    )
    operation, _, table = made.name.partition(" ")
    assert operation in {"SELECT", "INSERT", "UPDATE", "DELETE"} | CONTROL
    assert operation in made.sql.upper()
    assert table in made.sql


def test_most_statements_name_their_table() -> None:
    recorder = Recorder()
    names = {
        TracedStatement(recorder.tracer, each, names_of(each), dialect=DIALECTS["postgresql"]).name
        for each in STATEMENTS.values()
    }
    assert names >= {"SELECT tasks", "INSERT tasks", "UPDATE task_owners", "DELETE sessions"}


def test_each_way_to_execute_has_one_span(recorder: Recorder, cursor: DBAPICursor) -> None:
    add, read = traced(recorder, ADD, "id", "text"), traced(recorder, READ, "other")
    with recorder.request():
        add.execute(cursor, {"id": 1, "text": CANARY})
        add.execute_many(cursor, [{"id": number, "text": CANARY} for number in range(2, 8)])
        assert len(read.fetch(cursor, {"other": CANARY + "x"})) == 7
        assert [len(rows) for rows in read.fetch_chunks(cursor, {"other": ""}, 3)] == [3, 3, 1]
    assert recorder.names() == ["INSERT notes", "INSERT notes", "SELECT notes", "SELECT notes"]
    assert recorder.tree().keys() == {"INSERT notes", "SELECT notes"}
    one, many, *_ = recorder.spans()
    assert "db.operation.batch.size" not in (one.attributes or {})
    assert (many.attributes or {})["db.operation.batch.size"] == 6
    for span in recorder.spans():
        assert (span.attributes or {})["db.system.name"] == "sqlite"
        assert CANARY not in span.to_json()


def test_rows_are_the_same_as_without_spans(recorder: Recorder, cursor: DBAPICursor) -> None:
    plain = DriverStatement(READ, ["other"], dialect=DIALECTS["sqlite"])
    cursor.executemany("INSERT INTO notes VALUES (?, ?)", [(n, f"text {n}") for n in range(10)])
    parameters = {"other": "text 3"}
    with recorder.request():
        read = traced(recorder, READ, "other")
        assert read.fetch(cursor, parameters) == plain.fetch(cursor, parameters)
        assert [*read.fetch_chunks(cursor, parameters, 4)] == [
            *plain.fetch_chunks(cursor, parameters, 4)
        ]
    assert len(plain.fetch(cursor, parameters)) == 9


def test_an_error_is_recorded_by_its_class_alone(recorder: Recorder, cursor: DBAPICursor) -> None:
    add = traced(recorder, ADD, "id", "text")
    with recorder.request():
        add.execute(cursor, {"id": 1, "text": CANARY})
        with pytest.raises(sqlite3.IntegrityError):
            add.execute(cursor, {"id": 1, "text": CANARY})
    span = recorder.spans()[-1]
    assert (span.attributes or {})["error.type"] == "sqlite3.IntegrityError"
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert CANARY not in span.to_json()


def test_a_span_ends_if_its_rows_are_not_read_to_the_end(
    recorder: Recorder, cursor: DBAPICursor
) -> None:
    cursor.executemany("INSERT INTO notes VALUES (?, ?)", [(n, "") for n in range(10)])
    with recorder.request():
        chunks = traced(recorder, READ, "other").fetch_chunks(cursor, {"other": "x"}, 3)
        assert len(next(iter(chunks))) == 3
        del chunks
    assert recorder.names() == ["SELECT notes"]


def test_without_a_sampled_request_there_are_no_spans(cursor: DBAPICursor) -> None:
    unsampled = Recorder(sampled=False)
    add, read = traced(unsampled, ADD, "id", "text"), traced(unsampled, READ, "other")
    outside: AbstractContextManager[None] = nullcontext()
    for number, within in enumerate([unsampled.request(), outside]):
        with within:
            add.execute(cursor, {"id": 10 * number, "text": "x"})
            add.execute_many(cursor, [{"id": 10 * number + 1, "text": "x"}])
            assert len(read.fetch(cursor, {"other": ""})) == 2 * number + 2
            assert len([*read.fetch_chunks(cursor, {"other": ""}, 100)]) == 1
    assert unsampled.spans() == []
