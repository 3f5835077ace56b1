"""Properties of the SQL adapters alone: owner conditions, indexes, constraints and faults."""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from threading import Event, Thread
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import Delete, Insert, Update
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, BooleanClauseList
from sqlalchemy.sql.operators import and_, eq, in_op
from sqlalchemy.sql.selectable import Select

from tests.support.plans import explain, explain_for_any_values
from tests.support.postgres import DURABLE, running_postgres
from tests.support.settings import on_postgresql, postgres_settings
from tests.support.statements import prebuilt_statements, recorded_statements
from todo_adapters.sql.database import open_database
from todo_adapters.sql.reminders import CHOOSE_EMAILS, CHOOSE_OLD, DUE, HAS_EMAIL
from todo_adapters.sql.revisions import OPEN_OWNER
from todo_adapters.sql.tables import DELETED_TASKS, FIRED_REMINDERS, TASK_OWNERS, TASKS
from todo_adapters.sql.tags import TAG_COUNTS
from todo_adapters.sql.task_changes import changes_statement
from todo_adapters.sql.task_lists import (
    Continues,
    can_divide,
    can_look_first,
    count_statement,
    first_look_statement,
    page_statement,
)
from todo_adapters.sql.tasks import GET, LOCK_DUE_DAYS, LOCK_FAMILIES, MOVE_DUE_DAYS
from todo_adapters.sql.trash import (
    EXPIRED_IN_TRASH,
    EXPIRED_TOMBSTONES,
    LOCK_FAMILY_IN_TRASH,
    WITH_EXCESS,
)
from todo_api.container import Container
from todo_core.entities.priority import Priority
from todo_core.entities.task import Task, TaskId
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.user import User
from todo_core.errors import Unavailable

type Statement = Select[Any] | Insert | Update | Delete

OWNER_INDEX = (
    "ix_tasks_owner_id_completed_created_at_id",
    "ix_tasks_owner_id_completed_revision_id",
)
DUE_INDEX = "ix_tasks_owner_id_completed_due_at_id"
INDEX_OF_ORDER = dict(zip((TaskOrder.CREATED_AT, TaskOrder.UPDATED_AT), OWNER_INDEX, strict=True))
HAS_NO_VALUE_SOMETIMES = {TaskOrder.DUE_DATE, TaskOrder.COMPLETED_AT}
PRIMARY_KEY = ("pk_tasks", "PRIMARY KEY")
SUBTASK_INDEX = "ix_tasks_owner_id_parent_id_completed"
INDEXES = (*OWNER_INDEX, *PRIMARY_KEY, DUE_INDEX, SUBTASK_INDEX)
SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
QUERIES = [
    TaskQuery(
        completed=completed,
        order=order,
        descending=descending,
        created_after=SOME_TIME if is_filtered else None,
        updated_after=SOME_TIME if is_filtered else None,
        search=SearchText("milk") if is_searched else None,
    )
    for completed in (None, True, False)
    for order in TaskOrder
    for descending in (True, False)
    for is_filtered in (True, False)
    for is_searched in (True, False)
]
DUE_FILTERS: Sequence[dict[str, Any]] = [
    {"has_due": True},
    {"overdue": True},
    {"due_after": SOME_TIME},
    {"due_before": SOME_TIME},
    {"due_after": SOME_TIME, "due_before": SOME_TIME},
]
OTHER_FILTERS: Sequence[dict[str, Any]] = [
    {"has_due": False},
    {"overdue": False},
    {"priorities": frozenset({Priority.HIGH})},
    {"tags": frozenset({"home"})},
    {"any_tags": frozenset({"home"})},
    {"due_after": SOME_TIME, "any_tags": frozenset({"home"}), "search": SearchText("milk")},
]
QUERIES_OF_DETAILS = [
    TaskQuery(completed=completed, order=order, **filters)
    for completed in (None, True, False)
    for order in TaskOrder
    for filters in (*DUE_FILTERS, *OTHER_FILTERS)
]
FAMILY_FILTERS: Sequence[dict[str, Any]] = [
    {"parent_id": TaskId(1)},
    {"has_parent": True},
    {"has_parent": False},
]
QUERIES_OF_FAMILIES = [
    TaskQuery(completed=completed, order=order, **filters)
    for completed in (None, True, False)
    for order in TaskOrder
    for filters in FAMILY_FILTERS
]
ALL_QUERIES = (*QUERIES, *QUERIES_OF_DETAILS, *QUERIES_OF_FAMILIES)
SEARCH = TaskQuery(search=SearchText("milk"))
_OWNED_TABLES = {TASKS, TASK_OWNERS, DELETED_TASKS, FIRED_REMINDERS}
_OF_ALL_OWNERS = {
    # Those of the clean-up, and those that look for reminders and emails that are due.
    *(EXPIRED_IN_TRASH, EXPIRED_TOMBSTONES, WITH_EXCESS, CHOOSE_OLD),
    *(DUE, *HAS_EMAIL, *CHOOSE_EMAILS),
}
PASSWORD = "a rather long sentence"


