"""The indexes that operators may create for owners with very many tasks."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product

from tests.docs.optional_indexes import optional_index
from tests.support.plans import explain_for_values
from todo_adapters.sql.statements import Query
from todo_adapters.sql.task_lists import count_statement, page_parameters, page_statement
from todo_api.container import Container
from todo_core.entities.task import Task
from todo_core.entities.task_query import TaskOrder, TaskQuery
from todo_core.entities.text import SearchText
from todo_core.entities.user import UserId

TASKS = 5_000
PAGE = 9
BY_TITLE = [
    TaskQuery(order=TaskOrder.TITLE, descending=descending, completed=completed)
    for descending, completed in product((True, False), (None, False))
]


def owner_of_many(container: Container) -> UserId:
    """Return an owner with thousands of tasks, some with titles that are not in ASCII."""
    user = container.application().register_user(
        name="Ada", email="ada@example.com", password="a rather long sentence"
    )
    now = container.clock().now()
    with container.unit_of_work()() as work:
        ids = container.identifiers().task_ids(user.id, TASKS, created_at=now)
        for number, task_id in enumerate(ids):
            title = f"{'Ä' if number % 10 == 0 else 'a'} {number * 7919 % 10007:05}"
            work.tasks.add(
                Task.create(id=task_id, owner_id=user.id, title=title, description=None, now=now)
            )
    return user.id


@contextmanager
def created(container: Container, name: str) -> Iterator[None]:
    """Create an index as the documentation says, and drop it at the end."""
    engine = container.database().engine
    statements = optional_index(name, engine.dialect.name)
    assert statements is not None
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("ANALYZE tasks")
    try:
        yield
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP INDEX {name}")


def two_pages(container: Container, owner: UserId, query: TaskQuery) -> Sequence[Task]:
    """Return the tasks of two pages, the second of which continues the first."""
    first = container.tasks().page(owner, query, limit=PAGE)
    second = container.tasks().page(owner, query, limit=PAGE, after=first.last)
    return [*first.tasks, *second.tasks]


def plan_of(container: Container, owner: UserId, query: TaskQuery, statement: Query) -> str:
    parameters = page_parameters(owner, query, limit=PAGE, after=None, offset=0)
    return explain_for_values(container, statement, parameters)


def test_a_list_by_title_uses_its_index_and_is_the_same(container: Container) -> None:
    owner = owner_of_many(container)
    limits_parts = container.database().dialect.limits_parts
    before = [two_pages(container, owner, query) for query in BY_TITLE]
    with created(container, "tasks_by_title"):
        for query in BY_TITLE:
            page = page_statement(query, limits_parts=limits_parts)
            plan = plan_of(container, owner, query, page)
            assert "tasks_by_title" in plan
            assert "Sort" not in plan
            assert "TEMP B-TREE" not in plan
        assert [two_pages(container, owner, query) for query in BY_TITLE] == before
    titles = [task.title for task in before[2]]
    assert titles == sorted(titles)
    assert all(len({task.id for task in tasks}) == 2 * PAGE for tasks in before)


def test_a_search_uses_its_index_and_finds_the_same(postgresql_container: Container) -> None:
    owner = owner_of_many(postgresql_container)
    query = TaskQuery(search=SearchText("A 0770"))
    page = page_statement(query, limits_parts=True)
    before = two_pages(postgresql_container, owner, query)
    with created(postgresql_container, "tasks_search"):
        for statement in (page, count_statement(query)):
            assert "tasks_search" in plan_of(postgresql_container, owner, query, statement)
        assert two_pages(postgresql_container, owner, query) == before
    assert len(before) > 1
