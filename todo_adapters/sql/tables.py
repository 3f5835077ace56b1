"""The tables.

The database enforces the core's rules a second time: lengths, presence,
uniqueness and ownership. Every constraint has a name, by which errors are
distinguished. The migrations make these tables; a test compares the two.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, override
from uuid import UUID

from sqlalchemy import (
    Date,
    Dialect,
    ForeignKeyConstraint,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
)
from sqlalchemy.types import TypeDecorator
from sqlmodel import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Field,
    Index,
    MetaData,
    SQLModel,
    UniqueConstraint,
    false,
    true,
)

from todo_core.entities.idempotency import KeptResponse
from todo_core.entities.rank import MAX_LENGTH
from todo_core.entities.session import UNKNOWN_DEVICE
from todo_core.entities.task import Description, Title
from todo_core.entities.time_zone import DEFAULT_TIME_ZONE, TimeZone
from todo_core.entities.user import EmailAddress, PersonName

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, to the microsecond.

    PostgreSQL has a type for it. SQLite stores it as ISO 8601 text of a fixed
    width with its offset, which sorts like the times.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _utc_text if dialect.name == "sqlite" else _in_utc

    @override
    def result_processor(
        self,
        dialect: Dialect,
        coltype: object,
    ) -> Callable[[Any], Any]:
        return _from_text if dialect.name == "sqlite" else _in_utc


def _in_utc(time: datetime | None) -> datetime | None:
    if time is None or time.tzinfo is UTC:
        return time
    if time.tzinfo is None:
        raise ValueError("cannot store a naive datetime")
    return time.astimezone(UTC)


def _utc_text(time: datetime | None) -> str | None:
    utc = _in_utc(time)
    return None if utc is None else utc.isoformat(" ", "microseconds")


def _from_text(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class CheckedBoolean(TypeDecorator[bool]):
    """True or false, also in SQLite, where booleans are numbers."""

    impl = Boolean(create_constraint=True, name="completed_boolean")
    cache_ok = True


class Row(SQLModel):
    """The base of all tables; rows are not entities, and stay inside this package."""

    metadata = metadata


def _length(column: str, minimum: int, maximum: int) -> CheckConstraint:
    return CheckConstraint(f"length({column}) BETWEEN {minimum} AND {maximum}", f"{column}_length")


class UserRow(Row, table=True):
    """An account.

    Emails are unique by `email_key`, which the core computes: the result of `lower`
    depends on the locale of the database. An account with a password has an email. An account with
    `deleted_at` only has tasks that are still to be deleted.
    """

    __tablename__ = "users"
    __table_args__ = (
        _length("name", PersonName.min_length, PersonName.max_length),
        _length("email", EmailAddress.min_length, EmailAddress.max_length),
        CheckConstraint("version >= 1", "version_positive"),
        CheckConstraint("email IS NOT NULL OR password_hash IS NULL", "email_with_password"),
        CheckConstraint("(email IS NULL) = (email_key IS NULL)", "email_key_with_email"),
        CheckConstraint(
            "deleted_at IS NULL OR (email IS NULL AND password_hash IS NULL)", "deleted_is_empty"
        ),
    )

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    name: str = Field(max_length=PersonName.max_length)
    email: str | None = Field(max_length=EmailAddress.max_length)
    password_hash: str | None = Field(sa_type=Text)
    version: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    email_key: str | None = Field(max_length=EmailAddress.max_length)
    deleted_at: datetime | None = Field(sa_type=UtcDateTime)
    time_zone: str = Field(
        max_length=TimeZone.max_length, sa_column_kwargs={"server_default": DEFAULT_TIME_ZONE}
    )
    reminder_emails: bool = Field(sa_type=Boolean, sa_column_kwargs={"server_default": true()})
    disabled_at: datetime | None = Field(sa_type=UtcDateTime)


class SessionRow(Row, table=True):
    """A session. Its refresh token cannot be made from this row alone."""

    __tablename__ = "sessions"
    __table_args__ = (CheckConstraint("generation >= 0", "generation_not_negative"),)

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    user_id: UUID = Field(sa_type=Uuid, foreign_key="users.id", ondelete="CASCADE")
    refresh_salt: str = Field(sa_type=Text)
    generation: int
    user_agent: str = Field(sa_type=Text, sa_column_kwargs={"server_default": ""})
    address: str = Field(sa_type=Text, sa_column_kwargs={"server_default": ""})
    device: str = Field(sa_type=Text, sa_column_kwargs={"server_default": UNKNOWN_DEVICE})
    created_at: datetime = Field(sa_type=UtcDateTime)
    refreshed_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class RevokedSessionRow(Row, table=True):
    """A revoked session of which an access token may be unexpired.

    There is no foreign key: session and user may both be deleted.
    """

    __tablename__ = "revoked_sessions"

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    revoked_at: datetime = Field(sa_type=UtcDateTime)


class ExternalRevocationRow(Row, table=True):
    """A revoked session of an external issuer: its tokens from before that time are invalid.

    The id is derived from issuer and subject. There is no foreign key, as above.
    """

    __tablename__ = "external_revocations"

    id: UUID = Field(sa_type=Uuid, primary_key=True)
    revoked_at: datetime = Field(sa_type=UtcDateTime)


class IdentityRow(Row, table=True):
    """A user as an external issuer knows them, and their account here."""

    __tablename__ = "identities"

    issuer: str = Field(sa_type=Text, primary_key=True)
    subject: str = Field(sa_type=Text, primary_key=True)
    user_id: UUID = Field(sa_type=Uuid, foreign_key="users.id", ondelete="CASCADE")
    name: str | None = Field(sa_type=Text)
    email: str | None = Field(sa_type=Text)
    issued_at: datetime = Field(sa_type=UtcDateTime)


class PasswordResetRow(Row, table=True):
    """The open password reset of a user, with the hash of its token."""

    __tablename__ = "password_resets"
    __table_args__ = (UniqueConstraint("token_hash"),)

    user_id: UUID = Field(
        sa_type=Uuid, primary_key=True, foreign_key="users.id", ondelete="CASCADE"
    )
    token_hash: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class KeptResponseRow(Row, table=True):
    """The response to a request with an idempotency key.

    It is null only within the transaction that claimed the key.
    """

    __tablename__ = "kept_responses"
    __table_args__ = (_length("response", 0, KeptResponse.MAX_SIZE),)

    user_id: UUID = Field(
        sa_type=Uuid, primary_key=True, foreign_key="users.id", ondelete="CASCADE"
    )
    key: str = Field(max_length=255, primary_key=True)
    fingerprint: str = Field(sa_type=Text)
    response: bytes | None = Field(sa_type=LargeBinary)
    claimed_at: datetime = Field(sa_type=UtcDateTime)


class StreamTicketRow(Row, table=True):
    """A ticket for a stream of events that was not used yet, with the hash of its token.

    The session is that of an external issuer too, so there is no foreign key to it.
    """

    __tablename__ = "stream_tickets"

    token_hash: str = Field(sa_type=Text, primary_key=True)
    user_id: UUID = Field(sa_type=Uuid, foreign_key="users.id", ondelete="CASCADE")
    session_id: UUID = Field(sa_type=Uuid)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    stream_ends_at: datetime = Field(sa_type=UtcDateTime)


class TaskOwnerRow(Row, table=True):
    """The owner of tasks: their newest revision, and how many tasks they have.

    `deleted` counts tasks in the trash and tombstones, which are not in `total`. Tombstones up to
    `forgotten_revision` may have been purged. Every write of a task updates this row in its
    transaction (see `todo_adapters.sql.revisions`).

    `kept_size` is the size of the responses that were kept for them since `kept_from`. It is here,
    and not in a table of its own, because a write that keeps a response updates this row anyway.
    """

    __tablename__ = "task_owners"
    __table_args__ = (
        CheckConstraint("revision >= 0", "revision_not_negative"),
        # PostgreSQL checks a row before it knows that another transaction has changed it, so there
        # is no rule about `completed`, which a concurrent change of the task makes wrong then.
        CheckConstraint("total >= 0", "total_not_negative"),
        {"sqlite_with_rowid": False},
    )

    owner_id: UUID = Field(
        sa_type=Uuid, primary_key=True, foreign_key="users.id", ondelete="CASCADE"
    )
    revision: int = Field(sa_type=BigInteger)
    total: int
    completed: int
    deleted: int = Field(sa_column_kwargs={"server_default": "0"})
    forgotten_revision: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    kept_size: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    kept_from: datetime | None = Field(sa_type=UtcDateTime)


class TaskContent(Row):
    """The columns of a task and of a deleted one that have what its owner has entered, but a title.

    `folded_title` and `folded_description` are stored only if the text is not in ASCII: for text in
    ASCII, queries compute them (see `todo_adapters.sql.folding`).

    `position` is the rank of the task, compared code point by code point. `parent_id` is the id of
    the task of which it is a subtask; that of a deleted one may be deleted too. `due_at` is the
    moment at which the task is due, and `due_on` the day, unless it is due at that moment. `tags`
    and `tag_keys` are arrays in JSON (see `todo_adapters.sql.tags`). So are `reminders`, what the
    owner has entered, and `reminder_times`, their moments (see `todo_adapters.sql.reminder_rows`).
    """

    description: str | None = Field(max_length=Description.max_length)
    folded_title: str | None = Field(sa_type=Text)
    folded_description: str | None = Field(sa_type=Text)
    priority: int | None = Field(sa_type=SmallInteger)
    due_at: datetime | None = Field(sa_type=UtcDateTime)
    due_on: date | None = Field(sa_type=Date)
    tags: str | None = Field(sa_type=Text)
    tag_keys: str | None = Field(sa_type=Text)
    reminders: str | None = Field(sa_type=Text)
    reminder_times: str | None = Field(sa_type=Text)
    position: str | None = Field(max_length=MAX_LENGTH)
    parent_id: int | None = Field(sa_type=BigInteger)
    recurrence_rule: str | None = Field(sa_type=Text)
    repeat_from: str | None = Field(sa_type=Text)
    repeat_clock: str | None = Field(sa_type=Text)
    next_id: int | None = Field(sa_type=BigInteger)
    completed_at: datetime | None = Field(sa_type=UtcDateTime)


class TaskRow(TaskContent, table=True):
    """A task.

    The owner is part of its key, so that the row of another owner cannot be addressed. SQLite
    stores the rows in the order of the key, those of one owner together. A task of which a release
    before these columns wrote the row has no `priority`, which means medium, no `position`, which
    means the one of a new task, and may be completed without `completed_at`.

    `remind_at` is the next moment at which reminders of the task are to be fired.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        _length("title", Title.min_length, Title.max_length),
        _length("description", Description.min_length, Description.max_length),
        CheckConstraint("version >= 1", "version_positive"),
        CheckConstraint("priority BETWEEN 0 AND 4", "priority_known"),
        CheckConstraint("due_on IS NULL OR due_at IS NOT NULL", "due_day_with_moment"),
        CheckConstraint("(tags IS NULL) = (tag_keys IS NULL)", "tag_keys_with_tags"),
        # With the owner in the key, only a task of the same owner can be the parent.
        ForeignKeyConstraint(
            ["owner_id", "parent_id"], ["tasks.owner_id", "tasks.id"], "fk_tasks_parent_id_tasks"
        ),
        CheckConstraint(
            "(reminders IS NULL) = (reminder_times IS NULL)", "reminder_times_with_reminders"
        ),
        {"sqlite_with_rowid": False},
    )

    owner_id: UUID = Field(
        sa_type=Uuid, primary_key=True, foreign_key="users.id", ondelete="CASCADE"
    )
    id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    title: str = Field(max_length=Title.max_length)
    completed: bool = Field(sa_type=CheckedBoolean, sa_column_kwargs={"server_default": false()})
    version: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    revision: int = Field(sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})
    remind_at: datetime | None = Field(sa_type=UtcDateTime)


