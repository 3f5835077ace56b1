"""Queries for pages of tasks: one statement for each combination of conditions that is used.

The indexes on tasks begin with the owner and whether a task is completed. A list of both kinds is
a union of two, each of which an index has in the order of creation, and another in that of the
changes. So a page in these orders takes the same time, however many tasks the owner has. In the
order of titles, all tasks of the owner are read and sorted. A search reads all of them too, unless
a first look at some hundred tasks, in the order of creation, finds enough matches for the page.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import lru_cache, partial
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    false,
    literal_column,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.base import ColumnCollection
from sqlmodel import BigInteger, bindparam, case, func, select

from todo_adapters.sql.folding import contains, folded, search_parameters
from todo_adapters.sql.ranks import stored_position
from todo_adapters.sql.revisions import ONE, OWNER_ROW, ZERO
from todo_adapters.sql.statements import PLAN_EACH_TIME, Parameters, Query
from todo_adapters.sql.tables import DELETED_TASKS, TASK_OWNERS, TASKS, DeletedTaskRow, TaskRow
from todo_adapters.sql.tags import has_any_tag, has_tags, tag_parameters
from todo_adapters.sql.task_rows import (
    TASK_COLUMNS,
    has_priority,
    priority_parameters,
    stored_completed_at,
    stored_priority,
)
from todo_core.entities.tags import MAX_TAGS
from todo_core.entities.task import Title
from todo_core.entities.task_query import ALL_TASKS, Position, TaskOrder, TaskQuery
from todo_core.entities.user import UserId

_OWNED = TASKS.c.owner_id == bindparam("owner")
_DELETED_OWNED = DELETED_TASKS.c.owner_id == bindparam("owner")
# In the same statement as the tasks, so that it is of the same moment. Each row repeats it.
_REVISION = (
    select(TASK_OWNERS.c.revision).where(OWNER_ROW).scalar_subquery().label("owner_revision")
)
_FOLDED = (TASKS.c.folded_title, TASKS.c.folded_description)


def _contains_text(columns: ColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Return the condition that the title or the description contains the search text."""
    title = folded(columns["folded_title"], columns["title"])
    description = folded(columns["folded_description"], columns["description"])
    return contains(title) | contains(description)


def _sort_value(columns: ColumnCollection[str, Any], order: TaskOrder) -> ColumnElement[Any]:
    match order:
        case TaskOrder.TITLE:
            # Text in ASCII is not longer when it is folded.
            first = func.substr(columns["folded_title"], ONE, literal_column(str(Title.max_length)))
            return folded(first, columns["title"])
        case TaskOrder.POSITION:
            return stored_position(columns)
        case TaskOrder.PRIORITY:
            return stored_priority(columns)
        case TaskOrder.COMPLETED_AT:
            return stored_completed_at(columns)
    column: ColumnElement[Any] = columns[_SORT_COLUMNS[order]]
    return column


_SORT_COLUMNS = {
    TaskOrder.CREATED_AT: "created_at",
    TaskOrder.UPDATED_AT: "revision",
    TaskOrder.DUE_DATE: "due_at",
}


class _Condition(NamedTuple):
    """A condition of a query: how it is built, and its parameters, by the value in the query."""

    build: Callable[[ColumnCollection[str, Any]], ColumnElement[bool]]
    parameters: Callable[[Any], Parameters] = lambda _: {}


def _compared(name: str, column: str, compare: Callable[[Any, Any], Any]) -> _Condition:
    return _Condition(
        lambda columns: compare(columns[column], bindparam(name)), lambda value: {name: value}
    )


def _by_count(name: str, build: Callable[..., ColumnElement[bool]]) -> Mapping[str, _Condition]:
    """Return a condition for each number of tags: in SQL, a loop takes ten times as long."""
    return {
        f"{name} {count}": _Condition(
            partial(build, name=name, count=count), partial(tag_parameters, name)
        )
        for count in range(MAX_TAGS + 1)
    }


def _has_parent(columns: ColumnCollection[str, Any]) -> ColumnElement[bool]:
    """Return the condition that the task is a subtask of this parent.

    By its ids, SQLite looks up each task. By its parents, it would read all tasks of the owner,
    since it does not expect that a parent has few of them.
    """
    table = (DELETED_TASKS if columns is DELETED_TASKS.c else TASKS).alias("subtasks")
    ids = select(table.c.id).where(
        table.c.owner_id == bindparam("owner"), table.c.parent_id == bindparam("parent_id")
    )
    is_subtask: ColumnElement[bool] = columns["id"].in_(ids)
    return is_subtask


