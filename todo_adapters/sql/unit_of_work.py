"""Units of work in SQL: each is one transaction."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from todo_adapters.sql.database import Database, SqlExecutor
from todo_adapters.sql.identities import SqlIdentityRepository
from todo_adapters.sql.kept_responses import SqlKeptResponseRepository
from todo_adapters.sql.password_resets import SqlPasswordResetRepository
from todo_adapters.sql.revocations import SqlRevocationRepository
from todo_adapters.sql.sessions import SqlSessionRepository
from todo_adapters.sql.tasks import SqlTaskRepository
from todo_adapters.sql.users import SqlUserRepository
from todo_core.ports.unit_of_work import BeginUnitOfWork, UnitOfWork


class SqlUnitOfWork(UnitOfWork):
    """The repositories, on one transaction. The given tasks, if any, must be on it too."""

    def __init__(self, executor: SqlExecutor, tasks: SqlTaskRepository | None = None) -> None:
        self._users = SqlUserRepository(executor)
        self._sessions = SqlSessionRepository(executor)
        self._revocations = SqlRevocationRepository(executor)
        self._identities = SqlIdentityRepository(executor)
        self._password_resets = SqlPasswordResetRepository(executor)
        self._kept_responses = SqlKeptResponseRepository(executor)
        self._tasks = tasks or SqlTaskRepository(executor)

    @property
    def users(self) -> SqlUserRepository:
        return self._users

    @property
    def sessions(self) -> SqlSessionRepository:
        return self._sessions

    @property
    def revocations(self) -> SqlRevocationRepository:
        return self._revocations

    @property
    def identities(self) -> SqlIdentityRepository:
        return self._identities

    @property
    def password_resets(self) -> SqlPasswordResetRepository:
        return self._password_resets

    @property
    def kept_responses(self) -> SqlKeptResponseRepository:
        return self._kept_responses

    @property
    def tasks(self) -> SqlTaskRepository:
        return self._tasks


class BeginSqlUnitOfWork(BeginUnitOfWork):
    """Begins units of work, one transaction each."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self) -> AbstractContextManager[UnitOfWork]:
        return self._begin()

    @contextmanager
    def _begin(self) -> Iterator[UnitOfWork]:
        with self._database.transaction() as transaction:
            yield SqlUnitOfWork(transaction)
