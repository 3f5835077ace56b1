"""The driver executes each prebuilt statement with the same effects as SQLAlchemy does."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    ColumnClause,
    Connection,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    TextClause,
    Uuid,
    text,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import Delete, Insert, Update
from sqlalchemy.types import NullType, TypeDecorator, TypeEngine
from sqlmodel import bindparam, select

from tests.support.statements import TASKS_OF_OWNER, prebuilt_statements
from todo_adapters.sql.database import Database
from todo_adapters.sql.revisions import OPEN_OWNER
from todo_adapters.sql.revocations import _ADD_EXTERNAL
from todo_adapters.sql.statements import DriverStatement, Parameters, Statement
from todo_adapters.sql.tables import TASKS, metadata
from todo_adapters.sql.users import _ADD as ADD_USER
from todo_api.container import Container
from todo_core.errors import Unavailable

STATEMENTS = prebuilt_statements()
ADD = TASKS.insert()
ADA, DELETED, UNKNOWN = UUID(int=1), UUID(int=2), UUID(int=3)
WORDS = "ada@example.com"
NOW = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=45)))
YESTERDAY, TOMORROW = NOW - timedelta(days=1), NOW + timedelta(days=1)
DAY = date(2026, 1, 1)
CONNECTIONS = 3

_DELETED_TASK_ID = 7
_PARENT_ID = 2**53 + 1
_NEW_PARAMETERS = {"new_id": 2**52, "new_key": "new", "most": 100}
_NEW_KEYS: Mapping[type[object], object] = {UUID: UUID(int=9), int: 2**62, str: "new"}


@dataclass(frozen=True)
class Effect:
    """What a statement did: its rows with their types, its row count, and all tables after it.

    A query has no row count.
    """

    rows: str
    count: int | None
    tables: Mapping[str, Sequence[str]]


type Execute = Callable[[Connection, Statement, Sequence[Parameters]], tuple[str, int | None]]


def by_the_driver(
    connection: Connection, statement: Statement, parameters: Sequence[Parameters]
) -> tuple[str, int | None]:
    compiled = DriverStatement(statement, parameters[0], dialect=connection.dialect)
    cursor = connection.connection.cursor()
    if len(parameters) == 1:
        compiled.execute(cursor, parameters[0])
    else:
        compiled.execute_many(cursor, parameters)
    if cursor.description is None:
        return "", cursor.rowcount
    return repr([tuple(row) for row in compiled.convert(cursor.fetchall())]), None


def by_sqlalchemy(
    connection: Connection, statement: Statement, parameters: Sequence[Parameters]
) -> tuple[str, int | None]:
    sets = [dict(each) for each in parameters]
    result = connection.execute(
        statement,
        sets[0] if len(sets) == 1 else sets,
        execution_options={"preserve_rowcount": True},
    )
    if not result.returns_rows:
        return "", result.rowcount
    return repr([tuple(row) for row in result]), None


class _Undo(Exception):
    """Rolls back a transaction."""


def effect(
    database: Database, execute: Execute, statement: Statement, *parameters: Parameters
) -> Effect:
    """Execute a statement, observe what it did, and undo it."""
    with suppress(_Undo), database.transaction() as transaction:
        connection = transaction.connection
        rows, count = execute(connection, statement, parameters)
        tables = {
            table.name: sorted(
                map(repr, connection.exec_driver_sql(f'SELECT * FROM "{table.name}"'))
            )
            for table in metadata.sorted_tables
        }
        observed = Effect(rows, count, tables)
        raise _Undo
    return observed


def value_of(type_: TypeEngine[Any], *, user_id: UUID, completed: bool) -> object:
    """Return a value of this type, with which rows of `filled` can be found."""
    kind = type_.impl if isinstance(type_, TypeDecorator) else type_
    values: Mapping[type[object], object] = {
        Uuid: user_id,
        DateTime: NOW,
        Date: DAY,
        Boolean: completed,
        JSON: {"1": None, "7": None},  # ids
        LargeBinary: b"\x00\xff",
        Integer: 1,  # an id, a version, a revision or a generation
        NullType: 1,  # a limit or an offset
    }
    return next((value for known, value in values.items() if isinstance(kind, known)), WORDS)


def parameters_of(statement: Statement, container: Container) -> list[Parameters]:
    """Return sets of parameters for a statement: such that it finds rows, and that it does not."""
    if isinstance(statement, Insert) and statement.select is None:
        return [new_row(statement, optional=optional) for optional in (True, False)]
    # An insert or an upsert needs an account that exists, and the upsert of an owner a new one.
    user_ids: Sequence[UUID] = (ADA, DELETED, UNKNOWN)
    if statement is OPEN_OWNER:
        user_ids = (DELETED,)
    elif isinstance(statement, TextClause | Insert):
        user_ids = (ADA,)
    dialect = container.database().engine.dialect
    compiled = statement.compile(dialect=dialect)
    bound = compiled.bind_names
    chosen: dict[str, object] = {**_NEW_PARAMETERS}
    if re.search(r"deleted_tasks(_\d)?\.id =", compiled.string):
        chosen["task_id"] = _DELETED_TASK_ID
    if "kept_from <" in compiled.string:
        chosen["kept_since"] = TOMORROW
    return [
        {
            name: chosen.get(name, value_of(parameter.type, user_id=user_id, completed=completed))
            for parameter, name in bound.items()
            if parameter.required
        }
        for user_id, completed in product(user_ids, (True, False))
    ]


def new_row(statement: Insert, *, optional: bool) -> dict[str, object]:
    """Return a row that can be added, with or without the values that it need not have."""

    def value(column: ColumnClause[Any]) -> object:
        if column.nullable and (not optional or column.name == "deleted_at"):
            return None
        if column.primary_key and not column.foreign_keys:
            return _NEW_KEYS[type(value_of(column.type, user_id=ADA, completed=True))]
        if column.name in {"email", "email_key", "token_hash"}:
            return "new@example.com"
        # The account that is marked as deleted has no password reset yet.
        user_id = DELETED if column.primary_key else ADA
        return value_of(column.type, user_id=user_id, completed=True)

    return {column.name: value(column) for column in statement.table.columns}


@pytest.fixture
def filled(container: Container) -> Container:
    """A service with some rows in each table, those of one user and of one who was deleted."""
    user = {"name": WORDS, "version": 1, "created_at": YESTERDAY, "updated_at": NOW}
    session = {
        "refresh_salt": WORDS,
        "generation": 1,
        "user_agent": WORDS,
        "address": WORDS,
        "device": WORDS,
        "created_at": YESTERDAY,
    }
    task = {"title": "Buy milk", "version": 1, "created_at": YESTERDAY, "updated_at": NOW}
    details = {
        "priority": 3,
        "due_at": TOMORROW,
        "due_on": DAY,
        "tags": '["Home"]',
        "tag_keys": '["home"]',
        "reminders": "[15]",
        "reminder_times": '["2026-01-01T11:45:00+00:00"]',
        "position": "a0",
        "recurrence_rule": "FREQ=DAILY",
        "repeat_from": "due",
        "repeat_clock": "02:30:00",
        "next_id": 2**53 - 1,
        "completed_at": NOW,
        "parent_id": _PARENT_ID,
    }
    no_details = dict.fromkeys(details)
    rows: Mapping[str, Sequence[Mapping[str, object]]] = {
        "users": [
            user
            | {"id": ADA, "email": WORDS, "email_key": WORDS, "password_hash": WORDS}
            | {"deleted_at": None},
            user
            | {"id": DELETED, "email": None, "email_key": None, "password_hash": None}
            | {"deleted_at": YESTERDAY, "version": 2},
        ],
        "sessions": [
            session | {"id": each, "user_id": ADA, "refreshed_at": at, "expires_at": at}
            for each, at in ((ADA, YESTERDAY), (UUID(int=4), TOMORROW), (UUID(int=5), NOW))
        ],
        "revoked_sessions": [
            {"id": ADA, "revoked_at": YESTERDAY},
            {"id": UUID(int=4), "revoked_at": TOMORROW},
        ],
        "external_revocations": [
            {"id": ADA, "revoked_at": YESTERDAY},
            {"id": UUID(int=5), "revoked_at": NOW},
        ],
        "identities": [
            {"issuer": WORDS, "subject": subject, "user_id": ADA, "issued_at": YESTERDAY}
            | {"name": name, "email": name}
            for subject, name in ((WORDS, WORDS), ("other", None))
        ],
        "password_resets": [
            {"user_id": ADA, "token_hash": WORDS, "created_at": YESTERDAY, "expires_at": YESTERDAY}
        ],
        "kept_responses": [
            {"user_id": ADA, "key": key, "fingerprint": WORDS, "response": b"\x00\xff"}
            | {"claimed_at": at}
            for key, at in ((WORDS, NOW), ("old", YESTERDAY))
        ],
        "stream_tickets": [
            {"token_hash": WORDS, "user_id": ADA, "session_id": ADA}
            | {"expires_at": YESTERDAY, "stream_ends_at": TOMORROW}
        ],
        "tasks": [
            task
            | no_details
            | {"id": 1, "owner_id": ADA, "description": None, "completed": True, "remind_at": NOW}
            | {"reminders": "[15]", "reminder_times": "[null]"},
            task
            | no_details
            | {"id": _PARENT_ID, "owner_id": ADA, "description": None}
            | {"completed": False, "remind_at": None},
            task
            | details
            | {"id": 2**53, "owner_id": ADA, "description": "Oats", "completed": False}
            | {"remind_at": YESTERDAY},
        ],
        "deleted_tasks": [
            task
            | {"id": id, "owner_id": ADA, "title": title, "description": None, "completed": True}
            | {"revision": id, "expires_at": YESTERDAY}
            | (no_details if title is None else details | {"parent_id": _DELETED_TASK_ID})
            for id, title in (
                (_DELETED_TASK_ID, "Buy milk"),
                (_DELETED_TASK_ID + 1, None),
                (_DELETED_TASK_ID + 2, "Buy oats"),
            )
        ],
        "fired_reminders": [
            {"owner_id": ADA, "task_id": 1, "remind_at": at, "revision": 2, "fired_at": at}
            | {"email_due_at": email, "attempts": 1}
            for at, email in ((NOW, YESTERDAY), (YESTERDAY, None), (TOMORROW, TOMORROW))
        ],
        "task_owners": [
            {"owner_id": ADA, "revision": 2, "total": 3, "completed": 1, "deleted": 3}
            | {"kept_size": 1, "kept_from": NOW}
        ],
    }
    with container.database().engine.connect() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.insert(), [dict(row) for row in rows[table.name]])
    return container


class TestEffects:
    def test_the_prebuilt_statements_of_all_modules_are_found(self) -> None:
        modules = {name.partition(".")[0] for name in STATEMENTS}
        assert modules == {
            *("identities", "kept_responses", "password_resets", "revisions", "revocations"),
            *("day_reminders", "reminders"),
            *("sessions", "stream_tickets", "tasks", "trash", "users"),
        }
        assert len(STATEMENTS) > 40

    @pytest.mark.parametrize("name", STATEMENTS)
    def test_a_statement_has_the_effects_that_it_has_when_sqlalchemy_executes_it(
        self, filled: Container, name: str
    ) -> None:
        database, statement = filled.database(), STATEMENTS[name]
        if name.endswith(("at_once", "ON_POSTGRESQL")) and database.engine.dialect.name == "sqlite":
            with pytest.raises(Unavailable):  # a syntax error: it is executed in two steps
                database.write(statement, parameters_of(statement, filled)[0])
            return
        effects = []
        for parameters in parameters_of(statement, filled):
            expected = effect(database, by_sqlalchemy, statement, parameters)
            assert effect(database, by_the_driver, statement, parameters) == expected
            effects.append(expected)
        assert any(each.count or each.rows not in {"", "[]"} for each in effects)

    @pytest.mark.parametrize(
        "name",
        [
            name
            for name, statement in STATEMENTS.items()
            if isinstance(statement, Update | Delete)
            and not statement._returning
            # These run once for each task, or for each request.
            and not name.endswith((".at_once", ".advance", "ON_POSTGRESQL"))
        ],
    )
    def test_a_statement_for_several_sets_of_parameters_has_the_effects_of_sqlalchemys(
        self, filled: Container, name: str
    ) -> None:
        database, statement = filled.database(), STATEMENTS[name]
        parameters = parameters_of(statement, filled)
        expected = effect(database, by_sqlalchemy, statement, *parameters)
        assert effect(database, by_the_driver, statement, *parameters).tables == expected.tables

    def test_several_rows_are_added_as_by_sqlalchemy(self, filled: Container) -> None:
        rows = [{"id": uuid4(), "revoked_at": time} for time in (YESTERDAY, NOW, TOMORROW)]
        expected = effect(filled.database(), by_sqlalchemy, _ADD_EXTERNAL, *rows)
        assert effect(filled.database(), by_the_driver, _ADD_EXTERNAL, *rows) == expected
        assert len(expected.tables["external_revocations"]) == 5

    def test_values_have_the_types_of_their_columns(self, filled: Container) -> None:
        [_, row, _] = filled.database().rows(TASKS_OF_OWNER, {"owner": ADA})
        assert [type(value) for value in row] == [
            *(int, str, str, int, datetime, date, str, str, str, str, int, str, str, str, int),
            *(bool, datetime, int, datetime, datetime),
        ]
        assert {value.tzinfo for value in row if isinstance(value, datetime)} == {UTC}
        [(user_id,)] = filled.database().rows(
            STATEMENTS["users._LIST_MARKED_DELETED"], {"limit": 9}
        )
        assert user_id == DELETED

    @pytest.mark.parametrize(
        "condition", [TASKS.c.id.in_([1, 2]), TASKS.c.id.in_(bindparam("ids", expanding=True))]
    )
    def test_a_statement_whose_sql_depends_on_its_values_is_refused(
        self, container: Container, condition: Any
    ) -> None:
        statement = select(TASKS.c.id).where(condition)
        with pytest.raises(TypeError, match="depends on the values"):
            container.database().rows(statement, {"ids": [1, 2]})

    def test_a_missing_parameter_is_an_error(self, container: Container) -> None:
        with pytest.raises(KeyError, match="owner"):
            container.database().rows(TASKS_OF_OWNER, {})


class TestErrors:
    def test_an_unforeseen_violation_is_sqlalchemys_error_without_the_values(
        self, filled: Container
    ) -> None:
        row = new_row(ADD, optional=True) | {"owner_id": UNKNOWN, "title": "a secret title"}
        with pytest.raises(IntegrityError) as caught:
            filled.database().write(ADD, row)
        assert caught.value.statement is not None
        assert caught.value.statement.startswith("INSERT INTO tasks")
        assert "a secret title" not in str(caught.value)
        assert not caught.value.connection_invalidated
        assert filled.database().engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # QueuePool

    def test_a_violation_does_not_replace_the_connection(
        self, postgresql_container: Container
    ) -> None:
        database = postgresql_container.database()
        before = backend(database)
        row = new_row(ADD, optional=True) | {"owner": UNKNOWN}
        with pytest.raises(IntegrityError):
            database.write(ADD, row)
        assert backend(database) == before

    def test_a_violation_in_a_transaction_undoes_all_of_it(self, container: Container) -> None:
        database = container.database()
        user = new_row(ADD_USER, optional=True)
        with pytest.raises(IntegrityError), database.atomically() as executor:
            executor.write(ADD_USER, user)
            executor.write(ADD_USER, user | {"id": uuid4()})
        assert database.rows(text("SELECT count(*) FROM users"), {}) == [(0,)]

    def test_one_statement_fails_when_all_connections_of_the_pool_are_lost(
        self, postgresql_container: Container
    ) -> None:
        database = postgresql_container.database()
        lost = backends(database)
        url = postgresql_container.settings().database_dsn.replace("+psycopg", "")
        with psycopg.connect(url, autocommit=True) as other:
            for pid in lost:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(Unavailable, match="database"):
            database.rows(TASKS_OF_OWNER, {"owner": ADA})
        found = backends(database)
        assert len(found) == CONNECTIONS
        assert found.isdisjoint(lost)

    def test_a_connection_that_the_driver_has_closed_is_unavailable_once(
        self, postgresql_container: Container
    ) -> None:
        database = postgresql_container.database()
        with database.engine.connect() as connection:
            closed = connection.connection.dbapi_connection
            assert closed is not None
            closed.close()
        with pytest.raises(Unavailable, match="database"):
            database.rows(TASKS_OF_OWNER, {"owner": ADA})
        assert database.rows(TASKS_OF_OWNER, {"owner": ADA}) == []


def backend(database: Database) -> int:
    [(pid,)] = database.rows(text("SELECT pg_backend_pid()"), {})
    assert isinstance(pid, int)
    return pid


def backends(database: Database) -> set[int]:
    """Return the server's processes behind several connections that are used at the same time."""
    with ExitStack() as stack:
        transactions = [stack.enter_context(database.transaction()) for _ in range(CONNECTIONS)]
        return {
            pid
            for transaction in transactions
            for (pid,) in transaction.rows(text("SELECT pg_backend_pid()"), {})
        }


class TestLog:
    def test_statements_are_logged_without_their_parameters(
        self, container: Container, caplog: pytest.LogCaptureFixture
    ) -> None:
        database = container.database()
        user = new_row(ADD_USER, optional=True)
        caplog.set_level(logging.INFO, "sqlalchemy.engine")
        database.write(ADD_USER, user)
        database.rows(TASKS_OF_OWNER, {"owner": user["id"]})
        rows: list[Parameters] = [{"id": uuid4(), "revoked_at": NOW} for _ in range(2)]
        database.write_many(_ADD_EXTERNAL, rows)
        messages = [record.getMessage() for record in caplog.records]
        beginnings = ["INSERT INTO users", "SELECT tasks.id", "INSERT INTO external_revocations"]
        assert [
            beginning
            for message in messages
            for beginning in beginnings
            if message.startswith(beginning)
        ] == beginnings
        for value in (str(user["id"]), WORDS, "new@example.com", "2026"):
            assert not any(value in message for message in messages)

    def test_statements_are_not_logged_otherwise(
        self, container: Container, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING, "sqlalchemy.engine")
        container.database().rows(TASKS_OF_OWNER, {"owner": ADA})
        assert caplog.records == []
