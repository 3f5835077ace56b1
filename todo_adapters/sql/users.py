"""Accounts in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy.sql.dml import Delete, Update
from sqlmodel import bindparam, delete, exists, insert, not_, select, update

from todo_adapters.sql.database import AnyRow, SqlExecutor
from todo_adapters.sql.tables import (
    IDENTITIES,
    PASSWORD_RESETS,
    SESSIONS,
    TASKS,
    USERS,
    UserRow,
)
from todo_core.entities.user import Email, PersonName, User, UserId
from todo_core.errors import EmailTaken, StaleVersion, UserNotFound
from todo_core.ports.repositories import UserRepository

_NO_NAME = "-"  # the database wants one

_AS_LOADED = (
    USERS.c.id == bindparam("user_id"),
    USERS.c.version == bindparam("loaded_version"),
)
_ADD = insert(USERS)
_GET = select(UserRow).where(USERS.c.id == bindparam("user_id"), USERS.c.deleted_at.is_(None))
_GET_BY_EMAIL = select(UserRow).where(USERS.c.email_key == bindparam("email_key"))
_SAVE = (
    update(USERS)
    .where(*_AS_LOADED)
    .values(
        name=bindparam("name"),
        email=bindparam("email"),
        email_key=bindparam("email_key"),
        password_hash=bindparam("password_hash"),
        updated_at=bindparam("updated_at"),
        version=USERS.c.version + 1,
    )
)
# It changes nothing, but the row is locked as by any update until the transaction ends.
_CONFIRM = update(USERS).where(*_AS_LOADED).values(version=USERS.c.version)
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
_REMOVE_WHAT_IS_THEIRS = tuple(
    delete(table).where(table.c.user_id == bindparam("user_id"))
    for table in (SESSIONS, IDENTITIES, PASSWORD_RESETS)
)
_MARKED = (
    select(UserRow)
    .with_only_columns(USERS.c.id)
    .where(USERS.c.deleted_at.is_not(None))
    .order_by(USERS.c.deleted_at)
    .limit(bindparam("most"))
)
_PURGE = delete(USERS).where(
    USERS.c.id == bindparam("user_id"),
    USERS.c.deleted_at.is_not(None),
    not_(exists().where(TASKS.c.user_id == bindparam("user_id"))),
)
_REFUSALS = {"uq_users_email_key": EmailTaken}


class SqlUserRepository(UserRepository):
    """Accounts in the table `users`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, user: User) -> None:
        self._executor.write(
            _ADD,
            {
                "id": user.id,
                "name": str(user.name),
                **_email_columns(user),
                "password_hash": user.password_hash,
                "version": user.version,
                "created_at": user.created_at,
                "updated_at": user.updated_at,
            },
            _REFUSALS,
        )

    def get(self, user_id: UserId) -> User:
        for row in self._executor.rows(_GET, {"user_id": user_id}):
            return _to_user(row)
        raise UserNotFound

    def get_by_email(self, email: Email) -> User:
        for row in self._executor.rows(_GET_BY_EMAIL, {"email_key": email.key}):
            return _to_user(row)
        raise UserNotFound

    def save(self, user: User) -> User:
        saved = self._executor.write(
            _SAVE,
            {
                "user_id": user.id,
                "loaded_version": user.version,
                "name": str(user.name),
                **_email_columns(user),
                "password_hash": user.password_hash,
                "updated_at": user.updated_at,
            },
            _REFUSALS,
        )
        if not saved:
            raise StaleVersion
        return replace(user, version=user.version + 1)

    def lock(self, user: User) -> None:
        self._on_loaded(_CONFIRM, user)

    def remove(self, user: User) -> None:
        self._on_loaded(_REMOVE, user)

    def mark_deleted(self, user: User, *, now: datetime) -> None:
        with self._executor.atomically() as executor:
            marked = {"user_id": user.id, "loaded_version": user.version, "now": now}
            if not executor.write(_MARK_DELETED, marked):
                raise StaleVersion
            for statement in _REMOVE_WHAT_IS_THEIRS:
                executor.write(statement, {"user_id": user.id})

    def list_marked_deleted(self, *, limit: int) -> Sequence[UserId]:
        return [UserId(row[0]) for row in self._executor.rows(_MARKED, {"most": limit})]

    def purge(self, user_id: UserId) -> bool:
        return bool(self._executor.write(_PURGE, {"user_id": user_id}))

    def _on_loaded(self, statement: Update | Delete, user: User) -> None:
        loaded = {"user_id": user.id, "loaded_version": user.version}
        if not self._executor.write(statement, loaded):
            raise StaleVersion


def _email_columns(user: User) -> Mapping[str, str | None]:
    if user.email is None:
        return {"email": None, "email_key": None}
    return {"email": str(user.email), "email_key": user.email.key}


def _to_user(row: AnyRow) -> User:
    return User(
        id=UserId(row.id),
        name=PersonName.stored(row.name),
        email=None if row.email is None else Email.stored(row.email),
        password_hash=row.password_hash,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
