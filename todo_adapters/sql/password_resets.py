"""Password resets in SQL."""

from dataclasses import asdict
from datetime import datetime

from sqlmodel import bindparam, delete, select, text

from todo_adapters.sql.database import AnyRow, SqlExecutor
from todo_adapters.sql.tables import PASSWORD_RESETS, PasswordResetRow
from todo_core.entities.password_reset import PasswordReset
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, InvalidResetToken
from todo_core.ports.repositories import PasswordResetRepository

_THIS_ONE = PASSWORD_RESETS.c.token_hash == bindparam("token_hash")

# Two requests at the same time leave one of them, without an error for the other.
_PUT = text(
    "INSERT INTO password_resets (user_id, token_hash, created_at, expires_at)"
    " VALUES (:user_id, :token_hash, :created_at, :expires_at)"
    " ON CONFLICT (user_id) DO UPDATE SET token_hash = excluded.token_hash,"
    " created_at = excluded.created_at, expires_at = excluded.expires_at"
).bindparams(*(bindparam(column.name, type_=column.type) for column in PASSWORD_RESETS.c))
_GET = select(PasswordResetRow).where(_THIS_ONE)
_TAKE = delete(PASSWORD_RESETS).where(_THIS_ONE).returning(*PASSWORD_RESETS.c)
_WITHDRAW = delete(PASSWORD_RESETS).where(PASSWORD_RESETS.c.user_id == bindparam("user_id"))
_PURGE = delete(PASSWORD_RESETS).where(
    PASSWORD_RESETS.c.user_id.in_(
        select(PasswordResetRow)
        .with_only_columns(PASSWORD_RESETS.c.user_id)
        .where(PASSWORD_RESETS.c.expires_at < bindparam("expired_before"))
        .limit(bindparam("limit"))
    )
)
_REFUSALS = {"fk_password_resets_user_id_users": AccountGone}


class SqlPasswordResetRepository(PasswordResetRepository):
    """Resets in the table `password_resets`, whose columns are the entity's fields."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def put(self, reset: PasswordReset) -> None:
        self._executor.write(_PUT, asdict(reset), _REFUSALS)

    def get(self, token_hash: str) -> PasswordReset:
        for row in self._executor.rows(_GET, {"token_hash": token_hash}):
            return _to_reset(row)
        raise InvalidResetToken

    def withdraw(self, user_id: UserId) -> None:
        self._executor.write(_WITHDRAW, {"user_id": user_id})

    def take(self, token_hash: str) -> PasswordReset:
        for row in self._executor.rows(_TAKE, {"token_hash": token_hash}):
            return _to_reset(row)
        raise InvalidResetToken

    def purge(self, *, expired_before: datetime, limit: int) -> int:
        return self._executor.write(_PURGE, {"expired_before": expired_before, "limit": limit})


def _to_reset(row: AnyRow) -> PasswordReset:
    return PasswordReset(
        user_id=UserId(row.user_id),
        token_hash=row.token_hash,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
