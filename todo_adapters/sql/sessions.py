"""Sessions in SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlmodel import bindparam, delete, insert, or_, select, update

from todo_adapters.sql.database import AnyRow, SqlExecutor
from todo_adapters.sql.tables import ENDED_SESSIONS, SESSIONS, SessionRow
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, SessionNotFound, StaleVersion
from todo_core.ports.repositories import SessionRepository

_THIS_ONE = SESSIONS.c.id == bindparam("session_id")
_OWNED = SESSIONS.c.user_id == bindparam("user_id")

_ADD = insert(SESSIONS)
_GET = select(SessionRow).where(_THIS_ONE)
_LIST = select(SessionRow).where(_OWNED).order_by(SESSIONS.c.refreshed_at.desc())
_SAVE_REFRESHED = (
    update(SESSIONS)
    .where(_THIS_ONE, SESSIONS.c.generation == bindparam("generation_before"))
    .values(generation=SESSIONS.c.generation + 1, refreshed_at=bindparam("new_refreshed_at"))
)
_REVOKE = delete(SESSIONS).where(_OWNED, _THIS_ONE).returning(SESSIONS.c.id)
_REVOKE_ALL = delete(SESSIONS).where(_OWNED).returning(SESSIONS.c.id)
_REVOKE_ALL_BUT_ONE = (
    delete(SESSIONS)
    .where(_OWNED, SESSIONS.c.id != bindparam("session_id"))
    .returning(SESSIONS.c.id)
)
_REVOKE_LEAST_RECENT = (
    delete(SESSIONS)
    .where(
        SESSIONS.c.id.in_(
            select(SessionRow)
            .with_only_columns(SESSIONS.c.id)
            .where(_OWNED)
            .order_by(SESSIONS.c.refreshed_at.desc())
            .offset(bindparam("keep"))
        )
    )
    .returning(SESSIONS.c.id)
)
_REMEMBER_REVOKED = insert(ENDED_SESSIONS)
_PURGE = delete(SESSIONS).where(
    SESSIONS.c.id.in_(
        select(SessionRow)
        .with_only_columns(SESSIONS.c.id)
        .where(
            or_(
                SESSIONS.c.expires_at < bindparam("expired_before"),
                SESSIONS.c.refreshed_at < bindparam("idle_since"),
            )
        )
        .limit(bindparam("limit"))
    )
)
_REFUSALS = {"fk_sessions_user_id_users": AccountGone}


class SqlSessionRepository(SessionRepository):
    """Sessions in the table `sessions`, whose columns are the entity's fields."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, session: Session) -> None:
        self._executor.write(_ADD, asdict(session), _REFUSALS)

    def get(self, session_id: SessionId) -> Session:
        for row in self._executor.rows(_GET, {"session_id": session_id}):
            return _to_session(row)
        raise SessionNotFound

    def list(self, user_id: UserId) -> Sequence[Session]:
        return self._executor.entities(_LIST, {"user_id": user_id}, _to_session)

    def save_refreshed(self, session: Session) -> None:
        saved = self._executor.write(
            _SAVE_REFRESHED,
            {
                "session_id": session.id,
                "generation_before": session.generation - 1,
                "new_refreshed_at": session.refreshed_at,
            },
        )
        if not saved:
            raise StaleVersion

    def revoke(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        with self._executor.atomically() as executor:
            rows = executor.rows(_REVOKE, {"user_id": user_id, "session_id": session_id})
            if not rows:
                raise SessionNotFound
            executor.write(_REMEMBER_REVOKED, {"id": session_id, "ended_at": now})

    def revoke_all(
        self, user_id: UserId, *, keep: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        with self._executor.atomically() as executor:
            if keep is None:
                rows = executor.rows(_REVOKE_ALL, {"user_id": user_id})
            else:
                rows = executor.rows(_REVOKE_ALL_BUT_ONE, {"user_id": user_id, "session_id": keep})
            return _remember_revoked(executor, rows, now)

    def revoke_least_recent(
        self, user_id: UserId, *, keep: int, now: datetime
    ) -> Sequence[SessionId]:
        with self._executor.atomically() as executor:
            rows = executor.rows(_REVOKE_LEAST_RECENT, {"user_id": user_id, "keep": keep})
            return _remember_revoked(executor, rows, now)

    def purge(self, *, expired_before: datetime, idle_since: datetime, limit: int) -> int:
        return self._executor.write(
            _PURGE, {"expired_before": expired_before, "idle_since": idle_since, "limit": limit}
        )


def _remember_revoked(
    executor: SqlExecutor, rows: Sequence[AnyRow], now: datetime
) -> Sequence[SessionId]:
    revoked = [SessionId(row[0]) for row in rows]
    if revoked:
        executor.write_many(_REMEMBER_REVOKED, [{"id": each, "ended_at": now} for each in revoked])
    return revoked


def _to_session(row: AnyRow) -> Session:
    return Session(
        id=SessionId(row.id),
        user_id=UserId(row.user_id),
        refresh_salt=row.refresh_salt,
        generation=row.generation,
        user_agent=row.user_agent,
        device=row.device,
        address=row.address,
        created_at=row.created_at,
        refreshed_at=row.refreshed_at,
        expires_at=row.expires_at,
    )
