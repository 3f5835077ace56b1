"""The composition root: where ports meet their adapters, and nothing else does.

Only this module of todo_api imports todo_adapters. Everything in a container is
made once, when it is first asked for, and lives as long as the container does.
"""

from importlib.util import find_spec
from pathlib import Path

from dependency_injector import containers, providers

from todo_adapters.mail.console import ConsoleMailer
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.keys import KeyRing, secret_in_file
from todo_adapters.security.passwords import PasslibPasswordHasher, common_passwords
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.sql.database import Database, open_database
from todo_adapters.sql.schema import SqlSchema
from todo_adapters.sql.tasks import SqlTaskRepository
from todo_adapters.sql.unit_of_work import SqlUnitOfWork
from todo_adapters.sql.users import SqlUserRepository
from todo_adapters.system.clock import SystemClock
from todo_adapters.system.identifiers import RandomIdentifiers
from todo_api.settings import Settings
from todo_core.entities.user import PasswordPolicy
from todo_core.use_cases.accounts import GetUser, LogIn, RegisterUser
from todo_core.use_cases.tasks import (
    CreateTask,
    DeleteTask,
    GetTask,
    ListTasks,
    ToggleCompletion,
    UpdateTask,
)


def _key_ring(settings: Settings) -> KeyRing:
    """The keys that were set, or else the one that the embedded service keeps in a file."""
    previous = [secret.get_secret_value() for secret in settings.jwt_previous_secrets]
    if settings.jwt_secret is not None:
        return KeyRing.of(settings.jwt_secret.get_secret_value(), previous)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    return KeyRing.of(secret_in_file(settings.data_dir / "signing-key"), previous)


def _database(settings: Settings, dsn: str, pool_size: int) -> Database:
    if settings.is_embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
    return open_database(
        dsn,
        pool_size=pool_size,
        pool_timeout=settings.database_pool_timeout.total_seconds(),
        prepare_threshold=settings.database_prepare_threshold,
    )


def _serving_database(settings: Settings) -> Database:
    return _database(settings, settings.database_dsn, settings.database_pool_size)


def _migration_database(settings: Settings) -> Database:
    return _database(settings, settings.migration_dsn, pool_size=1)


def _migrations_folder() -> Path:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package `migrations` is not installed")
    return Path(spec.origin).parent


class Container(containers.DeclarativeContainer):
    """All parts of the service. `Container(settings=…)` is one service, apart from any other."""

    settings = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    identifiers = providers.Singleton(RandomIdentifiers)

    database = providers.Singleton(_serving_database, settings)
    schema = providers.Singleton(SqlSchema, database, providers.Callable(_migrations_folder))
    migration_database = providers.Singleton(_migration_database, settings)
    migration_schema = providers.Singleton(
        SqlSchema, migration_database, providers.Callable(_migrations_folder)
    )
    users = providers.Singleton(SqlUserRepository, database)
    tasks = providers.Singleton(SqlTaskRepository, database)
    unit_of_work = providers.Singleton(SqlUnitOfWork, database)

    key_ring = providers.Singleton(_key_ring, settings)
    passwords = providers.Singleton(
        PasslibPasswordHasher, cost=settings.provided.password_bcrypt_cost
    )
    password_policy = providers.Singleton(
        PasswordPolicy,
        min_length=settings.provided.password_min_length,
        common=providers.Callable(common_passwords),
    )
    access_tokens = providers.Singleton(
        JoseAccessTokens,
        key_ring,
        issuer=settings.provided.jwt_issuer,
        audience=settings.provided.jwt_audience,
        lifetime=settings.provided.access_token_ttl,
    )
    refresh_tokens = providers.Singleton(HmacRefreshTokens, key_ring)
    mailer = providers.Singleton(ConsoleMailer)

    register_user = providers.Singleton(
        RegisterUser,
        users=users,
        passwords=passwords,
        policy=password_policy,
        identifiers=identifiers,
        clock=clock,
    )
    log_in = providers.Singleton(
        LogIn,
        users=users,
        unit_of_work=unit_of_work,
        passwords=passwords,
        access_tokens=access_tokens,
        refresh_tokens=refresh_tokens,
        session_lifetime=settings.provided.refresh_token_ttl,
        identifiers=identifiers,
        clock=clock,
    )
    get_user = providers.Singleton(GetUser, users=users)

    create_task = providers.Singleton(CreateTask, tasks=tasks, identifiers=identifiers, clock=clock)
    list_tasks = providers.Singleton(ListTasks, tasks=tasks)
    get_task = providers.Singleton(GetTask, tasks=tasks)
    update_task = providers.Singleton(UpdateTask, tasks=tasks, clock=clock)
    toggle_completion = providers.Singleton(ToggleCompletion, tasks=tasks, clock=clock)
    delete_task = providers.Singleton(DeleteTask, tasks=tasks)