def registered(container: Container, email: str = "ada@example.com") -> User:
    return container.application().register_user(name="Ada", email=email, password=PASSWORD)


def statements_on_tasks() -> list[Statement]:
    """Return every prebuilt statement that reads or writes tasks."""
    return [
        statement
        for statement in prebuilt_statements().values()
        if isinstance(statement, Select | Insert | Update | Delete)
        and statement not in _OF_ALL_OWNERS
        and _OWNED_TABLES.intersection(
            statement.get_final_froms() if isinstance(statement, Select) else [statement.table]
        )
    ]


def conditions(statement: Select[Any] | Update | Delete) -> Sequence[object]:
    """Return the conditions that a row must satisfy for the statement to touch it."""
    clause = statement.whereclause
    if isinstance(clause, BooleanClauseList) and clause.operator is and_:
        return list(clause.clauses)
    return [clause]


def names_the_owner(condition: object) -> bool:
    """Return whether only rows of one owner satisfy the condition, directly or by a subquery."""
    if isinstance(condition, BinaryExpression) and condition.operator is in_op:
        [query] = [each for each in condition.right.get_children() if isinstance(each, Select)]
        return condition.left in {TASKS.c.id, DELETED_TASKS.c.id} and any(
            map(names_the_owner, conditions(query))
        )
    return (
        isinstance(condition, BinaryExpression)
        and condition.operator is eq
        and condition.left in {table.c.owner_id for table in _OWNED_TABLES}
        and isinstance(condition.right, BindParameter)
        and condition.right.key in {"owner", "user_id"}
    )


