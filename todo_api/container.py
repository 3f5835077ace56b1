"""The composition root: it chooses the adapter of each port, and assembles the application.

Of todo_api, only this module and `todo_api.wiring`, which makes the adapters that depend on
settings, import todo_adapters. A container makes each of its parts once, when it is first needed,
and keeps it as long as the container lives.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from dependency_injector import containers, providers

from todo_adapters.issuers.claims import MAX_TOKEN_LIFETIME
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.cursors import HmacCursors
from todo_adapters.security.passwords import PasslibPasswordHasher, common_passwords
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.security.revoked_sessions import PolledRevokedSessions
from todo_adapters.security.secret_tokens import RandomSecretTokens
from todo_adapters.sql.database import Database
from todo_adapters.sql.identities import SqlIdentityRepository
from todo_adapters.sql.inspection import SqlInspection
from todo_adapters.sql.kept_responses import SqlKeptResponseRepository
from todo_adapters.sql.password_resets import SqlPasswordResetRepository
from todo_adapters.sql.postgresql_tools import backup_command, restore_commands
from todo_adapters.sql.recovery import Recovery, recover
from todo_adapters.sql.reminders import SqlReminderRepository
from todo_adapters.sql.revocations import SqlRevocationRepository
from todo_adapters.sql.schema import SqlSchema
from todo_adapters.sql.sessions import SqlSessionRepository
from todo_adapters.sql.stream_tickets import SqlStreamTicketRepository
from todo_adapters.sql.users import SqlUserRepository
from todo_adapters.system.background import ThreadBackground
from todo_adapters.system.changes import PolledChanges
from todo_adapters.system.clock import SystemClock
from todo_adapters.system.devices import UaParserDeviceNames
from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_adapters.system.periodic import Periodic, in_batches
from todo_api.settings import Settings, Telemetry
from todo_api.wiring.issuers import make_external_issuers, make_identity_cache
from todo_api.wiring.jobs import (
    make_checkpoints,
    make_housekeeping,
    make_reminder_emails,
    make_reminding,
    make_session_check,
)
from todo_api.wiring.mail import make_mailer
from todo_api.wiring.security import make_key_ring, make_rate_limiter, make_security_log
from todo_api.wiring.storage import (
    make_backups,
    make_migration_database,
    make_serving_database,
    make_tasks,
    make_unit_of_work,
    migrations_folder,
)
from todo_api.wiring.telemetry import make_metrics, make_tracing
from todo_core.application import Application, Policy, Ports, assemble_clean_up
from todo_core.entities.user import PasswordPolicy


def _application(container: "Container") -> Application:
    """Assemble the use cases, in a function so that the type checker sees each adapter and port."""
    ports = Ports(
        users=container.users(),
        sessions=container.sessions(),
        revocations=container.revocations(),
        identities=container.identities(),
        password_resets=container.password_resets(),
        kept_responses=container.kept_responses(),
        stream_tickets=container.stream_tickets(),
        tasks=container.tasks(),
        reminders=container.reminders(),
        changes=container.changes(),
        unit_of_work=container.unit_of_work(),
        passwords=container.passwords(),
        access_tokens=container.access_tokens(),
        refresh_tokens=container.refresh_tokens(),
        secret_tokens=container.secret_tokens(),
        cursors=container.cursors(),
        external_issuers=container.external_issuers(),
        identity_cache=container.identity_cache(),
        revoked_sessions=container.revoked_sessions(),
        limiter=container.rate_limiter(),
        device_names=container.device_names(),
        mailer=container.mailer(),
        background=container.background(),
        identifiers=container.identifiers(),
        clock=container.clock(),
        security_log=container.security_log(),
    )
    application = Application(ports, _policy(container.settings()))
    if (spans := container.tracing().spans) is not None:
        from todo_adapters.tracing.use_cases import trace_use_cases

        trace_use_cases(application, spans.tracer)
    return application


def _policy(settings: Settings) -> Policy:
    return Policy(
        passwords=PasswordPolicy(
            min_length=settings.password_min_length, common=common_passwords()
        ),
        registration_is_open=settings.registration == "open",
        session_lifetime=settings.refresh_token_ttl,
        session_idle_lifetime=settings.refresh_token_idle_ttl,
        max_sessions_per_user=settings.max_sessions_per_user,
        max_tasks_per_user=settings.max_tasks_per_user,
        trash_lifetime=settings.trash_ttl,
        reminder_emails=settings.reminder_emails,
        access_token_lifetime=settings.access_token_ttl,
        external_token_lifetime=MAX_TOKEN_LIFETIME,
        password_reset_lifetime=settings.password_reset_ttl,
    )


class Container(containers.DeclarativeContainer):
    """All parts of one service. Containers in one process share nothing."""

    settings = providers.Dependency(instance_of=Settings)
    telemetry = providers.Dependency(instance_of=Telemetry, default=Telemetry())
    tracing = providers.Singleton(make_tracing, settings, telemetry)
    metrics = providers.Singleton(make_metrics, settings)

    clock = providers.Singleton(SystemClock)
    identifiers = providers.Singleton(TimeOrderedIdentifiers)
    background = providers.Singleton(ThreadBackground)
    device_names = providers.Singleton(UaParserDeviceNames)

    # Storage
    database = providers.Singleton(make_serving_database, settings, tracing)
    schema = providers.Singleton(SqlSchema, database, providers.Callable(migrations_folder))
    # A factory: only the command that checks the installation needs it.
    inspection = providers.Factory(SqlInspection, database)
    migration_database = providers.Singleton(make_migration_database, settings)
    migration_schema = providers.Singleton(
        SqlSchema, migration_database, providers.Callable(migrations_folder)
    )
    backups = providers.Factory(make_backups, settings, providers.Callable(migrations_folder))
    users = providers.Singleton(SqlUserRepository, database)
    sessions = providers.Singleton(SqlSessionRepository, database)
    revocations = providers.Singleton(SqlRevocationRepository, database)
    identities = providers.Singleton(SqlIdentityRepository, database)
    password_resets = providers.Singleton(SqlPasswordResetRepository, database)
    kept_responses = providers.Singleton(SqlKeptResponseRepository, database)
    stream_tickets = providers.Singleton(SqlStreamTicketRepository, database)
    tasks = providers.Singleton(make_tasks, database, metrics)
    reminders = providers.Singleton(SqlReminderRepository, database)
    unit_of_work = providers.Singleton(make_unit_of_work, database, metrics)

    # Security
    key_ring = providers.Singleton(make_key_ring, settings)
    passwords = providers.Singleton(
        PasslibPasswordHasher, cost=settings.provided.password_bcrypt_cost
    )
    access_tokens = providers.Singleton(
        JoseAccessTokens,
        key_ring,
        issuer=settings.provided.jwt_issuer,
        audience=settings.provided.jwt_audience,
        lifetime=settings.provided.access_token_ttl,
    )
    refresh_tokens = providers.Singleton(HmacRefreshTokens, key_ring)
    secret_tokens = providers.Singleton(RandomSecretTokens)
    cursors = providers.Singleton(HmacCursors, key_ring)
    revoked_sessions = providers.Singleton(
        PolledRevokedSessions, revocations, clock, remember=settings.provided.access_token_ttl
    )
    external_issuers = providers.Singleton(make_external_issuers, settings)
    identity_cache = providers.Singleton(make_identity_cache, settings)
    security_log = providers.Singleton(make_security_log, metrics)
    rate_limiter = providers.Singleton(make_rate_limiter, settings, metrics)
    mailer = providers.Singleton(make_mailer, settings, background, metrics)

    # The application
    __self__ = providers.Self()
    application = providers.Singleton(_application, __self__)

    # Background jobs
    changes = providers.Singleton(PolledChanges, tasks)
    checkpoints = providers.Singleton(make_checkpoints, database)
    session_check = providers.Singleton(make_session_check, settings, revoked_sessions)
    housekeeping = providers.Singleton(make_housekeeping, application)
    reminding = providers.Singleton(make_reminding, settings, application)
    reminder_emails = providers.Singleton(make_reminder_emails, settings, application)


def start(container: Container) -> None:
    """Make every part, so that errors occur now and not later, and start the background jobs.

    The parts are made here, on one thread, because concurrent requests could make one twice.
    """
    for provider in container.traverse(types=[providers.Singleton]):
        provider()
    jobs: list[Periodic] = [container.session_check(), container.housekeeping()]
    jobs.append(container.reminding())
    if container.database().needs_checkpoints:
        jobs.append(container.checkpoints())
    if container.settings().reminder_emails:
        jobs.append(container.reminder_emails())
    if (metrics := container.metrics()) is not None:
        for job in jobs:
            metrics.expect_job(job.name, seconds=job.seconds)
            job.observe(metrics.count_job)
    container.changes().start()
    for job in jobs:
        job.start()


def clean_up_everything(container: Container) -> int:
    """Delete everything that is no longer needed, and return the number of rows."""
    clean_up = assemble_clean_up(
        users=container.users(),
        sessions=container.sessions(),
        revocations=container.revocations(),
        password_resets=container.password_resets(),
        kept_responses=container.kept_responses(),
        stream_tickets=container.stream_tickets(),
        tasks=container.tasks(),
        reminders=container.reminders(),
        clock=container.clock(),
        policy=_policy(container.settings()),
    )
    return in_batches(clean_up)


def recover_everything(container: Container) -> Recovery:
    """Do what must follow a restore by other means than `todo restore`.

    Raises:
        ValueError: if the schema is not up to date, or a service uses a SQLite database.
        Unavailable: if the database does not respond.
    """
    with _exclusive_database(container) as database:
        schema = SqlSchema(database, migrations_folder())
        if (current := schema.current()) != schema.newest:
            raise ValueError(
                f"The schema has the revision {current}, and the newest one is {schema.newest}."
                " Run `todo migrate` first."
            )
        recovery = recover(database, now=container.clock().now())
        remove_signing_key(container.settings())
        return recovery


def downgrade_schema(container: Container, *, current: str, target: str) -> None:
    """Bring the schema back from the current revision to an earlier one.

    Raises:
        ValueError: if another process has changed the revision, a service uses a SQLite database,
            or stored data must be changed first.
        Unavailable: if the database does not respond.
    """
    with _exclusive_database(container) as database:
        schema = SqlSchema(database, migrations_folder())
        if (found := schema.current()) != current:
            raise ValueError(f"its revision is {found} now. Run the command again.")
        schema.downgrade(target)


@contextmanager
def _exclusive_database(container: Container) -> Iterator[Database]:
    """Return the database for migrations. If it is SQLite, no service can open it meanwhile."""
    if container.settings().is_embedded:
        container.migration_database().close()  # its connections share the lock
        with container.backups().exclusive_database() as database:
            yield database
    else:
        yield container.migration_database()


def remove_signing_key(settings: Settings) -> None:
    """Delete the signing key of the data folder, if it is in use. The service creates another."""
    if settings.jwt_secret is None:
        (settings.data_dir / "signing-key").unlink(missing_ok=True)


def postgresql_backup_command(settings: Settings, file: str) -> str:
    """Return the command that backs up the PostgreSQL database to this file."""
    return backup_command(settings.migration_dsn, file)


def postgresql_restore_commands(settings: Settings, file: str) -> Sequence[str]:
    """Return the commands that restore this file to a new PostgreSQL database."""
    return restore_commands(settings.migration_dsn, file)


def close(container: Container) -> None:
    """Stop the background jobs, and close the adapters, even if one of them fails to close."""
    with ExitStack() as stack:
        if (spans := container.tracing().spans) is not None:
            stack.callback(spans.close)
        # The last is closed first: a running job may still need the parts before it.
        for provider in (
            container.migration_database,
            container.database,
            container.external_issuers,
            container.rate_limiter,
            container.background,
            container.reminder_emails,
            container.mailer,
            container.reminding,
            container.housekeeping,
            container.session_check,
            container.changes,
            container.checkpoints,
        ):
            stack.callback(_close, provider)


class _Closable(Protocol):
    def close(self) -> None: ...


def _close(provider: Callable[[], _Closable]) -> None:
    provider().close()
