"""The migrations can be applied and reverted, keep all data, and create the declared tables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Inspector,
    MetaData,
    Table,
    Uuid,
    column,
    inspect,
    table,
    text,
)
from sqlalchemy.exc import IntegrityError
from typer.testing import CliRunner

from tests.support.command import todo_at_once
from tests.support.migrations import MIGRATIONS, alembic
from tests.support.settings import SECRET, embedded_settings, postgres_settings
from todo_adapters.sql.database import Database
from todo_adapters.sql.folding import folded_unless_ascii
from todo_adapters.sql.schema import NEWEST_REVISION
from todo_adapters.sql.tables import UtcDateTime, declare_for_postgresql, metadata
from todo_api.cli import main
from todo_api.container import Container
from todo_core.entities.identity import Identity
from todo_core.entities.task import TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.text import SearchText, fold
from todo_core.entities.user import EmailAddress, PersonName, User, UserId
from todo_core.errors import AccountGone

REVISIONS = [
    revision.revision
    for revision in ScriptDirectory(str(MIGRATIONS)).walk_revisions("base", "heads")
]


@pytest.fixture(params=["sqlite", "postgresql"])
def unmigrated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Container]:
    """A service on a database without any table, of each kind in turn."""
    if request.param == "sqlite":
        container = Container(settings=embedded_settings(tmp_path))
    else:
        container = Container(settings=postgres_settings(request.getfixturevalue("empty_postgres")))
    yield container
    container.database().close()


def described(connection: Connection) -> object:
    """Return all tables with their columns, keys and constraints."""
    inspector: Inspector = inspect(connection)
    return {
        table: (
            [
                (column["name"], str(column["type"]), column["nullable"])
                for column in inspector.get_columns(table)
            ],
            inspector.get_pk_constraint(table),
            sorted(inspector.get_foreign_keys(table), key=str),
            sorted(check["name"] or "" for check in inspector.get_check_constraints(table)),
        )
        for table in sorted(inspector.get_table_names())
    }


def test_revisions_are_consecutive_numbers_so_that_a_process_knows_a_newer_one() -> None:
    assert list(reversed(REVISIONS)) == [f"{n:04}" for n in range(1, len(REVISIONS) + 1)]


def test_every_migration_can_be_applied_reverted_and_applied_again(unmigrated: Container) -> None:
    database = unmigrated.database()
    for revision in reversed(REVISIONS):
        alembic(database, "upgrade", revision)
        with database.engine.connect() as connection:
            after_first = described(connection)
        alembic(database, "downgrade", "-1")
        alembic(database, "upgrade", revision)
        with database.engine.connect() as connection:
            assert described(connection) == after_first
    alembic(database, "downgrade", "base")
    with database.engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_data_survives_every_migration_since_the_first_release(
    unmigrated: Container,
) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", "0002")
    user_id, session_id = uuid4(), uuid4()
    as_stored = user_id.hex if database.engine.dialect.name == "sqlite" else str(user_id)
    now = "2026-02-03 04:05:06.000000+00:00"
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.exec_driver_sql(
            "INSERT INTO users (id, name, email, password_hash, version, created_at, updated_at)"
            f" VALUES ('{as_stored}', 'Ada', 'ada@example.com', 'a hash', 1, '{now}', '{now}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO sessions (id, user_id, refresh_salt, generation, created_at,"
            f" refreshed_at, expires_at) VALUES ('{session_id.hex}', '{as_stored}', 'ab', 0,"
            f" '{now}', '{now}', '{now}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO tasks (id, user_id, title, version, created_at, updated_at)"
            f" VALUES (1, '{as_stored}', 'Buy milk', 1, '{now}', '{now}')"
        )

    def require_all_rows() -> None:
        with database.engine.connect() as connection:
            for table in ("users", "sessions", "tasks"):
                count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
                assert count == 1, table

    alembic(database, "upgrade", "head")
    require_all_rows()
    [task] = unmigrated.application().list_tasks(owner_id=UserId(user_id)).tasks
    assert (task.title, task.completed) == ("Buy milk", False)
    assert unmigrated.application().get_profile(user_id=UserId(user_id)).email == "ada@example.com"
    with pytest.raises(AccountGone):
        unmigrated.application().create_task(owner_id=UserId(uuid4()), title="Nobody's")
    alembic(database, "downgrade", "0002")
    require_all_rows()
    alembic(database, "upgrade", "head")
    require_all_rows()


def test_a_session_from_before_the_migration_is_named_by_its_user_agent(
    unmigrated: Container,
) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", "0003")
    user_id = uuid4()
    as_stored = user_id.hex if database.engine.dialect.name == "sqlite" else str(user_id)
    now = "2026-02-03 04:05:06.000000+00:00"
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.exec_driver_sql(
            "INSERT INTO users (id, name, email, version, created_at, updated_at)"
            f" VALUES ('{as_stored}', 'Ada', 'ada@example.com', 1, '{now}', '{now}')"
        )
        for user_agent in ("Mozilla/5.0 " + "é" * 50, ""):
            connection.exec_driver_sql(
                "INSERT INTO sessions (id, user_id, refresh_salt, generation, user_agent, address,"
                f" created_at, refreshed_at, expires_at) VALUES ('{uuid4().hex}', '{as_stored}',"
                f" 'ab', 0, '{user_agent}', '', '{now}', '{now}', '{now}')"
            )
    alembic(database, "upgrade", "head")
    devices = {session.device for session in unmigrated.sessions().list(UserId(user_id))}
    assert devices == {"Mozilla/5.0 " + "é" * 28, "Unknown device"}


def test_data_survives_migrations_by_the_alembic_command(tmp_path: Path) -> None:
    container = Container(settings=embedded_settings(tmp_path))
    alembic(container.database(), "upgrade", "0002")
    now = "2026-02-03 04:05:06.000000+00:00"
    with container.database().transaction() as transaction:
        transaction.connection.exec_driver_sql(
            "INSERT INTO users (id, name, email, version, created_at, updated_at)"
            f" VALUES ('{UserId(uuid4()).hex}', 'Ada', 'ada@example.com', 1, '{now}', '{now}')"
        )
        transaction.connection.exec_driver_sql(
            "INSERT INTO tasks (id, user_id, title, version, created_at, updated_at)"
            f" SELECT 1, id, 'Buy milk', 1, '{now}', '{now}' FROM users"
        )
    container.database().close()
    for action, revision in (("upgrade", "head"), ("downgrade", "-1"), ("upgrade", "head")):
        subprocess.run(
            [Path(sys.executable).with_name("alembic"), action, revision],
            cwd=MIGRATIONS.parent,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(MIGRATIONS.parent),
                "TODO_DATA_DIR": str(container.settings().data_dir),
            },
            check=True,
            capture_output=True,
        )
        with container.database().engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT title FROM tasks").scalar() == "Buy milk"
    container.database().close()


def test_users_without_an_email_keep_their_tasks_in_a_downgrade(unmigrated: Container) -> None:
    unmigrated.schema().migrate()
    database = unmigrated.database()
    identity = Identity.claimed(
        issuer="a", subject="ada", name=None, email=None, issued_at=datetime.now(UTC)
    )
    user_id = unmigrated.application().resolve_external_user(identity).user_id
    unmigrated.application().create_task(owner_id=user_id, title="Buy milk")
    alembic(database, "downgrade", "0002")
    alembic(database, "upgrade", "head")
    application = unmigrated.application()
    assert len(application.list_tasks(owner_id=user_id).tasks) == 1
    assert str(application.get_profile(user_id=user_id).email).endswith("@missing.invalid")


def test_a_migration_that_violates_a_foreign_key_is_rolled_back(
    sqlite_container: Container,
) -> None:
    database = sqlite_container.database()
    user = User.register(
        id=UserId(uuid4()),
        name=PersonName("Ada"),
        email=None,
        password_hash=None,
        now=datetime.now(UTC),
    )
    sqlite_container.users().add(user)
    sqlite_container.application().create_task(owner_id=user.id, title="Buy milk")
    with (
        pytest.raises(ValueError, match="rows that do not exist"),
        database.schema_change() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM users")
    assert len(sqlite_container.application().list_tasks(owner_id=user.id).tasks) == 1
    with pytest.raises(AccountGone):
        sqlite_container.application().create_task(owner_id=UserId(uuid4()), title="Nobody's")


def test_an_index_of_some_rows_has_the_same_condition_on_both_databases() -> None:
    declare_for_postgresql()
    conditions = [
        [str(index.dialect_options[name]["where"]) for name in ("sqlite", "postgresql")]
        for table in metadata.sorted_tables
        for index in table.indexes
    ]
    assert all(one == other for one, other in conditions)
    assert ["tasks.remind_at IS NOT NULL"] * 2 in conditions


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_the_migrations_create_the_declared_tables(container: Container) -> None:
    with container.database().engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            declared = {
                str(constraint.name)
                for constraint in table.constraints
                if isinstance(constraint, CheckConstraint)
                # The constraint of a boolean is needed only by databases without that type.
                and (not constraint._type_bound or connection.dialect.name == "sqlite")
            }
            made = {check["name"] for check in inspector.get_check_constraints(table.name)}
            assert made == declared


def test_the_email_key_has_a_unique_index_with_the_expected_name(container: Container) -> None:
    sources = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE name = 'uq_users_email_key'",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = 'uq_users_email_key'",
    }
    with container.database().engine.connect() as connection:
        definition = connection.execute(text(sources[connection.dialect.name])).scalar_one()
    assert "UNIQUE" in definition
    assert "email_key" in definition
    assert "lower(" not in definition


USERS_AT_0003 = table(
    "users",
    column("id", Uuid()),
    *map(column, ("name", "email", "password_hash", "version")),
    *(column(name, UtcDateTime()) for name in ("created_at", "updated_at")),
)


def insert_at_0003(database: Database, *emails: str | None) -> list[UserId]:
    """Store accounts as the service did before it stored the keys of emails."""
    now = datetime.now(UTC)
    ids = [UserId(uuid4()) for _ in emails]
    rows = [
        {
            "id": id,
            "name": "Ada",
            "email": email,
            "password_hash": None,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }
        for id, email in zip(ids, emails, strict=True)
    ]
    with database.transaction() as transaction:
        transaction.connection.execute(USERS_AT_0003.insert(), rows)
    return ids


def test_the_migration_computes_the_email_keys_of_existing_accounts(unmigrated: Container) -> None:
    database, users = unmigrated.database(), unmigrated.users()
    alembic(database, "upgrade", "0003")
    emails = [f"User{number}@Example.com" for number in range(2_100)]  # more than two batches
    *ids, without = insert_at_0003(database, *emails, None)
    unmigrated.schema().migrate()
    with database.engine.connect() as connection:
        keys = connection.exec_driver_sql("SELECT email_key FROM users").scalars().all()
    assert sorted(filter(None, keys)) == sorted(email.lower() for email in emails)
    for number in (0, 1_000, 2_099):
        found = users.get_by_email(EmailAddress(f"uSER{number}@eXAMPLE.com"))
        assert (found.id, found.email) == (ids[number], emails[number])
    assert users.get(without).email is None
    alembic(database, "downgrade", "0003")
    with database.engine.connect() as connection:
        kept = connection.exec_driver_sql("SELECT email FROM users").scalars().all()
    assert sorted(filter(None, kept)) == sorted(emails)
    alembic(database, "upgrade", "head")
    assert users.get_by_email(EmailAddress(emails[0])).id == ids[0]


def test_a_downgrade_does_not_restore_accounts_that_are_being_deleted(
    unmigrated: Container,
) -> None:
    unmigrated.schema().migrate()
    database = unmigrated.database()
    ada, bob = (
        unmigrated.application().register_user(
            name="Ada", email=email, password="a rather long sentence"
        )
        for email in ("ada@example.com", "bob@example.com")
    )
    for owner in (ada, bob):
        unmigrated.application().create_task(owner_id=owner.id, title="Buy milk")
    unmigrated.users().mark_deleted(ada, now=datetime.now(UTC))
    alembic(database, "downgrade", "0003")
    alembic(database, "upgrade", "head")
    assert unmigrated.users().list_marked_deleted(limit=1) == []
    assert unmigrated.users().get(bob.id) == bob
    for owner, count in ((ada, 0), (bob, 1)):
        assert len(unmigrated.application().list_tasks(owner_id=owner.id).tasks) == count


TASKS_AT_0007 = table(
    "tasks",
    column("owner_id", Uuid()),
    *map(column, ("id", "title", "description", "version", "completed", "revision")),
    *(column(name, UtcDateTime()) for name in ("created_at", "updated_at")),
)
OWNERS_AT_0007 = table(
    "task_owners",
    column("owner_id", Uuid()),
    *map(column, ("revision", "total", "completed")),
)


def test_the_migration_folds_the_text_of_existing_tasks(unmigrated: Container) -> None:
    database, now = unmigrated.database(), datetime.now(UTC)
    alembic(database, "upgrade", "0007")
    texts = [("Straße", None), ("STREET", "Σίσυφος"), ("Street", "Plain"), ("ﬁsh", "İ\nK\u212a")]
    rows = []
    with database.transaction() as transaction:
        for owner_id in (uuid4(), uuid4()):
            transaction.connection.execute(
                USERS_AT_0003.insert(),
                {"id": owner_id, "name": "Ada", "version": 1, "created_at": now, "updated_at": now},
            )
            rows += [
                {
                    "owner_id": owner_id,
                    "id": number + 1,
                    "title": f"{texts[number % 4][0]} {number}",
                    "description": texts[number % 4][1],
                    "version": 1,
                    "completed": False,
                    "created_at": now,
                    "updated_at": now,
                    "revision": 0,
                }
                for number in range(1_200)  # more than one batch
            ]
        transaction.connection.execute(TASKS_AT_0007.insert(), rows)
    for _ in range(2):
        unmigrated.schema().migrate()
        with database.engine.connect() as connection:
            for title, folded_title, description, folded_description in connection.exec_driver_sql(
                "SELECT title, folded_title, description, folded_description FROM tasks"
            ):
                assert folded_title == folded_unless_ascii(title)
                assert folded_description == folded_unless_ascii(description)
        for found in ("STRASSE", "street 1", "σισυφοσ", "fish"):
            query = TaskQuery(search=SearchText(found))
            chosen = [
                row
                for row in rows
                if fold(found) in fold(f"{row['title']}") + "\0" + fold(f"{row['description']}")
                and row["owner_id"] == owner_id
            ]
            assert unmigrated.tasks().count(UserId(owner_id), query) == len(chosen)
        alembic(database, "downgrade", "0007")
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM tasks").scalar() == 2_400


def store_at_0007(
    database: Database, owners: int, tasks_each: int, *, changed: int = 0
) -> list[UserId]:
    """Store tasks as before 0008: without a revision, but for the last `changed` ones of each.

    Those with larger ids were changed earlier, mostly two at the same time.
    """
    now = datetime(2026, 2, 3, tzinfo=UTC)
    ids = sorted(UserId(uuid4()) for _ in range(owners))
    user = {"name": "Ada", "version": 1, "created_at": now, "updated_at": now}
    task = {"title": "Buy milk", "description": None, "version": 1, "completed": False}
    rows = [
        {
            **task,
            "owner_id": owner,
            "id": number,
            "completed": number % 3 == 0,
            "created_at": now,
            "updated_at": now + timedelta(minutes=(tasks_each - number + 1) // 2),
            "revision": max(0, changed - tasks_each + number),
        }
        for owner in ids
        for number in range(1, tasks_each + 1)
    ]
    with database.transaction() as transaction:
        transaction.connection.execute(USERS_AT_0003.insert(), [user | {"id": id} for id in ids])
        transaction.connection.execute(TASKS_AT_0007.insert(), rows)
        if changed:
            owner_rows = [
                {"owner_id": id, "revision": changed, "total": tasks_each}
                | {"completed": tasks_each // 3}
                for id in ids
            ]
            transaction.connection.execute(OWNERS_AT_0007.insert(), owner_rows)
    return ids


def listed(container: Container, owner: UserId) -> list[tuple[int, int]]:
    """Return the ids and revisions of all changes, read in pages."""
    found: list[tuple[int, int]] = []
    after = None
    while page := container.tasks().changes(owner, after=after, limit=2).changes:
        found += [(each.id, each.revision) for each in page]
        after = page[-1].revision
    return found


def test_tasks_that_were_not_changed_since_0007_precede_all_changes(unmigrated: Container) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", "0007")
    old = store_at_0007(database, owners=2, tasks_each=5)
    mixed = store_at_0007(database, owners=2, tasks_each=5, changed=2)
    unmigrated.schema().migrate()
    for owner in old:
        assert listed(unmigrated, owner) == [(5, -5), (3, -4), (4, -3), (1, -2), (2, -1)]
        assert unmigrated.tasks().changes(owner, after=None, limit=1).revision == 0
    for owner in mixed:
        assert listed(unmigrated, owner) == [(3, -3), (1, -2), (2, -1), (4, 1), (5, 2)]
        assert unmigrated.tasks().changes(owner, after=None, limit=1).revision == 2
    application = unmigrated.application()
    for owner, revision in ((old[0], 1), (mixed[0], 3)):
        page = application.list_changes(owner_id=owner)
        assert [each.id for each in page.changes] == [id for id, _ in listed(unmigrated, owner)]
        application.update_task(owner_id=owner, task_id=TaskId(1), title="Buy oats")
        [change] = application.list_changes(owner_id=owner, since=page.next_token).changes
        assert (change.id, change.revision) == (1, revision)
    for owner in (old[1], mixed[1]):
        page = application.list_changes(owner_id=owner)
        application.delete_task(owner_id=owner, task_id=TaskId(3))
        [change] = application.list_changes(owner_id=owner, since=page.next_token).changes
        assert (change.id, change.task) == (3, None)
        assert application.count_tasks(owner_id=owner).total == 4


def test_revisions_survive_a_downgrade_and_negative_ones_are_given_again(
    unmigrated: Container,
) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", "0007")
    [owner] = store_at_0007(database, owners=1, tasks_each=5, changed=2)
    unmigrated.schema().migrate()
    before = listed(unmigrated, owner)
    for id in (4, 5):
        unmigrated.application().delete_task(owner_id=owner, task_id=TaskId(id))
    alembic(database, "downgrade", "0007")
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id, revision FROM tasks ORDER BY id").all()
        assert "deleted_tasks" not in inspect(connection).get_table_names()
    assert list(map(tuple, rows)) == [(1, 0), (2, 0), (3, 0)]
    unmigrated.schema().migrate()
    assert listed(unmigrated, owner) == before[:3]
    assert (
        unmigrated.application().list_tasks(owner_id=owner, query=TaskQuery(deleted=True)).tasks
        == []
    )
    created = unmigrated.application().create_task(owner_id=owner, title="Buy oats")
    assert listed(unmigrated, owner) == [*before[:3], (created.id, 5)]


def test_the_tasks_of_very_many_owners_are_numbered(unmigrated: Container) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", "0007")
    store_at_0007(database, owners=1_101, tasks_each=2)  # more than two batches
    unmigrated.schema().migrate()
    with database.engine.connect() as connection:
        counted = connection.exec_driver_sql(
            "SELECT revision, id, count(*) FROM tasks GROUP BY revision, id ORDER BY revision"
        ).all()
    assert list(map(tuple, counted)) == [(-2, 2, 1_101), (-1, 1, 1_101)]


@pytest.mark.parametrize("revision", ["0002", "0006", "0007"])
def test_the_command_migrates_an_old_database_and_keeps_everything(
    unmigrated: Container, tmp_path: Path, revision: str
) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", revision)
    now = "2026-02-03 04:05:06.000000+00:00"
    user_id = uuid4()
    as_stored = user_id.hex if database.engine.dialect.name == "sqlite" else str(user_id)
    owner_column = "owner_id" if revision == "0007" else "user_id"
    email = "'ada@example.com'" if revision == "0002" else "NULL"
    with database.transaction() as transaction:
        connection = transaction.connection
        connection.exec_driver_sql(
            "INSERT INTO users (id, name, email, version, created_at, updated_at)"
            f" VALUES ('{as_stored}', 'Ada', {email}, 1, '{now}', '{now}')"
        )
        for number in (1, 2, 3):
            updated = now.replace("04:05", f"05:0{3 - number}")
            connection.exec_driver_sql(
                f"INSERT INTO tasks (id, {owner_column}, title, description, completed, version,"
                f" created_at, updated_at) VALUES ({number}, '{as_stored}', 'Straße {number}',"
                f" 'No. {number}', {'true' if number == 2 else 'false'}, {number}, '{now}',"
                f" '{updated}')"
            )
    settings = unmigrated.settings()
    [outcome] = todo_at_once(
        1,
        tmp_path,
        "migrate",
        DATABASE_URL=settings.database_dsn,
        TODO_JWT_SECRET=SECRET,
        TODO_DATA_DIR=str(settings.data_dir),
    )
    assert outcome.returncode == 0, outcome.stderr
    owner, application = UserId(user_id), unmigrated.application()
    assert application.get_profile(user_id=owner).name == "Ada"
    changes = application.list_changes(owner_id=owner).changes
    assert [
        (each.id, each.revision, each.task and (each.task.title, each.task.description))
        for each in changes
    ] == [(n, -n, (f"Straße {n}", f"No. {n}")) for n in (3, 2, 1)]
    tasks = application.list_tasks(owner_id=owner).tasks
    assert [(task.id, task.completed, task.version) for task in tasks] == [
        *((3, False, 3), (2, True, 2), (1, False, 1))
    ]
    search = TaskQuery(search=SearchText("STRASSE 2"))
    assert [task.id for task in application.list_tasks(owner_id=owner, query=search).tasks] == [2]
    application.delete_task(owner_id=owner, task_id=TaskId(2))
    assert application.restore_task(owner_id=owner, task_id=TaskId(2)).version == 3
    counts = application.count_tasks(owner_id=owner)
    assert (counts.revision, counts.total, counts.completed) == (2, 3, 1)


def stored(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Return all rows of the tables of tasks."""
    return {
        name: [
            dict(row)
            for row in connection.execute(
                text(f"SELECT * FROM {name} ORDER BY owner_id, id")
            ).mappings()
        ]
        for name in ("tasks", "deleted_tasks")
    }