def _is_overdue(columns: ColumnCollection[str, Any]) -> ColumnElement[bool]:
    return and_(columns["completed"] == false(), columns["due_at"] < bindparam("now"))


_CONDITIONS: Mapping[str, _Condition] = {
    "priorities": _Condition(has_priority, priority_parameters),
    **_by_count("tags", has_tags),
    **_by_count("any_tags", has_any_tag),
    "parent_id": _Condition(_has_parent, lambda parent_id: {"parent_id": parent_id}),
    "has_parent": _Condition(lambda columns: columns["parent_id"].is_not(None)),
    "has_parent not": _Condition(lambda columns: columns["parent_id"].is_(None)),
    "due_after": _compared("due_after", "due_at", operator.ge),
    "due_before": _compared("due_before", "due_at", operator.lt),
    "has_due": _Condition(lambda columns: columns["due_at"].is_not(None)),
    "has_due not": _Condition(lambda columns: columns["due_at"].is_(None)),
    "overdue": _Condition(_is_overdue),
    "overdue not": _Condition(lambda columns: func.coalesce(~_is_overdue(columns), true())),
    "created_after": _compared("created_after", "created_at", operator.gt),
    "created_before": _compared("created_before", "created_at", operator.lt),
    "updated_after": _compared("updated_after", "updated_at", operator.gt),
    "search": _Condition(_contains_text, search_parameters),
}
"""The conditions by the attributes of a query, with ` not` for a False and the number of tags."""

_FEW = {"search", "parent_id"}
"""The conditions for which tasks are found without the index that has them in order."""

_DATED = {"due_after", "due_before", "has_due", "overdue"}
"""The conditions that only tasks with a due date meet."""


_LOOKED_AT_FIRST, _LOOKED_AT_FOR_EACH = 500, 10
"""How many tasks the first look of a search reads.

It is the larger of the first number, and the second one for each task of the page.
"""


class Values(Enum):
    """Which of the tasks that match have a value by which they are sorted."""

    ALL = "all"
    SOME = "some"
    NONE = "none"


class Continues(Enum):
    """Where a page begins: at the start, or after a task that has a value, or has none."""

    NOT = "not"
    AFTER_VALUE = "after a value"
    AFTER_NONE = "after none"

    @classmethod
    def after(cls, position: Position | None) -> "Continues":
        """Return where the page after this position begins."""
        if position is None:
            return cls.NOT
        return cls.AFTER_NONE if position.value is None else cls.AFTER_VALUE


class _Shape(NamedTuple):
    """What the SQL of a query depends on."""

    completed: bool | None
    conditions: tuple[str, ...]
    order: TaskOrder
    descending: bool
    continues: "Continues"
    skips: bool
    limits_parts: bool
    deleted: bool
    looks_first: bool = False

    @property
    def columns(self) -> ColumnCollection[str, Any]:
        """The columns of the table with the tasks, or of that with the trash."""
        return DELETED_TASKS.c if self.deleted else TASKS.c

    @property
    def values(self) -> "Values":
        """Which of the tasks that match have a value by which they are sorted."""
        match self.order:
            case TaskOrder.DUE_DATE if not _DATED.isdisjoint(self.conditions):
                return Values.ALL
            case TaskOrder.DUE_DATE:
                return Values.NONE if "has_due not" in self.conditions else Values.SOME
            case TaskOrder.COMPLETED_AT if self.completed is None:
                return Values.SOME
            case TaskOrder.COMPLETED_AT:
                return Values.ALL if self.completed else Values.NONE
        return Values.ALL

    @property
    def is_sorted(self) -> bool:
        """Whether all tasks that match are sorted, because no index has them in this order."""
        return (
            self.deleted
            or self.order not in _SORT_COLUMNS
            or not _FEW.isdisjoint(self.conditions)
            or self.values is not Values.ALL
        )


def page_statement(
    query: TaskQuery,
    *,
    continues: Continues = Continues.NOT,
    skips: bool = False,
    limits_parts: bool,
) -> Query:
    """Return the statement for a page.

    It has an offset only if it `skips` tasks: two more parameters would take 2 % of the time of a
    list.
    """
    return _page_statement(
        _Shape(
            query.completed,
            _used_conditions(query),
            query.order,
            query.descending,
            continues,
            skips,
            limits_parts,
            query.deleted,
        )
    )


