"""The migrations can be applied and reverted, keep all data, and create the declared tables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    CheckConstraint,
    Connection,
    Inspector,
    Uuid,
    column,
    inspect,
    table,
    text,
)
from typer.testing import CliRunner

from tests.support.command import todo_at_once
from tests.support.migrations import MIGRATIONS, alembic
from tests.support.settings import SECRET, embedded_settings, postgres_settings
from todo_adapters.sql.database import Database
from todo_adapters.sql.folding import folded_unless_ascii
from todo_adapters.sql.schema import NEWEST_REVISION
from todo_adapters.sql.tables import UtcDateTime, metadata
from todo_api.cli import main
from todo_api.container import Container
from todo_core.entities.identity import Identity
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
    *map(column, ("id", "title", "description", "version", "completed")),
    *(column(name, UtcDateTime()) for name in ("created_at", "updated_at")),
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