class TestOwnership:
    def test_there_are_statements_of_every_kind_on_tasks(self) -> None:
        for kind in (Select, Insert, Update, Delete):
            assert any(isinstance(statement, kind) for statement in statements_on_tasks())

    @pytest.mark.parametrize("statement", statements_on_tasks(), ids=str)
    def test_every_statement_on_tasks_is_restricted_to_the_owner(
        self, statement: Statement
    ) -> None:
        if isinstance(statement, Insert):
            assert not TASKS.c.owner_id.nullable
            return
        assert any(map(names_the_owner, conditions(statement)))

    def test_no_other_statement_is_executed_on_tasks(self, container: Container) -> None:
        prebuilt = {
            str(statement.compile(container.database().engine, column_keys=keys))
            for statement in statements_on_tasks()
            for keys in ([column.key for column in TASKS.columns], None)
        } | {
            str(statement.compile(container.database().engine))
            for statement in (
                OPEN_OWNER,
                count_statement(SEARCH),
                first_look_statement(
                    SEARCH,
                    continues=Continues.NOT,
                    limits_parts=container.database().dialect.limits_parts,
                ),
                *(
                    page_statement(
                        query,
                        continues=Continues.NOT,
                        limits_parts=container.database().dialect.limits_parts,
                    )
                    for query in ALL_QUERIES
                ),
                *(
                    page_statement(
                        TaskQuery(order=TaskOrder.POSITION, descending=descending),
                        continues=Continues.AFTER_VALUE,
                        limits_parts=container.database().dialect.limits_parts,
                    )
                    for descending in (True, False)
                ),
                count_statement(TaskQuery(overdue=True)),
                *(
                    count_statement(TaskQuery(parent_id=TaskId(1), completed=completed))
                    for completed in (None, False)
                ),
                *TAG_COUNTS.values(),
            )
        }
        ada = registered(container)
        todo = container.application()
        with recorded_statements(container.database().engine) as executed:
            task = todo.create_task(owner_id=ada.id, title="Buy milk")
            todo.list_tasks(owner_id=ada.id)
            todo.list_tasks(owner_id=ada.id, query=TaskQuery(completed=True))
            todo.list_tasks(owner_id=ada.id, query=SEARCH, counts=True)
            todo.get_task(owner_id=ada.id, task_id=task.id)
            todo.update_task(owner_id=ada.id, task_id=task.id, title="Buy oats")
            todo.toggle_completion(owner_id=ada.id, task_id=task.id)
            todo.list_tasks(owner_id=ada.id, query=TaskQuery(order=TaskOrder.DUE_DATE))
            todo.list_tasks(owner_id=ada.id, query=TaskQuery(any_tags=frozenset({"home"})))
            other = todo.create_task(owner_id=ada.id, title="Buy milk")
            todo.move_task(owner_id=ada.id, task_id=task.id, before=other.id)
            todo.move_task(owner_id=ada.id, task_id=task.id, after=other.id)
            todo.reorder_tasks(owner_id=ada.id, task_ids=[task.id, other.id])
            todo.list_tasks(owner_id=ada.id, query=TaskQuery(order=TaskOrder.POSITION))
            todo.count_tasks(owner_id=ada.id)
            todo.list_tags(owner_id=ada.id)
            todo.update_task(owner_id=ada.id, task_id=task.id, due_date="2026-12-01")
            todo.update_profile(user_id=ada.id, time_zone="Europe/Berlin")
            todo.update_task(owner_id=ada.id, task_id=other.id, parent_id=task.id)
            todo.update_task(owner_id=ada.id, task_id=other.id, parent_id=None)
            todo.delete_task(owner_id=ada.id, task_id=task.id)
            todo.create_task(owner_id=ada.id, title="Buy oats", parent_id=other.id)
            todo.list_tasks(owner_id=ada.id, query=TaskQuery(parent_id=other.id))
            todo.toggle_completion(owner_id=ada.id, task_id=other.id)
            todo.delete_task(owner_id=ada.id, task_id=other.id)
            todo.restore_task(owner_id=ada.id, task_id=other.id)
            todo.delete_task(owner_id=ada.id, task_id=other.id)
            todo.delete_task(owner_id=ada.id, task_id=other.id, permanently=True)
            container.tasks().remove_batch(ada.id, limit=1)
        dialect = container.database().engine.dialect.name
        begun = executed.count("BEGIN IMMEDIATE")
        if dialect == "sqlite":
            assert begun == executed.count("COMMIT") >= 4
        else:
            assert begun == 0
        on_tasks = {sql for sql in executed if "task" in sql}
        assert len(on_tasks) >= 12
        assert {normalized(sql) for sql in on_tasks} <= {normalized(sql) for sql in prebuilt}


def normalized(sql: str) -> str:
    """Return the statement without the casts that PostgreSQL's dialect adds at execution."""
    return sql.split("::")[0] if sql.startswith("INSERT") else sql