def page_parameters(
    owner_id: UserId, query: TaskQuery, *, limit: int, after: Position | None, offset: int
) -> Parameters:
    """Return the parameters of `page_statement`."""
    position = {} if after is None else {"after_value": after.value, "after_id": after.id}
    return {
        **count_parameters(owner_id, query),
        **position,
        "limit": limit,
        "offset": offset,
        "reach": limit + offset,
    }


def can_look_first(query: TaskQuery, *, offset: int) -> bool:
    """Return whether `first_look_statement` may fill a page of this query."""
    is_usual = query.order is TaskOrder.CREATED_AT and not query.deleted
    return query.search is not None and is_usual and not offset


def can_divide(query: TaskQuery, *, offset: int) -> bool:
    """Return whether a page in the order of due dates is one of those with one, then of the others.

    Otherwise the query asks for either kind anyway, or all tasks that match are read and sorted.
    """
    asks_for_due = (query.has_due, query.overdue, query.due_after, query.due_before)
    is_usual = query.search is None and not query.deleted
    return is_usual and not offset and all(each is None for each in asks_for_due)


def first_look_statement(query: TaskQuery, *, continues: Continues, limits_parts: bool) -> Query:
    """Return the statement for the matches of a search among the tasks of the first look."""
    conditions = tuple(name for name in _used_conditions(query) if name != "search")
    return _page_statement(
        _Shape(
            query.completed,
            conditions,
            query.order,
            query.descending,
            continues,
            skips=False,
            limits_parts=limits_parts,
            deleted=False,
            looks_first=True,
        )
    )


def first_look_parameters(
    owner_id: UserId, query: TaskQuery, *, limit: int, after: Position | None
) -> Parameters:
    """Return the parameters of `first_look_statement`."""
    looked_at = max(_LOOKED_AT_FIRST, _LOOKED_AT_FOR_EACH * limit)
    parameters = page_parameters(owner_id, query, limit=looked_at, after=after, offset=0)
    return {**parameters, "page_limit": limit}


def count_statement(query: TaskQuery) -> Query:
    """Return the statement that counts the tasks of a query."""
    return _count_statement(query.completed, _used_conditions(query), query.deleted)


def count_parameters(owner_id: UserId, query: TaskQuery) -> Parameters:
    """Return the parameters of `count_statement`."""
    parameters: dict[str, Any] = {"owner": owner_id}
    for name in _used_conditions(query):
        value = getattr(query, name.partition(" ")[0])
        parameters.update(_CONDITIONS[name].parameters(value))
    if query.depends_on_clock:
        parameters["now"] = query.now
    return parameters


def _used_conditions(query: TaskQuery) -> tuple[str, ...]:
    if query is ALL_TASKS:
        return ()  # as for most lists
    values = {name: getattr(query, name) for name in _QUERIED}
    return tuple(_condition(name, value) for name, value in values.items() if value is not None)


def _condition(name: str, value: object) -> str:
    if value is False:
        return f"{name} not"
    return f"{name} {len(value)}" if name in _TAGS and isinstance(value, frozenset) else name


_TAGS = {"tags", "any_tags"}
_QUERIED = tuple(dict.fromkeys(name.partition(" ")[0] for name in _CONDITIONS))


@lru_cache
def _count_statement(completed: bool | None, conditions: Sequence[str], deleted: bool) -> Query:
    table, row = (DELETED_TASKS, DeletedTaskRow) if deleted else (TASKS, TaskRow)
    statement = _owned(select(row).with_only_columns(func.count()), table.c)
    return _planned(_filtered(statement, table.c, completed, conditions), conditions)


def _owned(
    statement: Select[*tuple[Any, ...]], columns: ColumnCollection[str, Any]
) -> Select[*tuple[Any, ...]]:
    """Restrict a query to the tasks of the owner, and one of the trash to what is not erased."""
    if columns is DELETED_TASKS.c:
        return statement.where(_DELETED_OWNED, DELETED_TASKS.c.title.is_not(None))
    return statement.where(_OWNED)


@lru_cache
def _page_statement(shape: _Shape) -> Query:
    statement = _built_first_look(shape) if shape.looks_first else _built_page_statement(shape)
    return _planned(statement, shape.conditions)


