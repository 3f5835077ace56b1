"""The tables of tasks can be divided into partitions by their owner.

`TEST_PARTITIONED=1 pytest tests/contracts -k postgresql` runs the contracts on such tables.
"""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.postgres import create_database, drop_database, partition
from tests.support.settings import migrate, postgres_settings
from tests.support.storages import storage_of, stored_owner
from tests.support.todo import NOW, Todo
from todo_api.container import Container
from todo_core.entities.task import TaskId
from todo_core.errors import HasSubtasks, IdTaken, InvalidParent

DIVIDED = ("deleted_tasks", "fired_reminders", "kept_responses", "task_owners", "tasks")
PARTITIONS = 8


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    """A migrated database without partitions."""
    url = create_database(postgres_url)
    migrate(postgres_settings(url))
    yield url
    drop_database(url)


@pytest.fixture
def todo(database: str) -> Iterator[Todo]:
    container = Container(settings=postgres_settings(database))
    yield Todo.on(storage_of(container))
    container.database().close()


def definitions(url: str) -> dict[tuple[str, str], str]:
    """Return the constraints and indexes of the tables that are divided."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid::regclass::text = ANY(%(tables)s) AND conparentid = 0"
            " UNION ALL SELECT tablename, indexname, replace(indexdef, ' ON ONLY ', ' ON ')"
            " FROM pg_indexes WHERE tablename = ANY(%(tables)s)",
            {"tables": list(DIVIDED)},
        ).fetchall()
    return {(table, name): definition for table, name, definition in rows}


def test_partitions_keep_rows_constraints_and_indexes(database: str, todo: Todo) -> None:
    task = todo.create(title="Buy milk", tags=["home"])
    todo.create(parent_id=task.id)
    state, before = todo.state(), definitions(database)
    partition(database)
    assert todo.state() == state
    after = definitions(database)
    assert after == before
    assert len(after) > len(DIVIDED)
    with psycopg.connect(database) as connection:
        parts = connection.execute(
            "SELECT inhparent::regclass::text, count(*)::int FROM pg_inherits"
            " JOIN pg_class ON oid = inhrelid AND relkind = 'r' GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert parts == [(table, PARTITIONS) for table in DIVIDED]


def test_constraints_of_partitions_mean_the_same_errors(database: str, todo: Todo) -> None:
    partition(database)
    parent = todo.create()
    child = todo.create(parent_id=parent.id)
    tasks = todo.storage.tasks
    with pytest.raises(IdTaken):
        tasks.add(child)
    with pytest.raises(HasSubtasks):
        tasks.remove(parent.id, owner_id=todo.owner, expires_at=NOW)
    with pytest.raises(InvalidParent):
        tasks.add(child._replace(id=TaskId(900), parent_id=TaskId(901)))


def test_a_query_for_one_owner_reads_one_partition(database: str, todo: Todo) -> None:
    for number in range(2, 40):
        stored_owner(todo.storage, number, now=NOW)
    partition(database)
    with psycopg.connect(database) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(
            "PREPARE listed(uuid) AS SELECT id FROM tasks WHERE owner_id = $1 AND NOT completed"
        )
        plan = "\n".join(
            line
            for (line,) in connection.execute(
                f"EXPLAIN (ANALYZE, COSTS OFF) EXECUTE listed('{todo.owner}')"
            )
        )
    assert f"Subplans Removed: {PARTITIONS - 1}" in plan
