"""Sessions in SQL."""

from dataclasses import asdict

from sqlmodel import insert

from todo_adapters.sql.database import SqlExecutor
from todo_adapters.sql.tables import SESSIONS
from todo_core.entities.session import Session
from todo_core.errors import AccountGone
from todo_core.ports.repositories import SessionRepository

_ADD = insert(SESSIONS)
_REFUSALS = {"fk_sessions_user_id_users": AccountGone}


class SqlSessionRepository(SessionRepository):
    """Sessions in the table `sessions`, whose columns are the entity's fields."""

    def __init__(self, executor: SqlExecutor) -> None:
        self._executor = executor

    def add(self, session: Session) -> None:
        self._executor.write(_ADD, asdict(session), _REFUSALS)
