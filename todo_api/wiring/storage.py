"""The database of the service, with or without spans and counts of what is written."""

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from todo_adapters.sql.backups import SqliteBackups, database_file
from todo_adapters.sql.database import Database, MakeStatement, open_database
from todo_adapters.sql.statements import DriverStatement
from todo_adapters.sql.tasks import SqlTaskRepository
from todo_adapters.sql.unit_of_work import BeginSqlUnitOfWork
from todo_api.runtime.threads import give_way
from todo_api.settings import Settings, SettingsError
from todo_api.wiring.telemetry import Tracing

if TYPE_CHECKING:
    from todo_api.runtime.metrics import Metrics


def make_serving_database(settings: Settings, tracing: Tracing) -> Database:
    """Return the database for requests, whose statements have spans if there are traces."""
    make_statement: MakeStatement = DriverStatement
    if tracing.spans is not None:
        from todo_adapters.tracing.statements import TracedStatement

        make_statement = partial(TracedStatement, tracing.spans.tracer)
    dsn, pool_size = settings.database_dsn, settings.database_pool_size
    return _database(settings, "DATABASE_URL", dsn, pool_size, make_statement)


def make_migration_database(settings: Settings) -> Database:
    """Return the database for migrations, which may have a URL of its own."""
    has_own = settings.migration_database_url is not None
    variable = "TODO_MIGRATION_DATABASE_URL" if has_own else "DATABASE_URL"
    return _database(settings, variable, settings.migration_dsn, pool_size=2)


def _database(
    settings: Settings,
    variable: str,
    dsn: str,
    pool_size: int,
    make_statement: MakeStatement = DriverStatement,
) -> Database:
    if settings.is_embedded:
        make_data_dir(settings)
    try:
        return open_database(
            dsn,
            pool_size=pool_size,
            pool_timeout=settings.database_pool_timeout.total_seconds(),
            prepared_statements=settings.database_prepared_statements == "auto",
            give_way=give_way,
            make_statement=make_statement,
        )
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None


def make_data_dir(settings: Settings) -> None:
    """Create the folder, so that only the user who runs the service can enter it."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def migrations_folder() -> Path:
    """Return the folder of the migrations.

    Raises:
        ModuleNotFoundError: if they are not installed.
    """
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package `migrations` is not installed")
    return Path(spec.origin).parent


def make_backups(settings: Settings, migrations: Path) -> SqliteBackups:
    """Return the backups of the embedded database."""
    return SqliteBackups(database_file(settings.database_dsn), migrations)


def make_tasks(database: Database, metrics: "Metrics | None") -> SqlTaskRepository:
    """Return the tasks, counting those that are written if there are metrics."""
    if metrics is None:
        return SqlTaskRepository(database)
    from todo_adapters.observed.tasks import ObservedTaskRepository  # late, like the metrics

    return ObservedTaskRepository(database, metrics.count_task_written)


def make_unit_of_work(database: Database, metrics: "Metrics | None") -> BeginSqlUnitOfWork:
    """Return what begins units of work, counting written tasks if there are metrics."""
    if metrics is None:
        return BeginSqlUnitOfWork(database)
    from todo_adapters.observed.tasks import BeginObservedUnitOfWork  # late, like the metrics

    return BeginObservedUnitOfWork(database, metrics.count_task_written)