class TestPositions:
    @pytest.mark.parametrize("deleted", [False, True], ids=["tasks", "trash"])
    def test_they_are_compared_by_code_points_whatever_the_collation_of_the_database(
        self, postgresql_container: Container, deleted: bool
    ) -> None:
        for continues in (Continues.NOT, Continues.AFTER_VALUE):
            statement = page_statement(
                TaskQuery(order=TaskOrder.POSITION, deleted=deleted),
                continues=continues,
                limits_parts=True,
            )
            sql = str(statement.compile(postgresql_container.database().engine))
            table = "deleted_tasks" if deleted else "tasks"
            assert sql.count('COLLATE "C"') == (1 if continues is Continues.NOT else 2)
            assert f"WHERE {table}.owner_id = " in sql


class TestTagCounts:
    def test_the_statements_are_restricted_to_the_owner(self) -> None:
        for statement in TAG_COUNTS.values():
            assert str(statement).count("FROM tasks") == 1
            assert "WHERE owner_id = :owner AND" in str(statement)

    def test_tags_are_sorted_by_code_points_whatever_the_collation_of_the_database(self) -> None:
        assert str(TAG_COUNTS["array"]).count('COLLATE "C" AS') == 2


class TestIndexes:
    @pytest.fixture
    def owner(self, container: Container) -> User:
        """One of many owners, each with many tasks."""
        owners = [registered(container, f"user{number}@example.com") for number in range(50)]
        now = datetime(2026, 1, 1, tzinfo=UTC)
        rows = [
            {
                "id": number * 1000 + index,
                "owner_id": owner.id,
                "title": "Buy milk",
                "description": None,
                "completed": index % 10 == 0,
                "version": 1,
                "created_at": now + timedelta(minutes=index),
                "updated_at": now,
            }
            for number, owner in enumerate(owners, 1)
            for index in range(200)
        ]
        with container.database().engine.connect() as connection:
            connection.execute(TASKS.insert(), rows)
            connection.execute(text("ANALYZE"))
        return owners[20]

    @pytest.mark.parametrize(
        ("statement", "parameters", "indexes"),
        [
            pytest.param(GET, {"task_id": 20_001}, PRIMARY_KEY, id="get"),
        ],
    )
    def test_every_query_uses_an_index(
        self,
        container: Container,
        owner: User,
        statement: Select[Any],
        parameters: dict[str, object],
        indexes: tuple[str, ...],
    ) -> None:
        plan = explain(container, statement, {"owner": owner.id, **parameters})
        assert any(index in plan for index in indexes)
        assert "Seq Scan" not in plan
        assert "SCAN tasks" not in plan

    @pytest.mark.usefixtures("owner")
    def test_a_page_reads_the_tasks_of_its_owner_in_order(self, container: Container) -> None:
        limits_parts = container.database().dialect.limits_parts
        for query, continues in product(ALL_QUERIES, Continues):
            if continues is Continues.AFTER_NONE and query.order not in HAS_NO_VALUE_SOMETIMES:
                continue
            statement = page_statement(query, continues=continues, limits_parts=limits_parts)
            plan = explain_for_any_values(container, statement)
            assert any(index in plan for index in INDEXES), query
            assert "Seq Scan on tasks" not in plan, query
            assert "SCAN tasks" not in plan, query
            if query.order in INDEX_OF_ORDER and query.has_only_status:
                assert INDEX_OF_ORDER[query.order] in plan, query
                assert not re.search(r"\bSort  \(|TEMP B-TREE", plan), query

    @pytest.mark.usefixtures("owner")
    def test_the_count_of_a_query_reads_the_tasks_of_its_owner(self, container: Container) -> None:
        for statement in {count_statement(each) for each in ALL_QUERIES}:
            plan = explain_for_any_values(container, statement)
            assert any(index in plan for index in INDEXES), statement
            assert "Seq Scan on tasks" not in plan, statement
            assert "SCAN tasks" not in plan, statement

    @pytest.mark.usefixtures("owner")
    def test_the_subtasks_of_a_task_are_found_by_their_index(self, container: Container) -> None:
        limits_parts = container.database().dialect.limits_parts
        queries = [
            TaskQuery(parent_id=TaskId(1), completed=completed, order=order)
            for completed in (None, True, False)
            for order in TaskOrder
        ]
        for statement in {
            *(
                page_statement(each, continues=Continues.NOT, limits_parts=limits_parts)
                for each in queries
            ),
            *map(count_statement, queries),
        }:
            assert SUBTASK_INDEX in explain_for_any_values(container, statement), statement
        assert SUBTASK_INDEX in explain_for_any_values(container, LOCK_FAMILIES)

    @pytest.fixture
    def due(self, container: Container, owner: User) -> User:
        """The owner, whose tasks are due like those of the others, or are not."""
        with container.database().engine.connect() as connection:
            for statement in (
                "UPDATE tasks SET due_at = created_at, due_on = CURRENT_DATE WHERE id % 3 = 0",
                """
                INSERT INTO deleted_tasks (owner_id, id, title, completed, version, created_at,
                updated_at, revision, expires_at, due_at, due_on) SELECT owner_id, id, title,
                completed, version, created_at, updated_at, id, updated_at, due_at, due_on
                FROM tasks
                """,
                "ANALYZE",
            ):
                connection.execute(text(statement))
        return owner

    @pytest.mark.usefixtures("due")
    def test_tasks_that_are_due_are_read_in_the_order_of_their_index(
        self, container: Container
    ) -> None:
        limits_parts = container.database().dialect.limits_parts
        for filters, completed, descending, continues in product(
            DUE_FILTERS, (None, True, False), (True, False), (Continues.NOT, Continues.AFTER_VALUE)
        ):
            query = TaskQuery(completed, order=TaskOrder.DUE_DATE, descending=descending, **filters)
            page = page_statement(query, continues=continues, limits_parts=limits_parts)
            plan = explain_for_any_values(container, page)
            assert DUE_INDEX in plan, query
            assert not any(index in plan for index in OWNER_INDEX + PRIMARY_KEY[:1]), plan
            assert not re.search(r"\bSort  \(|TEMP B-TREE", plan), plan

    @pytest.mark.usefixtures("due")
    def test_overdue_tasks_are_counted_in_the_index_of_the_due_dates(
        self, container: Container
    ) -> None:
        plan = explain_for_any_values(container, count_statement(TaskQuery(overdue=True)))
        assert DUE_INDEX in plan
        assert not any(index in plan for index in OWNER_INDEX + PRIMARY_KEY[:1]), plan

    def test_a_list_in_the_order_of_due_dates_is_divided_unless_it_has_one_part(self) -> None:
        by_due = [each for each in QUERIES_OF_DETAILS if each.order is TaskOrder.DUE_DATE]
        divided = [each for each in by_due if can_divide(each, offset=0)]
        assert len(divided) == 9  # by a priority, tags, or one of some tags
        assert not any(can_divide(each, offset=1) for each in by_due)

    @pytest.mark.parametrize("number", [0, 1], ids=["tasks", "trash"])
    def test_the_days_of_one_owner_are_read_and_moved(
        self, container: Container, due: User, number: int
    ) -> None:
        del due
        for statement in (LOCK_DUE_DAYS[number], MOVE_DUE_DAYS[number]):
            plan = explain_for_any_values(container, statement)
            assert not re.search("Seq Scan on (tasks|deleted_tasks)", plan), plan
            assert not re.search("SCAN (tasks|deleted_tasks)", plan), plan
        # Each task is found by itself: otherwise every day would cost a reading of all tasks.
        assert any(index in plan for index in (*PRIMARY_KEY, "pk_deleted_tasks")), plan

    def test_a_family_is_found_by_its_index(self, container: Container, due: User) -> None:
        del due
        limits_parts = container.database().dialect.limits_parts
        for query in (TaskQuery(parent_id=TaskId(1)), TaskQuery(parent_id=TaskId(1), deleted=True)):
            for statement in (
                page_statement(query, limits_parts=limits_parts),
                page_statement(replace(query, completed=False), limits_parts=limits_parts),
                count_statement(query),
                LOCK_FAMILY_IN_TRASH if query.deleted else LOCK_FAMILIES,
            ):
                plan = explain_for_any_values(container, statement)
                table = "deleted_tasks" if query.deleted else "tasks"
                assert f"ix_{table}_owner_id_parent_id" in plan, plan
                assert not re.search("Seq Scan on (tasks|deleted_tasks)", plan), plan
                assert not re.search("SCAN (tasks|deleted_tasks)", plan), plan

    def test_the_tags_of_one_owner_are_counted(self, container: Container, due: User) -> None:
        del due
        kind = "array" if container.database().dialect.has_arrays else "json"
        plan = explain_for_any_values(container, TAG_COUNTS[kind])
        assert any(index in plan for index in OWNER_INDEX + PRIMARY_KEY), plan
        assert "Seq Scan on tasks" not in plan
        assert "SCAN tasks" not in plan

    @pytest.mark.usefixtures("owner")
    def test_the_first_look_of_a_search_reads_tasks_in_order(self, container: Container) -> None:
        limits_parts = container.database().dialect.limits_parts
        searches = [query for query in QUERIES if can_look_first(query, offset=0)]
        assert len(searches) == 12
        for query, continues in product(searches, (Continues.NOT, Continues.AFTER_VALUE)):
            statement = first_look_statement(query, continues=continues, limits_parts=limits_parts)
            plan = explain_for_any_values(container, statement)
            assert OWNER_INDEX[0] in plan, query
            assert "Seq Scan on tasks" not in plan, query
            assert "SCAN tasks" not in plan, query
            if query.created_after is None:
                tasks_are_read = plan.partition("looked_at")[2] if "MATERIALIZE" in plan else plan
                assert not re.search(r"\bSort  \(", tasks_are_read), query

    @pytest.mark.usefixtures("owner")
    def test_changes_are_read_in_the_order_of_three_indexes(self, container: Container) -> None:
        with container.database().engine.connect() as connection:
            for statement in (
                "UPDATE tasks SET revision = id",
                """
                INSERT INTO deleted_tasks (owner_id, id, completed, version, created_at,
                updated_at, revision, expires_at) SELECT owner_id, id, completed, version,
                created_at, updated_at, -id, updated_at FROM tasks
                """,
                "ANALYZE",
            ):
                connection.execute(text(statement))
        dialect = container.database().dialect
        changes = changes_statement(limits_parts=dialect.limits_parts)
        plan = explain_for_any_values(container, changes)
        assert plan.count(INDEX_OF_ORDER[TaskOrder.UPDATED_AT]) == 2
        assert plan.count("ix_deleted_tasks_owner_id_revision") == 1
        assert not re.search("Seq Scan on (tasks|deleted_tasks)", plan)
        assert not re.search("SCAN (tasks|deleted_tasks)", plan)
        # What is sorted at the end, if anything, is one page.
        parts = plan.partition("Limit  (" if dialect.limits_parts else "MERGE")[2]
        parts = parts.partition("SCAN one_row")[0]
        assert "ix_deleted_tasks_owner_id_revision" in parts
        assert not re.search(r"\bSort  \(|TEMP B-TREE", parts)

    @pytest.mark.usefixtures("owner")
    def test_the_trash_is_read_in_the_order_of_deletion(self, container: Container) -> None:
        with container.database().engine.connect() as connection:
            for statement in (
                """
                INSERT INTO deleted_tasks (owner_id, id, title, completed, version, created_at,
                updated_at, revision, expires_at) SELECT owner_id, id, title, completed, version,
                created_at, updated_at, id, updated_at FROM tasks
                """,
                "ANALYZE",
            ):
                connection.execute(text(statement))
        limits_parts = container.database().dialect.limits_parts
        query = TaskQuery(deleted=True, order=TaskOrder.UPDATED_AT)
        for continues in (Continues.NOT, Continues.AFTER_VALUE):
            page = page_statement(query, continues=continues, limits_parts=limits_parts)
            plan = explain_for_any_values(container, page)
            assert "ix_deleted_tasks_owner_id_revision" in plan
            # PostgreSQL sorts those of one revision, of which there is one.
            assert not re.search(r"(?<!Incremental )Sort  \(|TEMP B-TREE FOR ORDER BY", plan), plan

    def test_lists_of_some_time_or_text_are_planned_for_it(
        self, postgres_url: str, migrated_template: str
    ) -> None:
        with on_postgresql(postgres_url, migrated_template) as settings:
            one_connection = settings.model_copy(update={"database_pool_size": 1})
            container = Container(settings=one_connection)
            ada = registered(container)
            for _ in range(10):
                container.tasks().page(ada.id, TaskQuery(), limit=9)
                container.tasks().page(ada.id, TaskQuery(created_after=SOME_TIME), limit=9)
                container.tasks().page(ada.id, TaskQuery(search=SearchText("milk")), limit=9)
            prepared = [
                sql
                for (sql,) in container.database().rows(
                    text("SELECT statement FROM pg_prepared_statements"), {}
                )
                if "tasks" in sql
            ]
            assert any("ORDER BY" in sql for sql in prepared)
            assert not any("created_at >" in sql or "lower(tasks." in sql for sql in prepared)
            container.database().close()


