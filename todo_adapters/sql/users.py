"""Accounts in SQL."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.sql.dml import Delete, Update
from sqlmodel import bindparam, delete, exists, insert, not_, select, update

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.rows import plain_text, stored_text
from todo_adapters.sql.statements import AnyRow, Parameters
from todo_adapters.sql.tables import (
    FIRED_REMINDERS,
    IDENTITIES,
    KEPT_RESPONSES,
    PASSWORD_RESETS,
    SESSIONS,
    STREAM_TICKETS,
    TASK_OWNERS,
    TASKS,
    USERS,
    UserRow,
)
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import EmailAddress, PersonName, User, UserId
from todo_core.errors import EmailTaken, StaleVersion, UserNotFound
from todo_core.ports.repositories import UserRepository

_NO_NAME = "-"
"""The name of a user who is marked as deleted: the column must not be empty."""

_COLUMNS = (
    USERS.c.id,
    USERS.c.name,
    USERS.c.email,
    USERS.c.password_hash,
    USERS.c.version,
    USERS.c.created_at,
    USERS.c.updated_at,
    USERS.c.time_zone,
    USERS.c.reminder_emails,
    USERS.c.disabled_at,
)

_AS_LOADED = (
    USERS.c.id == bindparam("user_id"),
    USERS.c.version == bindparam("loaded_version"),
)
_ADD = insert(USERS)
_SELECT = select(UserRow).with_only_columns(*_COLUMNS)
_GET = _SELECT.where(USERS.c.id == bindparam("user_id"), USERS.c.deleted_at.is_(None))
# Locked, so that a unit of work that writes what depends on the zone cannot be overtaken by one
# that changes it.
LOCK_TIME_ZONE = (
    select(UserRow)
    .with_only_columns(USERS.c.time_zone)
    .where(USERS.c.id == bindparam("user_id"), USERS.c.deleted_at.is_(None))
    .with_for_update(read=True)
)
_GET_BY_EMAIL = _SELECT.where(USERS.c.email_key == bindparam("email_key"))
_LIST, _LIST_BY_EMAIL = (
    _SELECT.where(USERS.c.deleted_at.is_(None), *conditions)
    .order_by(USERS.c.created_at.desc(), USERS.c.id.desc())
    .limit(bindparam("limit"))
    for conditions in ((), (USERS.c.email_key.like(bindparam("pattern"), escape="\\"),))
)
_SAVE = (
    update(USERS)
    .where(*_AS_LOADED)
    .values(
        name=bindparam("name"),
        email=bindparam("email"),
        email_key=bindparam("email_key"),
        password_hash=bindparam("password_hash"),
        time_zone=bindparam("time_zone"),
        reminder_emails=bindparam("reminder_emails"),
        disabled_at=bindparam("disabled_at"),
        updated_at=bindparam("updated_at"),
        version=USERS.c.version + 1,
    )
)
# Changes nothing, but like any update it locks the row until the transaction ends.
_LOCK = update(USERS).where(*_AS_LOADED).values(version=USERS.c.version)
_REMOVE = delete(USERS).where(*_AS_LOADED)
_MARK_DELETED = (
    update(USERS)
    .where(*_AS_LOADED)
    .values(
        name=_NO_NAME,
        email=None,
        email_key=None,
        password_hash=None,
        updated_at=bindparam("now"),
        deleted_at=bindparam("now"),
        version=USERS.c.version + 1,
    )
)
_REMOVE_ALL_BUT_TASKS = tuple(
    delete(table).where(table.c.user_id == bindparam("user_id"))
    for table in (SESSIONS, IDENTITIES, PASSWORD_RESETS, KEPT_RESPONSES, STREAM_TICKETS)
)
_REMOVE_FIRED = delete(FIRED_REMINDERS).where(FIRED_REMINDERS.c.owner_id == bindparam("user_id"))
_LIST_MARKED_DELETED = (
    select(UserRow)
    .with_only_columns(USERS.c.id)
    .where(USERS.c.deleted_at.is_not(None))
    .order_by(USERS.c.deleted_at)
    .limit(bindparam("limit"))
)
_LOCK_OWNER = (
    update(TASK_OWNERS)
    .where(TASK_OWNERS.c.owner_id == bindparam("user_id"))
    .values(revision=TASK_OWNERS.c.revision)
)
_REMOVE_OWNER = delete(TASK_OWNERS).where(TASK_OWNERS.c.owner_id == bindparam("user_id"))
_PURGE = delete(USERS).where(
    USERS.c.id == bindparam("user_id"),
    USERS.c.deleted_at.is_not(None),
    not_(exists().where(TASKS.c.owner_id == bindparam("user_id"))),
)
_CONSTRAINT_ERRORS = {"uq_users_email_key": EmailTaken}


class SqlUserRepository(UserRepository):
    """Accounts in the table `users`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, user: User) -> None:
        self._executor.write(_ADD, _to_row(user), _CONSTRAINT_ERRORS)

    def get(self, user_id: UserId) -> User:
        row = self._executor.row(_GET, {"user_id": user_id})
        if row is None:
            raise UserNotFound
        return _to_user(row)

    def get_by_email(self, email: EmailAddress) -> User:
        row = self._executor.row(_GET_BY_EMAIL, {"email_key": email.key})
        if row is None:
            raise UserNotFound
        return _to_user(row)

    def list(self, *, email_part: str, limit: int) -> Sequence[User]:
        if not email_part:
            return self._executor.entities(_LIST, {"limit": limit}, _to_user)
        pattern = f"%{_escaped(email_part.lower())}%"
        return self._executor.entities(
            _LIST_BY_EMAIL, {"limit": limit, "pattern": pattern}, _to_user
        )

    def time_zone(self, user_id: UserId) -> TimeZone:
        for zone in self._executor.values(LOCK_TIME_ZONE, {"user_id": user_id}):
            return TimeZone.stored(zone)
        raise UserNotFound

    def save(self, user: User) -> User:
        saved = self._executor.write(
            _SAVE,
            {
                "user_id": user.id,
                "loaded_version": user.version,
                "name": plain_text(user.name),
                "email": plain_text(user.email),
                "email_key": _email_key(user),
                "password_hash": user.password_hash,
                "time_zone": plain_text(user.time_zone),
                "reminder_emails": user.reminder_emails,
                "disabled_at": user.disabled_at,
                "updated_at": user.updated_at,
            },
            _CONSTRAINT_ERRORS,
        )
        if not saved:
            raise StaleVersion
        return replace(user, version=user.version + 1)

    def lock(self, user: User) -> None:
        self._execute_on_loaded(_LOCK, user)

    def remove(self, user: User) -> None:
        with self._executor.atomically() as executor:
            # A task that is being added holds this row, and waits for that of the account.
            executor.write(_REMOVE_OWNER, {"user_id": user.id})
            loaded = {"user_id": user.id, "loaded_version": user.version}
            if not executor.write(_REMOVE, loaded):
                raise StaleVersion

    def mark_deleted(self, user: User, *, now: datetime) -> None:
        with self._executor.atomically() as executor:
            marked = {"user_id": user.id, "loaded_version": user.version, "now": now}
            if not executor.write(_MARK_DELETED, marked):
                raise StaleVersion
            for statement in (*_REMOVE_ALL_BUT_TASKS, _REMOVE_FIRED):
                executor.write(statement, {"user_id": user.id})

    def list_marked_deleted(self, *, limit: int) -> Sequence[UserId]:
        return self._executor.values(_LIST_MARKED_DELETED, {"limit": limit})

    def purge(self, user_id: UserId) -> bool:
        with self._executor.atomically() as executor:
            executor.write(_LOCK_OWNER, {"user_id": user_id})  # as in `remove`
            return bool(executor.write(_PURGE, {"user_id": user_id}))

    def _execute_on_loaded(self, statement: Update | Delete, user: User) -> None:
        loaded = {"user_id": user.id, "loaded_version": user.version}
        if not self._executor.write(statement, loaded):
            raise StaleVersion


def _escaped(text: str) -> str:
    """Return the text as LIKE finds it literally, with a backslash as the escape character."""
    return re.sub(r"([\\%_])", r"\\\1", text)


def _email_key(user: User) -> str | None:
    return None if user.email is None else user.email.key


def _to_row(user: User) -> Parameters:
    return {
        "id": user.id,
        "name": plain_text(user.name),
        "email": plain_text(user.email),
        "email_key": _email_key(user),
        "password_hash": user.password_hash,
        "version": user.version,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "time_zone": plain_text(user.time_zone),
        "reminder_emails": user.reminder_emails,
        "disabled_at": user.disabled_at,
    }


def _to_user(row: AnyRow) -> User:
    (
        user_id,
        name,
        email,
        password_hash,
        version,
        created_at,
        updated_at,
        zone,
        reminder_emails,
        disabled_at,
    ) = row
    return User(
        id=user_id,
        name=PersonName.stored(name),
        email=stored_text(EmailAddress, email),
        password_hash=password_hash,
        version=version,
        created_at=created_at,
        updated_at=updated_at,
        time_zone=TimeZone.stored(zone),
        reminder_emails=reminder_emails,
        disabled_at=disabled_at,
    )
