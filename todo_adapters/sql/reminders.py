"""Reminders in SQL: firing them, and an outbox of their emails.

What is due is looked for without a lock, so that nothing is written or locked while nothing is.
The tasks of one owner are then locked, before the owner's row (see `todo_adapters.sql.revisions`).
Locked ones are skipped: another transaction changes them, or fires their reminders.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, FromClause, and_
from sqlmodel import (
    BigInteger,
    String,
    Uuid,
    bindparam,
    delete,
    func,
    select,
    text,
    update,
)

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.reminder_rows import reminders_of
from todo_adapters.sql.revisions import ONE, OPEN_OWNER, advance_owner
from todo_adapters.sql.statements import AnyRow, Parameters, Query
from todo_adapters.sql.tables import (
    FIRED_REMINDERS,
    TASK_OWNERS,
    TASKS,
    FiredReminderRow,
    TaskRow,
    UtcDateTime,
)
from todo_adapters.sql.tasks import NAMED_IDS
from todo_core.entities.fired_reminder import ClaimedEmail, FiredReminder
from todo_core.entities.task import TaskId
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone
from todo_core.ports.reminders import ReminderRepository

_OWNED = TASKS.c.owner_id == bindparam("owner")
_IS_DUE = TASKS.c.remind_at <= bindparam("now", type_=UtcDateTime)

DUE = (
    select(TaskRow)
    .with_only_columns(TASKS.c.owner_id, TASKS.c.id)
    .where(_IS_DUE)
    .order_by(TASKS.c.remind_at)
    .limit(bindparam("limit"))
)
LOCK_DUE = (
    select(TaskRow)
    .with_only_columns(
        TASKS.c.id,
        TASKS.c.remind_at,
        TASKS.c.reminders,
        TASKS.c.reminder_times,
        TASKS.c.completed,
    )
    .where(_OWNED, TASKS.c.id.in_(NAMED_IDS), _IS_DUE)
    .order_by(TASKS.c.id)
    .with_for_update(skip_locked=True)
)
ADVANCE_OWNER = advance_owner().returning(TASK_OWNERS.c.revision)
RECORD_FIRED = text(
    "INSERT INTO fired_reminders"
    " (owner_id, task_id, remind_at, revision, fired_at, email_due_at, attempts)"
    " VALUES (:owner, :new_id, :moment, :revision, :now, :email_due_at, 0)"
    " ON CONFLICT (owner_id, task_id, remind_at) DO NOTHING"
).bindparams(
    bindparam("owner", type_=Uuid),
    bindparam("new_id", type_=BigInteger),
    bindparam("moment", type_=UtcDateTime),
    bindparam("revision", type_=BigInteger),
    bindparam("now", type_=UtcDateTime),
    bindparam("email_due_at", type_=UtcDateTime),
)
SET_NEXT = (
    update(TASKS)
    .where(_OWNED, TASKS.c.id == bindparam("task_id", type_=BigInteger))
    .values(remind_at=bindparam("new_remind_at", type_=UtcDateTime))
)

_FIRED_COLUMNS = (
    FIRED_REMINDERS.c.owner_id,
    FIRED_REMINDERS.c.task_id,
    FIRED_REMINDERS.c.remind_at,
    FIRED_REMINDERS.c.revision,
)


def _fired_after(
    known: FromClause, owner_id: ColumnElement[Any], revision: ColumnElement[Any]
) -> Query:
    """Return the query for what was fired after the revisions that are known."""
    is_new = and_(FIRED_REMINDERS.c.owner_id == owner_id, FIRED_REMINDERS.c.revision > revision)
    return (
        select(FiredReminderRow)
        .with_only_columns(*_FIRED_COLUMNS)
        .select_from(known.join(FIRED_REMINDERS, is_new))
        .order_by(
            FIRED_REMINDERS.c.revision, FIRED_REMINDERS.c.remind_at, FIRED_REMINDERS.c.task_id
        )
    )


_in_arrays = (
    func.unnest(
        bindparam("owners", type_=ARRAY(Uuid)), bindparam("revisions", type_=ARRAY(BigInteger))
    )
    .table_valued("owner_id", "revision")
    .render_derived()
)
_in_json = func.json_each(bindparam("known", type_=String)).table_valued("key", "value")
FIRED_AFTER = {
    "array": _fired_after(_in_arrays, _in_arrays.c.owner_id, _in_arrays.c.revision),
    "json": _fired_after(_in_json, _in_json.c.key, _in_json.c.value),
}
"""What was fired after a revision of each owner, by how a database takes arrays."""

_THIS_FIRED = (
    FIRED_REMINDERS.c.owner_id == bindparam("owner"),
    FIRED_REMINDERS.c.task_id == bindparam("of_task"),
    FIRED_REMINDERS.c.remind_at == bindparam("moment", type_=UtcDateTime),
)
# Two conditions, each of which an index has in order, and not one with OR.
_TO_BE_SENT = (
    FIRED_REMINDERS.c.email_due_at <= bindparam("now", type_=UtcDateTime),
    FIRED_REMINDERS.c.email_due_at > bindparam("latest", type_=UtcDateTime),
)
HAS_EMAIL = tuple(
    select(FiredReminderRow)
    .with_only_columns(FIRED_REMINDERS.c.task_id)
    .where(is_to_be_sent)
    .limit(ONE)
    for is_to_be_sent in _TO_BE_SENT
)


def _chosen(condition: ColumnElement[bool], order: ColumnElement[Any]) -> Query:
    """Return the query for some rows that no other process has locked, in an order."""
    return (
        select(FiredReminderRow)
        .with_only_columns(*_FIRED_COLUMNS, FIRED_REMINDERS.c.fired_at, FIRED_REMINDERS.c.attempts)
        .where(condition)
        .order_by(order)
        .limit(bindparam("limit"))
        .with_for_update(skip_locked=True)
    )


CHOOSE_EMAILS = tuple(
    _chosen(is_to_be_sent, FIRED_REMINDERS.c.email_due_at) for is_to_be_sent in _TO_BE_SENT
)
CLAIM_EMAIL = (
    update(FIRED_REMINDERS)
    .where(*_THIS_FIRED)
    .values(
        email_due_at=bindparam("until", type_=UtcDateTime),
        attempts=FIRED_REMINDERS.c.attempts + ONE,
    )
)
SETTLE_EMAIL = update(FIRED_REMINDERS).where(*_THIS_FIRED).values(email_due_at=None)
PUT_OFF_EMAIL = (
    update(FIRED_REMINDERS)
    .where(*_THIS_FIRED, FIRED_REMINDERS.c.email_due_at.is_not(None))
    .values(email_due_at=bindparam("until", type_=UtcDateTime))
)
CHOOSE_OLD = _chosen(
    FIRED_REMINDERS.c.fired_at < bindparam("fired_before", type_=UtcDateTime),
    FIRED_REMINDERS.c.fired_at,
)
PURGE = delete(FIRED_REMINDERS).where(*_THIS_FIRED)

_CONSTRAINT_ERRORS = {
    "fk_fired_reminders_owner_id_users": AccountGone,
    "fk_task_owners_owner_id_users": AccountGone,
}


class SqlReminderRepository(ReminderRepository):
    """Reminders in the tables `tasks` and `fired_reminders`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def due(self, *, now: datetime, limit: int) -> Mapping[UserId, Sequence[TaskId]]:
        found = defaultdict[UserId, list[TaskId]](list)
        for owner_id, task_id in self._executor.rows(DUE, {"now": now, "limit": limit}):
            found[owner_id].append(task_id)
        return found

    def fire(
        self, owner_id: UserId, task_ids: Sequence[TaskId], *, now: datetime, with_emails: bool
    ) -> int:
        owner = {"owner": owner_id}
        with self._executor.atomically() as executor:
            ids = dict.fromkeys(map(str, task_ids))
            rows = executor.rows(LOCK_DUE, {**owner, "task_ids": ids, "now": now})
            if not rows:
                return 0
            fired = [
                (task_id, moment)
                for task_id, remind_at, reminders, times, completed in rows
                if not completed
                for moment in reminders_of(reminders, times).due(remind_at, now)
            ]
            if fired:
                record = {
                    **owner,
                    "revision": _next_revision(executor, owner_id),
                    "now": now,
                    "email_due_at": now if with_emails else None,
                }
                executor.write_many(
                    RECORD_FIRED,
                    [{**record, "new_id": task_id, "moment": moment} for task_id, moment in fired],
                    _CONSTRAINT_ERRORS,
                )
            executor.write_many(
                SET_NEXT,
                [{**owner, "task_id": row[0], "new_remind_at": _next(row, now)} for row in rows],
            )
        return len(rows)

    def fired_after(self, revisions: Mapping[UserId, int]) -> Sequence[FiredReminder]:
        if self._executor.dialect.has_arrays:
            rows = self._executor.rows(
                FIRED_AFTER["array"],
                {"owners": list(revisions), "revisions": list(revisions.values())},
            )
        else:
            known = {owner.hex: revision for owner, revision in revisions.items()}
            rows = self._executor.rows(FIRED_AFTER["json"], {"known": json.dumps(known)})
        return [FiredReminder(*row) for row in rows]

    def claim_emails(
        self, *, now: datetime, until: datetime, latest: datetime, limit: int
    ) -> Sequence[ClaimedEmail]:
        parameters = {"now": now, "latest": latest, "limit": limit}
        for has_email, choose in zip(HAS_EMAIL, CHOOSE_EMAILS, strict=True):
            # A transaction would lock a SQLite database, even if there is nothing to update.
            if self._executor.row(has_email, parameters) is not None:
                return self._claim(choose, parameters, until)
        return []

    def _claim(
        self, choose: Query, parameters: Parameters, until: datetime
    ) -> Sequence[ClaimedEmail]:
        with self._executor.atomically() as executor:
            claimed = [
                ClaimedEmail(FiredReminder(*fired), fired_at, attempts + 1)
                for *fired, fired_at, attempts in executor.rows(choose, parameters)
            ]
            if claimed:
                executor.write_many(
                    CLAIM_EMAIL, [{**_this(each.reminder), "until": until} for each in claimed]
                )
        return claimed

    def settle_email(self, reminder: FiredReminder) -> None:
        self._executor.write(SETTLE_EMAIL, _this(reminder))

    def put_off_email(self, reminder: FiredReminder, *, until: datetime) -> None:
        self._executor.write(PUT_OFF_EMAIL, {**_this(reminder), "until": until})

    def purge(self, *, fired_before: datetime, limit: int) -> int:
        with self._executor.atomically() as executor:
            rows = executor.rows(CHOOSE_OLD, {"fired_before": fired_before, "limit": limit})
            old = [_this(FiredReminder(*fired)) for *fired, _, _ in rows]
            if old:
                executor.write_many(PURGE, old)
        return len(old)


def _this(reminder: FiredReminder) -> dict[str, object]:
    return {
        "owner": reminder.owner_id,
        "of_task": reminder.task_id,
        "moment": reminder.remind_at,
    }


def _next(row: AnyRow, now: datetime) -> datetime | None:
    """Return when the task of a row of `LOCK_DUE` reminds next."""
    _, _, reminders, times, completed = row
    return None if completed else reminders_of(reminders, times).next_after(now)


def _next_revision(executor: SqlExecutor, owner_id: UserId) -> int:
    """Take the next revision of the owner, whose row may be missing."""
    owner = {"owner": owner_id}
    advanced = executor.values(ADVANCE_OWNER, owner)
    if not advanced:
        executor.write(OPEN_OWNER, owner, _CONSTRAINT_ERRORS)
        advanced = executor.values(ADVANCE_OWNER, owner)
    return int(advanced[0])