def without_parents(
    tables: dict[str, list[dict[str, Any]]],
) -> dict[str, list[dict[str, Any]]]:
    """Return these rows without the column that 0014 adds."""
    return {
        name: [{key: row[key] for key in row if key != "parent_id"} for row in rows]
        for name, rows in tables.items()
    }


def indexes(connection: Connection) -> dict[str, object]:
    """Return the definitions of the indexes of the tables of tasks, by their names."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    return {name: sql for name, sql in connection.execute(text(query)) if "tasks" in name}


def test_tasks_and_indexes_survive_the_migration_to_subtasks_and_back(
    unmigrated: Container,
) -> None:
    database = unmigrated.database()
    alembic(database, "upgrade", "0013")
    owners = store_at_0007(database, owners=2, tasks_each=50)
    with database.transaction() as transaction:
        connection = transaction.connection
        details: dict[str, Any] = {
            "folded_title": "straße",
            "folded_description": "ä",
            "description": "Ä",
            "priority": 3,
            "due_at": datetime(2026, 3, 4, 5, tzinfo=UTC),
            "due_on": date(2026, 3, 4),
            "tags": '["Home"]',
            "tag_keys": '["home"]',
            "position": "a1",
            "recurrence_rule": "FREQ=DAILY",
            "repeat_from": "due",
            "repeat_clock": "05:00:00",
            "next_id": 7,
            "completed": True,
            "completed_at": datetime(2026, 3, 4, 6, tzinfo=UTC),
        }
        times: list[Column[Any]] = [
            Column(name, UtcDateTime()) for name in ("due_at", "completed_at")
        ]
        tasks = Table("tasks", MetaData(), *times, autoload_with=connection)
        connection.execute(tasks.update().where(tasks.c.id > 3).values(details))
        copied = ", ".join(column.name for column in tasks.columns)
        connection.execute(
            text(
                f"INSERT INTO deleted_tasks ({copied}, expires_at)"
                f" SELECT {copied}, created_at FROM tasks WHERE id < 10"
            )
        )
        before, before_indexes = stored(connection), indexes(connection)
    assert all(None not in row.values() for row in before["tasks"] if row["id"] > 3)
    assert len(before_indexes) >= 5

    def require_same(connection: Connection) -> None:
        assert without_parents(stored(connection)) == before
        assert before_indexes.items() <= indexes(connection).items()

    alembic(database, "upgrade", "0014")
    with database.transaction() as transaction:
        require_same(transaction.connection)
        assert {row["parent_id"] for row in stored(transaction.connection)["tasks"]} == {None}
        added = indexes(transaction.connection).keys() - before_indexes.keys()
        assert added == {
            "ix_tasks_owner_id_parent_id_completed",
            "ix_deleted_tasks_owner_id_parent_id_expires_at",
        }
    # A family whose parent is stored after a subtask, and one before it.
    with database.transaction() as transaction:
        owner_ids = Column("owner_id", Uuid(), primary_key=True)
        tasks = Table("tasks", MetaData(), owner_ids, autoload_with=transaction.connection)
        of_first = tasks.c.owner_id == owners[0]
        for subtask_id, parent_id in ((1, 2), (3, 2), (5, 4)):
            this_one = tasks.update().where(of_first, tasks.c.id == subtask_id)
            transaction.connection.execute(this_one.values(parent_id=parent_id))
    for change in (
        tasks.delete().where(of_first, tasks.c.id == 2),
        tasks.update().where(of_first, tasks.c.id == 7).values(parent_id=99),
    ):
        with pytest.raises(IntegrityError), database.transaction() as transaction:
            transaction.connection.execute(change)
    with database.transaction() as transaction:
        before = stored(transaction.connection)
    assert [row["parent_id"] for row in before["tasks"]].count(None) == 97
    before = without_parents(before)
    alembic(database, "downgrade", "0013")
    with database.transaction() as transaction:
        require_same(transaction.connection)
        assert indexes(transaction.connection) == before_indexes
        assert "parent_id" not in stored(transaction.connection)["tasks"][0]
    alembic(database, "upgrade", "0014")
    with database.transaction() as transaction:
        require_same(transaction.connection)


@pytest.fixture
def turkish(turkish_postgres: str) -> Iterator[Container]:
    """A service on a database without any table, in a Turkish locale."""
    container = Container(settings=postgres_settings(turkish_postgres))
    yield container
    container.database().close()


def test_an_account_that_could_not_log_in_because_of_the_locale_is_found_after_the_migration(
    turkish: Container,
) -> None:
    alembic(turkish.database(), "upgrade", "0003")
    [info] = insert_at_0003(turkish.database(), "INFO@EXAMPLE.COM")
    turkish.schema().migrate()
    assert turkish.users().get_by_email(EmailAddress("info@example.com")).id == info
    alembic(turkish.database(), "downgrade", "0003")
    turkish.schema().migrate()
    assert turkish.users().get_by_email(EmailAddress("INFO@EXAMPLE.COM")).id == info


def test_accounts_with_equal_email_keys_stop_the_migration_and_are_kept(
    turkish: Container,
) -> None:
    database = turkish.database()
    alembic(database, "upgrade", "0003")
    first, second, other = insert_at_0003(
        database, "INFO@example.com", "info@example.com", "ada@example.com"
    )
    with pytest.raises(ValueError, match="same email") as refused:
        turkish.schema().migrate()
    assert str(first) in str(refused.value)
    assert str(second) in str(refused.value)
    assert str(other) not in str(refused.value)
    assert turkish.schema().current() == "0003"
    with database.transaction() as transaction:
        connection = transaction.connection
        assert connection.exec_driver_sql("SELECT count(*) FROM users").scalar_one() == 3
        connection.execute(
            USERS_AT_0003.update().where(USERS_AT_0003.c.id == first).values(email="a@example.com")
        )
    turkish.schema().migrate()
    assert turkish.users().get_by_email(EmailAddress("info@example.com")).id == second
    assert turkish.users().get_by_email(EmailAddress("a@example.com")).id == first


def test_the_command_names_accounts_that_stop_a_migration_in_one_message(
    turkish: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    alembic(turkish.database(), "upgrade", "0003")
    ids = insert_at_0003(turkish.database(), "INFO@example.com", "info@example.com")
    monkeypatch.setenv("DATABASE_URL", turkish.settings().database_dsn)
    monkeypatch.setenv("TODO_JWT_SECRET", SECRET)
    done = CliRunner().invoke(main, ["migrate"])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert all(str(id) in done.stderr for id in ids)
    assert "@" not in done.stderr


def test_several_processes_may_migrate_at_once(unmigrated: Container, tmp_path: Path) -> None:
    settings = unmigrated.settings()
    environment = {
        "DATABASE_URL": settings.database_dsn,
        "TODO_JWT_SECRET": SECRET,
        "TODO_DATA_DIR": str(settings.data_dir),
    }
    outcomes = todo_at_once(4, tmp_path, "migrate", **environment)
    assert [(outcome.stderr, outcome.returncode) for outcome in outcomes] == [
        (f"Schema   at revision {REVISIONS[0]}\n", 0)
    ] * 4
    assert unmigrated.schema().current() == REVISIONS[0]


def test_the_service_knows_which_revision_is_the_newest() -> None:
    assert REVISIONS[0] == NEWEST_REVISION


def test_a_schema_that_was_never_migrated_has_no_revision(unmigrated: Container) -> None:
    assert unmigrated.schema().current() is None
