"""Writes of tasks, each of which takes the next revision of the owner.

The owner's row is locked from the write to the end of its transaction. So the transactions of one
owner commit in the order of their revisions: a client that has read up to a revision has missed no
earlier change. A write of existing tasks locks them before the owner's row, in the order of their
ids, so that no two transactions wait for each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Delete,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    delete,
    insert,
    literal_column,
    true,
)
from sqlalchemy.sql.base import ColumnCollection
from sqlmodel import Integer, Uuid, bindparam, case, exists, select, text, update

from todo_adapters.sql.tables import TASK_OWNERS

OWNER_ROW = TASK_OWNERS.c.owner_id == bindparam("owner")

# In the text of the statement, these need not be bound each time.
ONE: ColumnElement[int] = literal_column("1", Integer)
ZERO: ColumnElement[int] = literal_column("0", Integer)

HAS_ROOM = TASK_OWNERS.c.total < bindparam("most", type_=Integer)

type BuildWrite = Callable[[ColumnElement[int], ColumnElement[bool]], Insert | Update | Delete]
"""Builds the write of a task, from the new revision and from whether there is one."""

OPEN_OWNER = text(
    "INSERT INTO task_owners (owner_id, revision, total, completed)"
    " SELECT :owner, 0, count(*), count(CASE WHEN completed THEN 1 END)"
    " FROM tasks WHERE owner_id = :owner"
    " AND NOT EXISTS (SELECT 1 FROM task_owners WHERE owner_id = :owner)"
    " ON CONFLICT (owner_id) DO NOTHING"
).bindparams(bindparam("owner", type_=Uuid))
"""Adds the row of an owner who has none, with their tasks counted. Otherwise nothing is counted."""


def one_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return what a task adds to a count of the owner's row."""
    return case((condition, ONE), else_=ZERO)


def advance_owner(**counts: ColumnElement[int]) -> Update:
    """Return the update of the owner's row to the next revision and these counts."""
    return (
        update(TASK_OWNERS).where(OWNER_ROW).values(revision=TASK_OWNERS.c.revision + ONE, **counts)
    )


@dataclass(frozen=True)
class Advance:
    """The update of the owner's row, as a statement of its own and as part of another one."""

    alone: Update
    within: Update

    @classmethod
    def for_task(
        cls, found: Select[tuple[bool]], build: Callable[[FromClause], Update]
    ) -> "Advance":
        """Build the updates from the task as it is stored, of which `found` selects `completed`.

        The part of another statement locks the task before the owner's row. The one of its own has
        no CTE: after WITH, Python's SQLite does not tell how many rows were updated.
        """
        return cls(build(found.subquery("found")), build(found.with_for_update().cte("found")))


class RevisedWrite:
    """A write of a task that takes the next revision of its owner.

    `advance` updates the owner's row, unless there is nothing to write.
    """

    def __init__(self, advance: Advance, build: BuildWrite) -> None:
        self.advance = advance.alone
        """The first of several statements. For SQLite, RETURNING would take half as long again."""
        self.writes: Sequence[Insert | Update | Delete] = (build(_NEW_REVISION, true()),)
        """The others, if the first one has updated a row."""
        advanced = advance.within.returning(TASK_OWNERS.c.revision).cte("advanced")
        self.at_once: Insert | Update | Delete = build(*_advanced(advanced))
        """All in one statement, for databases whose queries may write."""


class RevisedMove(RevisedWrite):
    """A move of a task to another table that takes the next revision of its owner.

    `change` returns the columns whose values differ in the other table. `advance` gets the chosen
    task, as in `Advance.for_task`.
    """

    def __init__(
        self,
        advance: Callable[[FromClause], Update],
        source: Table,
        target: Table,
        chosen: Sequence[ColumnElement[bool]],
        change: Callable[[ColumnCollection[str, Any]], Mapping[str, ColumnElement[Any]]],
    ) -> None:
        advances = Advance.for_task(select(source.c.completed).where(*chosen), advance)

        def copy(
            columns: ColumnCollection[str, Any],
            revision: ColumnElement[int],
            *conditions: ColumnElement[bool],
        ) -> Insert:
            values = {**dict(columns), **change(columns), "revision": revision}
            names = [column.name for column in target.c if column.name in values]
            return insert(target).from_select(
                names, select(*(values[name] for name in names)).where(*conditions)
            )

        self.advance = advances.alone
        self.writes = (copy(source.c, _NEW_REVISION, *chosen), delete(source).where(*chosen))
        advanced = advances.within.returning(TASK_OWNERS.c.revision).cte("advanced")
        revision, has_advanced = _advanced(advanced)
        moved = delete(source).where(*chosen, has_advanced).returning(*source.c).cte("moved")
        self.at_once = copy(moved.c, revision)


_NEW_REVISION = select(TASK_OWNERS.c.revision).where(OWNER_ROW).scalar_subquery()


def _advanced(advanced: CTE) -> tuple[ColumnElement[int], ColumnElement[bool]]:
    """Return the new revision, and whether there is one."""
    return select(advanced.c.revision).scalar_subquery(), exists(select(advanced.c.revision))