class TestConstraints:
    """The database refuses invalid rows, which the core never sends."""

    @pytest.mark.parametrize(
        "change",
        [
            {"title": ""},
            {"title": "a" * 201},
            {"title": None},
            {"description": ""},
            {"description": "a" * 1001},
            {"completed": None},
            {"version": 0},
            {"owner_id": None},
            {"owner_id": UUID(int=0)},
            {"created_at": None},
        ],
        ids=str,
    )
    def test_a_task_that_breaks_the_rules_is_refused(
        self, container: Container, change: dict[str, object]
    ) -> None:
        row: dict[str, object] = {
            "id": 1,
            "owner_id": registered(container).id,
            "title": "Buy milk",
            "description": None,
            "completed": False,
            "version": 1,
            "created_at": datetime.now(UTC),
            "updated_at": datetime.now(UTC),
        }
        with container.database().engine.connect() as connection:
            connection.execute(TASKS.insert(), row)
            with pytest.raises(Exception, match=r"(?i)constraint|null value|too long"):
                connection.execute(TASKS.insert(), row | {"id": 2} | change)

    def test_sqlite_refuses_a_completed_value_that_is_not_boolean(
        self, sqlite_container: Container
    ) -> None:
        ada = registered(sqlite_container)
        task = sqlite_container.application().create_task(owner_id=ada.id, title="Buy milk")
        with (
            sqlite_container.database().engine.connect() as connection,
            pytest.raises(IntegrityError, match="ck_tasks_completed_boolean"),
        ):
            connection.execute(
                text("UPDATE tasks SET completed = 2 WHERE id = :id"), {"id": task.id}
            )

    def test_deleting_a_user_deletes_everything_that_they_own(self, container: Container) -> None:
        ada, bob = registered(container), registered(container, "bob@example.com")
        for owner in (ada, bob):
            container.application().create_task(owner_id=owner.id, title="Buy milk")
            container.application().log_in(email=owner.email or "", password=PASSWORD)
        with container.database().engine.connect() as connection:
            connection.execute(text("DELETE FROM users WHERE email = 'ada@example.com'"))
            sessions = connection.execute(text("SELECT count(*) FROM sessions")).scalar_one()
        assert sessions == 1
        assert container.application().list_tasks(owner_id=ada.id).tasks == []
        assert len(container.application().list_tasks(owner_id=bob.id).tasks) == 1


