"""Large tables change on PostgreSQL while processes of the version before read and write."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from uuid import UUID, uuid4

import psycopg
import pytest

from tests.support.migrations import alembic
from tests.support.settings import postgres_settings
from todo_adapters.sql.folding import folded_unless_ascii
from todo_api.container import Container
from todo_core.entities.priority import Priority
from todo_core.entities.task import TaskCounts, TaskId
from todo_core.entities.task_query import TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.user import UserId

OWNERS, TASKS_EACH, WRITERS = 200, 100, 3
LONGEST_WAIT_SECONDS = 4.0
NOW = "2026-02-03 04:05:06+00"
BEFORE_FOLDING, TO_FOLD = "0007", 20_000
BEFORE_DETAILS, TO_DETAIL = "0012", 50_000
BEFORE_SUBTASKS, BEFORE_THE_UPGRADE = "0013", 50_000
TO_NUMBER_OWNERS, TO_NUMBER_EACH = 1_500, 20


@dataclass
class Written:
    """What one writer has added, how long it waited at most, and what ended it."""

    tasks: int = 0
    longest: float = 0.0
    errors: list[type[psycopg.Error]] = field(default_factory=list)


@pytest.fixture
def before(empty_postgres: str) -> Iterator[Container]:
    """A service on a database at the revision before, with many tasks."""
    container = Container(settings=postgres_settings(empty_postgres))
    alembic(container.database(), "upgrade", "0006")
    with psycopg.connect(empty_postgres) as connection:
        connection.execute(
            "INSERT INTO users (id, name, version, created_at, updated_at)"
            f" SELECT gen_random_uuid(), 'Ada', 1, '{NOW}', '{NOW}'"
            " FROM generate_series(1, %s)",
            [OWNERS],
        )
        connection.execute(
            "INSERT INTO tasks (id, user_id, title, completed, version, created_at, updated_at)"
            f" SELECT row_number() OVER (), id, 'Buy milk', n %% 4 = 0, 1, '{NOW}', '{NOW}'"
            " FROM users, generate_series(1, %s) AS n",
            [TASKS_EACH],
        )
    yield container
    container.migration_database().close()
    container.database().close()


def write_until_refused(url: str, owner: UUID, first: int, stop: Event) -> Written:
    """Add tasks as the version before does, until the table is not its own any more."""
    written = Written()
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.is_set():
            began = time.monotonic()
            try:
                connection.execute(
                    "INSERT INTO tasks (id, user_id, title, completed, version, created_at,"
                    f" updated_at) VALUES (%s, %s, 'Buy oats', false, 1, '{NOW}', '{NOW}')",
                    [first + written.tasks, owner],
                )
                written.tasks += 1
            except psycopg.Error as error:
                written.errors.append(type(error))
                return written
            finally:
                written.longest = max(written.longest, time.monotonic() - began)
    return written


def test_writers_wait_for_a_moment_and_are_refused_at_the_end(
    before: Container, empty_postgres: str
) -> None:
    with psycopg.connect(empty_postgres) as connection:
        owners = [row[0] for row in connection.execute("SELECT id FROM users LIMIT %s", [WRITERS])]
    stop = Event()
    with ThreadPoolExecutor(WRITERS) as threads:
        writers = [
            threads.submit(write_until_refused, empty_postgres, owner, 10**9 * (n + 1), stop)
            for n, owner in enumerate(owners)
        ]
        try:
            time.sleep(0.2)
            before.migration_schema().migrate()
            written = [writer.result(timeout=10) for writer in writers]
        finally:
            stop.set()
    for each in written:
        assert each.errors == [psycopg.errors.UndefinedColumn]
        assert each.tasks > 10
        assert each.longest < LONGEST_WAIT_SECONDS
    for owner, each in zip(owners, written, strict=True):
        total = TASKS_EACH + each.tasks
        counted = before.tasks().counts(UserId(owner))
        assert (counted.total, counted.completed) == (total, TASKS_EACH // 4)
        task = before.application().create_task(owner_id=UserId(owner), title="The next one")
        assert before.tasks().counts(UserId(owner)).total == total + 1
        before.application().delete_task(owner_id=UserId(owner), task_id=task.id)
        assert before.tasks().counts(UserId(owner)).total == total


def test_a_transaction_that_holds_the_table_delays_the_migration_but_nobody_else(
    before: Container, empty_postgres: str
) -> None:
    with ThreadPoolExecutor(1) as thread, psycopg.connect(empty_postgres) as holder:
        holder.execute("LOCK TABLE tasks IN ACCESS SHARE MODE")
        migration = thread.submit(before.migration_schema().migrate)
        with psycopg.connect(empty_postgres, autocommit=True) as other:
            began, longest = time.monotonic(), 0.0
            while time.monotonic() - began < 6:
                at = time.monotonic()
                other.execute("SELECT count(*) FROM tasks WHERE id = 1")
                longest = max(longest, time.monotonic() - at)
        assert not migration.done()
        assert longest < LONGEST_WAIT_SECONDS
        holder.rollback()
        migration.result(timeout=30)
    assert before.tasks().counts(UserId(uuid4())) == TaskCounts(0, 0, 0)


def test_an_interrupted_migration_is_continued(before: Container, empty_postgres: str) -> None:
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        # What is left when the creation of the index fails: it exists, but is not valid.
        connection.execute("CREATE UNIQUE INDEX pk_new_tasks ON tasks (user_id, id)")
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'pk_new_tasks'::regclass"
        )
    before.migration_schema().migrate()
    with psycopg.connect(empty_postgres) as connection:
        valid = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'pk_tasks'::regclass"
        ).fetchone()
    assert valid == (True,)


def test_tasks_that_change_while_text_is_folded_keep_their_own(
    empty_postgres: str,
) -> None:
    container = Container(settings=postgres_settings(empty_postgres))
    alembic(container.database(), "upgrade", BEFORE_FOLDING)
    owner = UserId(uuid4())
    with psycopg.connect(empty_postgres) as connection:
        connection.execute(
            "INSERT INTO users (id, name, version, created_at, updated_at)"
            f" VALUES (%s, 'Ada', 1, '{NOW}', '{NOW}')",
            [owner],
        )
        connection.execute(
            "INSERT INTO tasks (id, owner_id, title, description, version, created_at, updated_at)"
            " SELECT n, %s, CASE WHEN n %% 2 = 0 THEN 'Straße' ELSE 'Road' END || n, 'Über',"
            f" 1, '{NOW}', '{NOW}' FROM generate_series(1, %s) AS n",
            [owner, TO_FOLD],
        )
        # As after an interrupted migration: the columns are there, and not all text is folded.
        connection.execute("ALTER TABLE tasks ADD folded_title text, ADD folded_description text")
    stop, longest, edits = Event(), 0.0, 0
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(empty_postgres, autocommit=True) as writer,
    ):
        migration = thread.submit(container.migration_schema().migrate)
        migration.add_done_callback(lambda _: stop.set())
        while not stop.is_set() and edits < TO_FOLD:
            began = time.monotonic()
            title = f"Größe {edits}"
            writer.execute(
                "UPDATE tasks SET title = %s, folded_title = %s, version = version + 1"
                " WHERE owner_id = %s AND id = %s",
                [title, folded_unless_ascii(title), owner, TO_FOLD - edits],
            )
            longest = max(longest, time.monotonic() - began)
            edits += 1
        migration.result(timeout=30)
    assert edits > 5
    assert longest < LONGEST_WAIT_SECONDS
    with psycopg.connect(empty_postgres) as connection:
        rows = connection.execute(
            "SELECT title, folded_title, description, folded_description FROM tasks"
        ).fetchall()
    assert len(rows) == TO_FOLD
    for title, folded_title, description, folded_description in rows:
        assert folded_title == folded_unless_ascii(title)
        assert folded_description == folded_unless_ascii(description)
    assert container.tasks().count(owner, TaskQuery(search=SearchText("GRÖSSE"))) == edits
    container.migration_database().close()
    container.database().close()


def test_tasks_that_change_while_others_are_numbered_keep_their_revision(
    empty_postgres: str,
) -> None:
    container = Container(settings=postgres_settings(empty_postgres))
    alembic(container.database(), "upgrade", "0007")
    with psycopg.connect(empty_postgres) as connection:
        connection.execute(
            "INSERT INTO users (id, name, version, created_at, updated_at)"
            f" SELECT gen_random_uuid(), 'Ada', 1, '{NOW}', '{NOW}'"
            " FROM generate_series(1, %s)",
            [TO_NUMBER_OWNERS],
        )
        connection.execute(
            "INSERT INTO tasks (id, owner_id, title, version, created_at, updated_at)"
            f" SELECT n, id, 'Buy milk', 1, '{NOW}', timestamptz '{NOW}' + n * interval '1 minute'"
            " FROM users, generate_series(1, %s) AS n",
            [TO_NUMBER_EACH],
        )
        connection.execute(
            "INSERT INTO task_owners (owner_id, revision, total, completed)"
            " SELECT id, 0, %s, 0 FROM users",
            [TO_NUMBER_EACH],
        )
        owners = [row[0] for row in connection.execute("SELECT id FROM users ORDER BY id DESC")]
    stop, longest, edited = Event(), 0.0, 0
    # The owners who are numbered last: each has one task changed, as the version before does.
    with ThreadPoolExecutor(1) as thread, psycopg.connect(empty_postgres) as writer:
        migration = thread.submit(container.migration_schema().migrate)
        migration.add_done_callback(lambda _: stop.set())
        while not stop.is_set() and edited < len(owners):
            began = time.monotonic()
            with writer.transaction():
                writer.execute(
                    "UPDATE task_owners SET revision = revision + 1 WHERE owner_id = %s",
                    [owners[edited]],
                )
                writer.execute(
                    "UPDATE tasks SET title = 'Buy oats', version = version + 1, revision ="
                    " (SELECT revision FROM task_owners WHERE owner_id = %(owner)s)"
                    " WHERE owner_id = %(owner)s AND id = 1",
                    {"owner": owners[edited]},
                )
            longest = max(longest, time.monotonic() - began)
            edited += 1
        migration.result(timeout=30)
    assert edited > 5
    assert longest < LONGEST_WAIT_SECONDS
    for number in (0, edited - 1, *range(edited, min(edited + 2, len(owners)))):
        found = container.tasks().changes(UserId(owners[number]), after=None, limit=99)
        listed = [(change.id, change.revision) for change in found.changes]
        revisions = dict(listed)
        assert [revision for _, revision in listed] == sorted({*revisions.values()})
        assert sorted(revisions) == [*range(1, TO_NUMBER_EACH + 1)]
        old = [id for id, revision in listed if revision < 0]
        assert old == sorted(old), "in the order in which they were changed"
        if number < edited:
            assert listed[-1] == (1, 1)
            assert len(old) == TO_NUMBER_EACH - 1
        else:
            assert len(old) == TO_NUMBER_EACH
    with psycopg.connect(empty_postgres) as connection:
        left = connection.execute(
            "SELECT count(*) FILTER (WHERE revision = 0), count(*) FILTER (WHERE revision > 0),"
            " count(DISTINCT (owner_id, revision)), count(*) FROM tasks"
        ).fetchone()
    everything = TO_NUMBER_OWNERS * TO_NUMBER_EACH
    assert left == (0, edited, everything, everything)
    container.migration_database().close()
    container.database().close()


def test_processes_of_the_release_before_write_while_and_after_details_are_added(
    empty_postgres: str,
) -> None:
    container = Container(settings=postgres_settings(empty_postgres))
    alembic(container.database(), "upgrade", BEFORE_DETAILS)
    owner = UserId(uuid4())
    add = (
        "INSERT INTO tasks (id, owner_id, title, completed, version, created_at, updated_at,"
        f" revision) SELECT n, %s, 'Buy milk', n %% 2 = 0, 1, '{NOW}', '{NOW}', n"
        " FROM generate_series(%s::bigint, %s) AS n"
    )
    with psycopg.connect(empty_postgres, autocommit=True) as writer:
        writer.execute(
            "INSERT INTO users (id, name, version, created_at, updated_at)"
            f" VALUES (%s, 'Ada', 1, '{NOW}', '{NOW}')",
            [owner],
        )
        writer.execute(add, [owner, 1, TO_DETAIL])
        # As after an interrupted migration: one of the columns is there already.
        writer.execute("ALTER TABLE users ADD time_zone varchar(64) NOT NULL DEFAULT 'UTC'")
        stop, longest, added = Event(), 0.0, TO_DETAIL
        with ThreadPoolExecutor(1) as thread:
            migration = thread.submit(container.migration_schema().migrate)
            migration.add_done_callback(lambda _: stop.set())
            while not stop.is_set():
                began = time.monotonic()
                added += 1
                writer.execute(add, [owner, added, added])
                longest = max(longest, time.monotonic() - began)
            migration.result(timeout=30)
        added += 2
        writer.execute(add, [owner, added - 1, added])
    assert longest < LONGEST_WAIT_SECONDS
    tasks = container.tasks()
    assert tasks.count(owner, TaskQuery()) == added > TO_DETAIL + 3
    for id in (1, 2, added - 1, added):
        task = tasks.get(TaskId(id), owner_id=owner)
        assert (task.priority, task.due_date, task.tags) == (Priority.MEDIUM, None, ())
        assert task.completed is (id % 2 == 0)
        assert task.completed_at == (task.updated_at if task.completed else None)
    for query, count in (
        (TaskQuery(priorities=frozenset({Priority.MEDIUM})), added),
        (TaskQuery(priorities=frozenset({Priority.NONE})), 0),
        (TaskQuery(completed=True), added // 2),
    ):
        assert tasks.count(owner, query) == count
    container.migration_database().close()
    container.database().close()


def test_processes_of_the_release_before_write_while_and_after_parents_are_added(
    empty_postgres: str,
) -> None:
    container = Container(settings=postgres_settings(empty_postgres))
    alembic(container.database(), "upgrade", BEFORE_SUBTASKS)
    owner = UserId(uuid4())
    add = (
        "INSERT INTO tasks (id, owner_id, title, completed, version, created_at, updated_at,"
        f" revision) SELECT n, %s, 'Buy milk', false, 1, '{NOW}', '{NOW}', n"
        " FROM generate_series(%s::bigint, %s) AS n"
    )
    change = (
        "UPDATE tasks SET title = 'Buy oats', version = version + 1 WHERE owner_id = %s AND id = %s"
    )
    delete = (
        "WITH d AS (DELETE FROM tasks WHERE owner_id = %s AND id = %s RETURNING *)"
        " INSERT INTO deleted_tasks (id, owner_id, title, completed, version, created_at,"
        " updated_at, revision, expires_at) SELECT id, owner_id, title, completed, version,"
        f" created_at, updated_at, revision, '{NOW}' FROM d"
    )
    with psycopg.connect(empty_postgres, autocommit=True) as writer:
        writer.execute(
            "INSERT INTO users (id, name, version, created_at, updated_at)"
            f" VALUES (%s, 'Ada', 1, '{NOW}', '{NOW}')",
            [owner],
        )
        writer.execute(
            "INSERT INTO task_owners (owner_id, revision, total, completed) VALUES (%s, %s, %s, 0)",
            [owner, 10 * BEFORE_THE_UPGRADE, BEFORE_THE_UPGRADE],
        )
        writer.execute(add, [owner, 1, BEFORE_THE_UPGRADE])
        stop, longest, written = Event(), 0.0, 0

        def write() -> None:
            """Add a task, change one, and delete one."""
            nonlocal written
            written += 1
            writer.execute(add, [owner, BEFORE_THE_UPGRADE + written, BEFORE_THE_UPGRADE + written])
            writer.execute(change, [owner, written])
            writer.execute(delete, [owner, 10_000 + written])

        with ThreadPoolExecutor(1) as thread:
            migration = thread.submit(container.migration_schema().migrate)
            migration.add_done_callback(lambda _: stop.set())
            while not stop.is_set():
                began = time.monotonic()
                write()
                longest = max(longest, time.monotonic() - began)
            migration.result(timeout=30)
        while_it_ran = written
        write()
    assert while_it_ran > 3
    assert longest < 3 * LONGEST_WAIT_SECONDS
    tasks, todo = container.tasks(), container.application()
    assert tasks.count(owner, TaskQuery(has_parent=False)) == BEFORE_THE_UPGRADE
    assert tasks.count(owner, TaskQuery(deleted=True)) == written
    for task_id in (1, written, BEFORE_THE_UPGRADE + written):
        assert tasks.get(TaskId(task_id), owner_id=owner).parent_id is None
    deleted = TaskId(10_000 + written)
    assert todo.restore_task(owner_id=owner, task_id=deleted).parent_id is None
    subtask = todo.create_task(owner_id=owner, title="Buy rice", parent_id=deleted)
    todo.delete_task(owner_id=owner, task_id=deleted)
    family = tasks.lock_in_trash(deleted, owner_id=owner)
    assert [task.id for task in family] == [deleted, subtask.id]
    container.migration_database().close()
    container.database().close()


def test_an_interrupted_migration_to_subtasks_is_continued(empty_postgres: str) -> None:
    container = Container(settings=postgres_settings(empty_postgres))
    alembic(container.database(), "upgrade", BEFORE_SUBTASKS)
    key, index = "fk_tasks_parent_id_tasks", "ix_tasks_owner_id_parent_id_completed"
    with psycopg.connect(empty_postgres, autocommit=True) as connection:
        # What is left when the creation of the first index fails: it exists, but is not valid.
        connection.execute("ALTER TABLE deleted_tasks ADD parent_id bigint")
        connection.execute(
            f"ALTER TABLE tasks ADD parent_id bigint, ADD CONSTRAINT {key} FOREIGN KEY"
            " (owner_id, parent_id) REFERENCES tasks (owner_id, id) NOT VALID"
        )
        connection.execute(
            f"CREATE INDEX {index} ON tasks (owner_id, parent_id, completed)"
            " WHERE parent_id IS NOT NULL"
        )
        connection.execute(
            f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{index}'::regclass"
        )
        container.migration_schema().migrate()
        valid = connection.execute(
            "SELECT (SELECT convalidated FROM pg_constraint WHERE conname = %s),"
            " (SELECT bool_and(indisvalid) FROM pg_index JOIN pg_class ON indexrelid = oid"
            " WHERE relname IN (%s, 'ix_deleted_tasks_owner_id_parent_id'))",
            [key, index],
        ).fetchone()
    assert valid == (True, True)
    container.migration_database().close()
    container.database().close()