class DeletedTaskRow(TaskContent, table=True):
    """A deleted task: one in the trash, or its tombstone, which has no title and no content.

    At `expires_at`, a task in the trash becomes a tombstone, and a tombstone is deleted.
    """

    __tablename__ = "deleted_tasks"
    __table_args__ = ({"sqlite_with_rowid": False},)

    owner_id: UUID = Field(
        sa_type=Uuid, primary_key=True, foreign_key="users.id", ondelete="CASCADE"
    )
    id: int = Field(sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False})
    title: str | None = Field(max_length=Title.max_length)
    completed: bool = Field(sa_type=CheckedBoolean)
    version: int
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    revision: int = Field(sa_type=BigInteger)
    expires_at: datetime = Field(sa_type=UtcDateTime)


class FiredReminderRow(Row, table=True):
    """A reminder that was fired, at the owner's `revision`.

    At `email_due_at` its email is to be sent, unless that is null. A process that sends it sets
    this to a later time first, after which another one may try. `attempts` counts the tries. There
    is no foreign key to the task, which may be deleted.
    """

    __tablename__ = "fired_reminders"
    __table_args__ = ({"sqlite_with_rowid": False},)

    owner_id: UUID = Field(
        sa_type=Uuid, primary_key=True, foreign_key="users.id", ondelete="CASCADE"
    )
    task_id: int = Field(
        sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    remind_at: datetime = Field(sa_type=UtcDateTime, primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    fired_at: datetime = Field(sa_type=UtcDateTime)
    email_due_at: datetime | None = Field(sa_type=UtcDateTime)
    attempts: int = Field(sa_column_kwargs={"server_default": "0"})


USERS = metadata.tables["users"]
SESSIONS = metadata.tables["sessions"]
REVOKED_SESSIONS = metadata.tables["revoked_sessions"]
EXTERNAL_REVOCATIONS = metadata.tables["external_revocations"]
IDENTITIES = metadata.tables["identities"]
PASSWORD_RESETS = metadata.tables["password_resets"]
KEPT_RESPONSES = metadata.tables["kept_responses"]
STREAM_TICKETS = metadata.tables["stream_tickets"]
TASK_OWNERS = metadata.tables["task_owners"]
TASKS = metadata.tables["tasks"]
DELETED_TASKS = metadata.tables["deleted_tasks"]
FIRED_REMINDERS = metadata.tables["fired_reminders"]

Index("uq_users_email_key", USERS.c.email_key, unique=True)
Index(
    "ix_users_deleted_at",
    USERS.c.deleted_at,
    sqlite_where=USERS.c.deleted_at.is_not(None),
)
Index("ix_sessions_user_id", SESSIONS.c.user_id)
Index("ix_sessions_expires_at", SESSIONS.c.expires_at)
Index("ix_sessions_refreshed_at", SESSIONS.c.refreshed_at)
Index("ix_revoked_sessions_revoked_at", REVOKED_SESSIONS.c.revoked_at)
Index("ix_external_revocations_revoked_at", EXTERNAL_REVOCATIONS.c.revoked_at)
Index("ix_identities_user_id", IDENTITIES.c.user_id)
Index("ix_password_resets_expires_at", PASSWORD_RESETS.c.expires_at)
Index("ix_kept_responses_claimed_at", KEPT_RESPONSES.c.claimed_at)
Index("ix_stream_tickets_user_id", STREAM_TICKETS.c.user_id)
Index("ix_stream_tickets_expires_at", STREAM_TICKETS.c.expires_at)

# Every query names the owner, so the one index begins with it. It yields the tasks that are
# (or are not) completed in order; a list of all tasks is the union of both, since that costs less
# than maintaining a second index at every insert.
Index(
    "ix_tasks_owner_id_completed_created_at_id",
    TASKS.c.owner_id,
    TASKS.c.completed,
    TASKS.c.created_at,
    TASKS.c.id,
)
# The tasks in the order of their changes: for that order of a list, and for clients with a copy.
Index(
    "ix_tasks_owner_id_completed_revision_id",
    TASKS.c.owner_id,
    TASKS.c.completed,
    TASKS.c.revision,
    TASKS.c.id,
)
# The tasks that are due, in that order. Those without a due date are not in it, and pay nothing.
Index(
    "ix_tasks_owner_id_completed_due_at_id",
    TASKS.c.owner_id,
    TASKS.c.completed,
    TASKS.c.due_at,
    TASKS.c.id,
    sqlite_where=TASKS.c.due_at.is_not(None),
)
# The subtasks of a task, and those that were deleted with it. Other tasks are not in these indexes,
# and pay nothing.
Index(
    "ix_tasks_owner_id_parent_id_completed",
    TASKS.c.owner_id,
    TASKS.c.parent_id,
    TASKS.c.completed,
    sqlite_where=TASKS.c.parent_id.is_not(None),
)
Index(
    "ix_deleted_tasks_owner_id_parent_id_expires_at",
    DELETED_TASKS.c.owner_id,
    DELETED_TASKS.c.parent_id,
    DELETED_TASKS.c.expires_at,
    sqlite_where=DELETED_TASKS.c.parent_id.is_not(None),
)
# The tasks that are going to remind their owners, of all owners.
Index(
    "ix_tasks_remind_at",
    TASKS.c.remind_at,
    sqlite_where=TASKS.c.remind_at.is_not(None),
)
Index("ix_deleted_tasks_owner_id_revision", DELETED_TASKS.c.owner_id, DELETED_TASKS.c.revision)
Index("ix_deleted_tasks_expires_at", DELETED_TASKS.c.expires_at)
Index(
    "ix_fired_reminders_owner_id_revision", FIRED_REMINDERS.c.owner_id, FIRED_REMINDERS.c.revision
)
Index(
    "ix_fired_reminders_email_due_at",
    FIRED_REMINDERS.c.email_due_at,
    sqlite_where=FIRED_REMINDERS.c.email_due_at.is_not(None),
)
Index("ix_fired_reminders_fired_at", FIRED_REMINDERS.c.fired_at)


def declare_for_postgresql() -> None:
    """Declare the conditions of the indexes of some rows for PostgreSQL too, not only for SQLite.

    Migrations that are generated for PostgreSQL need them. For others, SQLAlchemy would import that
    dialect, which takes 2.5 MB.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            condition = index.dialect_options["sqlite"]["where"]
            index.dialect_options["postgresql"]["where"] = condition