def _planned(statement: Query, conditions: Sequence[str]) -> Query:
    # How many tasks match a time or a search depends on its value, and so does the best plan.
    return statement.execution_options(**{PLAN_EACH_TIME: True}) if conditions else statement


def _built_first_look(shape: _Shape) -> Select[*tuple[Any, ...]]:
    looked_at = _built_page_statement(shape).subquery("looked_at")
    names = [column.name for column in (*TASK_COLUMNS, _REVISION)]
    found = select(*(looked_at.c[name] for name in names))
    place = (looked_at.c["created_at"], looked_at.c["id"])
    matching: Select[*tuple[Any, ...]] = found.where(_contains_text(looked_at.c))
    return matching.order_by(*_directed(shape, *place)).limit(bindparam("page_limit"))


def _built_page_statement(shape: _Shape) -> Select[*tuple[Any, ...]] | CompoundSelect[Any]:
    offset: BindParameter[int] | None = bindparam("offset") if shape.skips else None
    if shape.completed is not None or shape.is_sorted:
        one = _part(shape, shape.completed).order_by(*_order(shape))
        return one.limit(bindparam("limit")).offset(offset)
    parts = [_part(shape, completed) for completed in (False, True)]
    if shape.limits_parts:
        # The limit is a parameter: for a literal one, the planner may sort the whole part.
        order = _order(shape)
        reach: BindParameter[int] = bindparam("reach" if shape.skips else "limit")
        parts = [part.order_by(*order).limit(reach) for part in parts]
    both = union_all(*parts)
    columns = both.selected_columns
    ordered = both.order_by(*_directed(shape, _sort_value(columns, shape.order), columns["id"]))
    return ordered.limit(bindparam("limit")).offset(offset)


def _part(shape: _Shape, completed: bool | None) -> Select[*tuple[Any, ...]]:
    """Return the query for the tasks of a page: completed ones, others, or (None) both."""
    columns = shape.columns
    names = [column.name for column in (*TASK_COLUMNS, *(_FOLDED if shape.looks_first else ()))]
    if shape.order is TaskOrder.UPDATED_AT:
        names.append("revision")
    row = DeletedTaskRow if shape.deleted else TaskRow
    selected = select(row).with_only_columns(*(columns[name] for name in names), _REVISION)
    statement = _owned(selected, columns)
    if shape.continues is not Continues.NOT:
        statement = statement.where(_follows(shape))
    return _filtered(statement, columns, completed, shape.conditions)


def _follows(shape: _Shape) -> ColumnElement[bool]:
    """Return the condition that a task comes after the position in the parameters."""
    compare = operator.lt if shape.descending else operator.gt
    value, task_id = _sort_value(shape.columns, shape.order), shape.columns["id"]
    after_id = bindparam("after_id", type_=BigInteger)
    if shape.continues is Continues.AFTER_NONE:
        follows: ColumnElement[bool] = compare(task_id, after_id)
        return follows if shape.values is Values.NONE else value.is_(None) & follows
    after = tuple_(bindparam("after_value", type_=value.type), after_id)
    follows = compare(tuple_(value, task_id), after)
    return follows if shape.values is Values.ALL else value.is_(None) | follows


def _filtered(
    statement: Select[*tuple[Any, ...]],
    columns: ColumnCollection[str, Any],
    completed: bool | None,
    conditions: Sequence[str],
) -> Select[*tuple[Any, ...]]:
    if completed is not None and not _FEW.isdisjoint(conditions):
        # An expression that no index has: fetching rows one by one takes longer than reading all.
        statement = statement.where(
            case((columns["completed"], ONE), else_=ZERO) == (ONE if completed else ZERO)
        )
    elif completed is not None:
        # As a literal, so that each value gets a plan of its own.
        statement = statement.where(columns["completed"] == (true() if completed else false()))
    return statement.where(*(_CONDITIONS[name].build(columns) for name in conditions))


def _order(shape: _Shape) -> Sequence[ColumnElement[Any]]:
    task_id = shape.columns["id"]
    if shape.values is Values.NONE:
        return _directed(shape, task_id)
    value = _sort_value(shape.columns, shape.order)
    directed = _directed(shape, value, task_id)
    return directed if shape.values is Values.ALL else [value.is_(None), *directed]


def _directed(shape: _Shape, *place: ColumnElement[Any]) -> Sequence[ColumnElement[Any]]:
    return [column.desc() if shape.descending else column.asc() for column in place]
