"""Sessions in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlmodel import bindparam, delete, insert, or_, select, update

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.statements import AnyRow, Parameters, Statement
from todo_adapters.sql.tables import REVOKED_SESSIONS, SESSIONS, SessionRow
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import UserId
from todo_core.errors import AccountGone, SessionNotFound, StaleVersion
from todo_core.ports.repositories import SessionRepository

_THIS_ONE = SESSIONS.c.id == bindparam("session_id")
_OWNED = SESSIONS.c.user_id == bindparam("user_id")

_COLUMNS = (
    SESSIONS.c.id,
    SESSIONS.c.user_id,
    SESSIONS.c.refresh_salt,
    SESSIONS.c.generation,
    SESSIONS.c.user_agent,
    SESSIONS.c.device,
    SESSIONS.c.address,
    SESSIONS.c.created_at,
    SESSIONS.c.refreshed_at,
    SESSIONS.c.expires_at,
)

_ADD = insert(SESSIONS)
_SELECT = select(SessionRow).with_only_columns(*_COLUMNS)
_GET = _SELECT.where(_THIS_ONE)
_LIST = _SELECT.where(_OWNED).order_by(SESSIONS.c.refreshed_at.desc())
_SAVE_REFRESHED = (
    update(SESSIONS)
    .where(_THIS_ONE, SESSIONS.c.generation == bindparam("generation_before"))
    .values(generation=SESSIONS.c.generation + 1, refreshed_at=bindparam("new_refreshed_at"))
)
_REVOKE = delete(SESSIONS).where(_OWNED, _THIS_ONE)
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
_REMEMBER_REVOKED = insert(REVOKED_SESSIONS)
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
_CONSTRAINT_ERRORS = {"fk_sessions_user_id_users": AccountGone}


class SqlSessionRepository(SessionRepository):
    """Sessions in the table `sessions`."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, session: Session) -> None:
        self._executor.write(_ADD, _to_row(session), _CONSTRAINT_ERRORS)

    def get(self, session_id: SessionId) -> Session:
        row = self._executor.row(_GET, {"session_id": session_id})
        if row is None:
            raise SessionNotFound
        return _to_session(row)

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
            if not executor.write(_REVOKE, {"user_id": user_id, "session_id": session_id}):
                raise SessionNotFound
            executor.write(_REMEMBER_REVOKED, _revocation(session_id, now))

    def revoke_all(
        self, user_id: UserId, *, keep: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        if keep is None:
            return self._revoke(_REVOKE_ALL, {"user_id": user_id}, now)
        return self._revoke(_REVOKE_ALL_BUT_ONE, {"user_id": user_id, "session_id": keep}, now)

    def revoke_least_recent(
        self, user_id: UserId, *, keep: int, now: datetime
    ) -> Sequence[SessionId]:
        return self._revoke(_REVOKE_LEAST_RECENT, {"user_id": user_id, "keep": keep}, now)

    def purge(self, *, expired_before: datetime, idle_since: datetime, limit: int) -> int:
        return self._executor.write(
            _PURGE, {"expired_before": expired_before, "idle_since": idle_since, "limit": limit}
        )

    def _revoke(
        self, statement: Statement, parameters: Parameters, now: datetime
    ) -> Sequence[SessionId]:
        """Run a delete that returns ids, and remember these as revoked."""
        with self._executor.atomically() as executor:
            revoked = executor.values(statement, parameters)
            if revoked:
                executor.write_many(_REMEMBER_REVOKED, [_revocation(each, now) for each in revoked])
            return revoked


def _revocation(session_id: SessionId, now: datetime) -> Parameters:
    return {"id": session_id, "revoked_at": now}


def _to_row(session: Session) -> Parameters:
    return {
        "id": session.id,
        "user_id": session.user_id,
        "refresh_salt": session.refresh_salt,
        "generation": session.generation,
        "user_agent": session.user_agent,
        "device": session.device,
        "address": session.address,
        "created_at": session.created_at,
        "refreshed_at": session.refreshed_at,
        "expires_at": session.expires_at,
    }


def _to_session(row: AnyRow) -> Session:
    (
        session_id,
        user_id,
        refresh_salt,
        generation,
        user_agent,
        device,
        address,
        created_at,
        refreshed_at,
        expires_at,
    ) = row
    return Session(
        id=session_id,
        user_id=user_id,
        refresh_salt=refresh_salt,
        generation=generation,
        user_agent=user_agent,
        device=device,
        address=address,
        created_at=created_at,
        refreshed_at=refreshed_at,
        expires_at=expires_at,
    )
