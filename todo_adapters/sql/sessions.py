"""Sessions in SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlmodel import bindparam, delete, insert, or_, select, union_all, update

from todo_adapters.sql.database import AnyRow, SqlExecutor
from todo_adapters.sql.tables import (
    ENDED_SESSIONS,
    EXTERNAL_ENDS,
    SESSIONS,
    EndedSessionRow,
    ExternalEndRow,
    SessionRow,
    UtcDateTime,
)
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
_END = delete(SESSIONS).where(_OWNED, _THIS_ONE).returning(SESSIONS.c.id)
_END_ALL = delete(SESSIONS).where(_OWNED).returning(SESSIONS.c.id)
_END_ALL_BUT_ONE = (
    delete(SESSIONS)
    .where(_OWNED, SESSIONS.c.id != bindparam("session_id"))
    .returning(SESSIONS.c.id)
)
_END_OLDEST = (
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
_NOTE = insert(ENDED_SESSIONS)
_FORGET_EXTERNAL_END = delete(EXTERNAL_ENDS).where(EXTERNAL_ENDS.c.id == bindparam("session_id"))
_NOTE_EXTERNAL_END = insert(EXTERNAL_ENDS)
_EXTERNAL_END = (
    select(ExternalEndRow)
    .with_only_columns(EXTERNAL_ENDS.c.ended_at)
    .where(EXTERNAL_ENDS.c.id == bindparam("session_id"))
)
_ENDED_SINCE = union_all(
    *(
        select(row)
        .with_only_columns(notes.c.id)
        .where(notes.c.ended_at >= bindparam("time", type_=UtcDateTime))
        for row, notes in ((EndedSessionRow, ENDED_SESSIONS), (ExternalEndRow, EXTERNAL_ENDS))
    )
)
_FORGET = delete(SESSIONS).where(
    SESSIONS.c.id.in_(
        select(SessionRow)
        .with_only_columns(SESSIONS.c.id)
        .where(
            or_(
                SESSIONS.c.expires_at < bindparam("expired"),
                SESSIONS.c.refreshed_at < bindparam("idle"),
            )
        )
        .limit(bindparam("most"))
    )
)
_FORGET_NOTES, _FORGET_EXTERNAL_ENDS = (
    delete(notes).where(
        notes.c.id.in_(
            select(row)
            .with_only_columns(notes.c.id)
            .where(notes.c.ended_at < bindparam("ended"))
            .limit(bindparam("most"))
        )
    )
    for row, notes in ((EndedSessionRow, ENDED_SESSIONS), (ExternalEndRow, EXTERNAL_ENDS))
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

    def end(self, session_id: SessionId, *, user_id: UserId, now: datetime) -> None:
        with self._executor.atomically() as executor:
            ended = executor.rows(_END, {"user_id": user_id, "session_id": session_id})
            if not ended:
                raise SessionNotFound
            executor.write(_NOTE, {"id": session_id, "ended_at": now})

    def end_all(
        self, user_id: UserId, *, but: SessionId | None = None, now: datetime
    ) -> Sequence[SessionId]:
        with self._executor.atomically() as executor:
            if but is None:
                rows = executor.rows(_END_ALL, {"user_id": user_id})
            else:
                rows = executor.rows(_END_ALL_BUT_ONE, {"user_id": user_id, "session_id": but})
            return _note_ended(executor, rows, now)

    def end_oldest(self, user_id: UserId, *, keep: int, now: datetime) -> Sequence[SessionId]:
        with self._executor.atomically() as executor:
            rows = executor.rows(_END_OLDEST, {"user_id": user_id, "keep": keep})
            return _note_ended(executor, rows, now)

    def note_external_end(self, session_id: SessionId, *, now: datetime) -> None:
        with self._executor.atomically() as executor:
            executor.write(_FORGET_EXTERNAL_END, {"session_id": session_id})
            executor.write(_NOTE_EXTERNAL_END, {"id": session_id, "ended_at": now})

    def external_end(self, session_id: SessionId) -> datetime | None:
        for row in self._executor.rows(_EXTERNAL_END, {"session_id": session_id}):
            ended_at: datetime = row[0]
            return ended_at
        return None

    def ended_since(self, time: datetime) -> Sequence[SessionId]:
        return [SessionId(row[0]) for row in self._executor.rows(_ENDED_SINCE, {"time": time})]

    def forget(
        self,
        *,
        expired: datetime,
        idle: datetime,
        ended: datetime,
        ended_externally: datetime,
        limit: int,
    ) -> int:
        over = {"expired": expired, "idle": idle, "most": limit}
        return (
            self._executor.write(_FORGET, over)
            + self._executor.write(_FORGET_NOTES, {"ended": ended, "most": limit})
            + self._executor.write(
                _FORGET_EXTERNAL_ENDS, {"ended": ended_externally, "most": limit}
            )
        )


def _note_ended(
    executor: SqlExecutor, rows: Sequence[AnyRow], now: datetime
) -> Sequence[SessionId]:
    ended = [SessionId(row[0]) for row in rows]
    if ended:
        executor.write_many(_NOTE, [{"id": each, "ended_at": now} for each in ended])
    return ended


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
