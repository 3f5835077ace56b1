"""What must follow a restore, because the writes since the backup are lost.

Clients, emails and tokens know of those writes. So that none of them is mistaken for what the
service writes from now on:

- all sessions are revoked, also those of external issuers up to now, and so are password resets and
  tickets: those that were revoked since the backup would be valid again;
- the revision of each owner and the version of each task skip the numbers that were given since
  the backup. Clients that keep a copy of the tasks read all of them again, and no entity tag from
  before the restore matches;
- reminders that are due count as fired: those that came due since the backup may have been sent.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection
from sqlmodel import bindparam, delete, insert, literal, select, update

from todo_adapters.sql.database import Database
from todo_adapters.sql.reminders import SqlReminderRepository
from todo_adapters.sql.tables import (
    DELETED_TASKS,
    EXTERNAL_REVOCATIONS,
    FIRED_REMINDERS,
    IDENTITIES,
    PASSWORD_RESETS,
    REVOKED_SESSIONS,
    SESSIONS,
    STREAM_TICKETS,
    TASK_OWNERS,
    TASKS,
    UtcDateTime,
)
from todo_core.entities.identity import Identity

SKIPPED_REVISIONS = 2**40
"""More writes of one owner than are possible between a backup and its restore.

A JSON number is exact up to 2**53, after 8,000 restores.
"""

SKIPPED_VERSIONS = 1_000_000
"""More changes of one task than are plausible between a backup and its restore.

A version has 31 bits: 2,000 restores.
"""

_TASKS_IN_A_QUERY = 200


@dataclass(frozen=True, slots=True)
class Recovery:
    """How many sessions were revoked, and of how many tasks reminders were skipped."""

    sessions: int
    reminders: int


def recover(database: Database, *, now: datetime) -> Recovery:
    """Do what must follow a restore. The service must not run.

    Doing it again does no harm: all users log in and synchronize again.

    Raises:
        Unavailable: if the database does not respond.
    """
    reminders = _skip_reminders(SqlReminderRepository(database), now)
    with database.schema_change() as connection:
        return Recovery(_recover(connection, now), reminders)


def _skip_reminders(reminders: SqlReminderRepository, now: datetime) -> int:
    skipped = 0
    while True:
        due = reminders.due(now=now, limit=_TASKS_IN_A_QUERY)
        some = sum(
            reminders.fire(owner_id, task_ids, now=now, with_emails=False)
            for owner_id, task_ids in due.items()
        )
        if not some:
            return skipped
        skipped += some


def _recover(connection: Connection, now: datetime) -> int:
    time = literal(now, UtcDateTime)
    connection.execute(
        insert(REVOKED_SESSIONS).from_select(["id", "revoked_at"], select(SESSIONS.c.id, time))
    )
    revoked = connection.execute(delete(SESSIONS))
    for table in (PASSWORD_RESETS, STREAM_TICKETS, FIRED_REMINDERS):
        connection.execute(delete(table))
    _revoke_external_sessions(connection, now)
    revision = TASK_OWNERS.c.revision + SKIPPED_REVISIONS
    connection.execute(update(TASK_OWNERS).values(revision=revision, forgotten_revision=revision))
    for table in (TASKS, DELETED_TASKS):
        connection.execute(update(table).values(version=table.c.version + SKIPPED_VERSIONS))
    return revoked.rowcount


def _revoke_external_sessions(connection: Connection, now: datetime) -> None:
    identities = connection.execute(select(IDENTITIES.c.issuer, IDENTITIES.c.subject)).all()
    sessions = [
        Identity.claimed(
            issuer=issuer, subject=subject, name=None, email=None, issued_at=now
        ).session_id
        for issuer, subject in identities
    ]
    if not sessions:
        return
    known = EXTERNAL_REVOCATIONS.c.id == bindparam("session_id")
    connection.execute(
        delete(EXTERNAL_REVOCATIONS).where(known), [{"session_id": each} for each in sessions]
    )
    connection.execute(
        insert(EXTERNAL_REVOCATIONS), [{"id": each, "revoked_at": now} for each in sessions]
    )