class TestTimeZones:
    @pytest.fixture
    def postgresql_container(
        self, postgres_url: str, migrated_template: str
    ) -> Iterator[Container]:
        """A service on a separate database, whose settings can be changed."""
        with on_postgresql(postgres_url, migrated_template) as settings:
            container = Container(settings=settings)
            yield container
            container.database().close()

    def test_a_database_in_another_time_zone_yields_utc(
        self, postgresql_container: Container
    ) -> None:
        url = postgresql_container.settings().database_dsn.replace("+psycopg", "")
        database = url.rpartition("/")[2]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE \"{database}\" SET timezone TO 'Asia/Kathmandu'")
        ada = registered(postgresql_container)
        task: Task = postgresql_container.application().create_task(
            owner_id=ada.id, title="Buy milk"
        )
        [found] = postgresql_container.application().list_tasks(owner_id=ada.id).tasks
        assert found.created_at.tzinfo is UTC
        assert found == task


class TestFaults:
    def test_a_lost_database_is_unavailable_and_recovers(self) -> None:
        with running_postgres(DURABLE) as server:
            container = Container(settings=postgres_settings(server.url()))
            container.schema().migrate()
            ada = registered(container)
            server.kill()
            with pytest.raises(Unavailable, match="database"):
                container.application().list_tasks(owner_id=ada.id)
            server.start()
            assert container.application().list_tasks(owner_id=ada.id).tasks == []
            container.database().close()

    def test_a_pool_without_a_free_connection_is_unavailable(self, postgres_url: str) -> None:
        settings = postgres_settings(postgres_url).model_copy(
            update={"database_pool_size": 1, "database_pool_timeout": timedelta(seconds=0.2)}
        )
        container = Container(settings=settings)
        with busy_connection(container), pytest.raises(Unavailable):
            container.database().rows(text("SELECT 1"), {})
        with (
            busy_connection(container),
            pytest.raises(Unavailable),
            container.database().transaction(),
        ):
            pass
        assert container.database().rows(text("SELECT 1"), {}) == [(1,)]
        container.database().close()

    def test_a_connection_to_a_server_that_became_read_only_is_replaced(
        self, postgresql_container: Container
    ) -> None:
        ada = registered(postgresql_container)
        database = postgresql_container.database()
        application = postgresql_container.application()
        with database.engine.connect() as connection:  # the one that is used next
            connection.exec_driver_sql("SET default_transaction_read_only = on")
        with pytest.raises(Unavailable, match="database"):
            application.create_task(owner_id=ada.id, title="Buy milk")
        task = application.create_task(owner_id=ada.id, title="Buy milk")
        assert application.list_tasks(owner_id=ada.id).tasks == [task]

    def test_the_parameters_of_a_url_replace_those_of_the_service(self, postgres_url: str) -> None:
        dsn = postgres_url.replace("postgresql://", "postgresql+psycopg://")
        database = open_database(f"{dsn}?connect_timeout=3", pool_size=1, pool_timeout=1)
        with closing(database), closing(database.engine.raw_connection()) as pooled:
            driver_connection: Any = pooled.driver_connection
            parameters = driver_connection.info.get_parameters()
        assert (parameters["connect_timeout"], parameters["keepalives_idle"]) == ("3", "5")

    def test_a_unit_of_work_that_loses_its_connection_is_unavailable(
        self, postgresql_container: Container
    ) -> None:
        ada = registered(postgresql_container)
        with pytest.raises(Unavailable), postgresql_container.unit_of_work()() as work:
            work.users.save(ada.with_password_hash("another", now=ada.updated_at))
            postgresql_container.database().rows(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                ),
                {},
            )
            work.users.get(ada.id)
        assert postgresql_container.users().get(ada.id) == ada


@contextmanager
def busy_connection(container: Container) -> Iterator[None]:
    """Hold the only connection of a pool on another thread within the block."""
    held, release = Event(), Event()

    def hold() -> None:
        with container.database().transaction():
            held.set()
            release.wait(timeout=30)

    thread = Thread(target=hold)
    thread.start()
    assert held.wait(timeout=30)
    yield
    release.set()
    thread.join()
