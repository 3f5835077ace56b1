"""Password resets in SQL."""

from datetime import datetime

from sqlmodel import bindparam, delete, select, text

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.statements import AnyRow, Parameters
from todo_adapters.sql.tables import PASSWORD_RESETS, PasswordResetRow
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, InvalidResetToken
from todo_core.ports.repositories import PasswordResetRepository

_COLUMNS = (
    PASSWORD_RESETS.c.user_id,
    PASSWORD_RESETS.c.token_hash,
    PASSWORD_RESETS.c.created_at,
    PASSWORD_RESETS.c.expires_at,
)
_THIS_ONE = PASSWORD_RESETS.c.token_hash == bindparam("token_hash")

# An upsert: of two concurrent requests, neither fails, and the reset of one is stored.
_PUT = text(
    "INSERT INTO password_resets (user_id, token_hash, created_at, expires_at)"
    " VALUES (:user_id, :token_hash, :created_at, :expires_at)"
    " ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash,"
    " created_at = excluded.created_at, expires_at = excluded.expires_at"
).bindparams(*(bindparam(column.name, type_=column.type) for column in _COLUMNS))
_GET = select(PasswordResetRow).with_only_columns(*_COLUMNS).where(_THIS_ONE)
_TAKE = delete(PASSWORD_RESETS).where(_THIS_ONE).returning(*_COLUMNS)
_WITHDRAW = delete(PASSWORD_RESETS).where(PASSWORD_RESETS.c.user_id == bindparam("user_id"))
_PURGE = delete(PASSWORD_RESETS).where(
    PASSWORD_RESETS.c.user_id.in_(
        select(PasswordResetRow)
        .with_only_columns(PASSWORD_RESETS.c.user_id)
        .where(PASSWORD_RESETS.c.expires_at < bindparam("expired_before"))
        .limit(bindparam("limit"))
    )
)
_CONSTRAINT_ERRORS = {"fk_password_resets_user_id_users": AccountGone}


class SqlPasswordResetRepository(PasswordResetRepository):
    """Resets in the table `password_resets`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def put(self, reset: PasswordReset) -> None:
        self._executor.write(_PUT, _to_row(reset), _CONSTRAINT_ERRORS)

    def get(self, token_hash: str) -> PasswordReset:
        row = self._executor.row(_GET, {"token_hash": token_hash})
        if row is None:
            raise InvalidResetToken
        return _to_reset(row)

    def withdraw(self, user_id: UserId) -> None:
        self._executor.write(_WITHDRAW, {"user_id": user_id})

    def take(self, token_hash: str) -> PasswordReset:
        row = self._executor.row(_TAKE, {"token_hash": token_hash})
        if row is None:
            raise InvalidResetToken
        return _to_reset(row)

    def purge(self, *, expired_before: datetime, limit: int) -> int:
        return self._executor.write(_PURGE, {"expired_before": expired_before, "limit": limit})


def _to_row(reset: PasswordReset) -> Parameters:
    return {
        "user_id": reset.user_id,
        "token_hash": reset.token_hash,
        "created_at": reset.created_at,
        "expires_at": reset.expires_at,
    }


def _to_reset(row: AnyRow) -> PasswordReset:
    user_id, token_hash, created_at, expires_at = row
    return PasswordReset(
        user_id=user_id, token_hash=token_hash, created_at=created_at, expires_at=expires_at
    )
