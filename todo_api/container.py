"""The composition root: it chooses the adapter of each port, and assembles the application.

Only this module of todo_api imports todo_adapters. A container makes each of its parts once, when
it is first needed, and keeps it as long as the container lives.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog
from dependency_injector import containers, providers

from todo_adapters.issuers.claims import MAX_TOKEN_LIFETIME, Expected
from todo_adapters.issuers.identity_cache import TtlIdentityCache
from todo_adapters.issuers.shared_secret import JoseSharedSecretIssuer
from todo_adapters.issuers.trusted import TrustedIssuer, TrustedIssuers
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule, Unlimited
from todo_adapters.mail.console import ConsoleMailer
from todo_adapters.mail.rendering import EmailRenderer
from todo_adapters.mail.smtp import SmtpMailer
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.cursors import HmacCursors
from todo_adapters.security.keys import KeyRing, secret_in_file
from todo_adapters.security.passwords import PasslibPasswordHasher, common_passwords
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.security.revoked_sessions import PolledRevokedSessions
from todo_adapters.security.secret_tokens import RandomSecretTokens
from todo_adapters.security.security_log import StructlogSecurityLog
from todo_adapters.sql.backups import SqliteBackups, database_file
from todo_adapters.sql.database import Database, MakeStatement, open_database
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
from todo_adapters.sql.statements import DriverStatement
from todo_adapters.sql.stream_tickets import SqlStreamTicketRepository
from todo_adapters.sql.tasks import SqlTaskRepository
from todo_adapters.sql.unit_of_work import BeginSqlUnitOfWork
from todo_adapters.sql.users import SqlUserRepository
from todo_adapters.system.background import ThreadBackground
from todo_adapters.system.changes import PolledChanges
from todo_adapters.system.clock import SystemClock
from todo_adapters.system.devices import UaParserDeviceNames
from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_adapters.system.periodic import Periodic, PeriodicBatches, in_batches, on_threads
from todo_api.runtime.threads import give_way
from todo_api.settings import Settings, SettingsError, Telemetry
from todo_core.application import Application, Policy, Ports, assemble_clean_up
from todo_core.entities.user import PasswordPolicy
from todo_core.ports.limits import Limit

if TYPE_CHECKING:  # see `_tracing`
    from todo_adapters.tracing.log_export import LogExport
    from todo_adapters.tracing.span_export import SpanExport

_CHECKPOINT_SECONDS = 0.25
"""With 0.5 the 99th percentile of a create is a quarter higher, and nearly twice without any."""

_HOUSEKEEPING_SECONDS = 600.0
_LONGEST_HOUSEKEEPING_SECONDS = 120.0
_LONGEST_REMINDING_SECONDS = 60.0
_REMINDER_EMAILS_AT_ONCE = 4
_MAX_CACHED_IDENTITY_AGE = timedelta(minutes=5)

_log = structlog.get_logger()


class Tracing(NamedTuple):
    """The export of spans, if there is one. A container would make None again each time."""

    spans: "SpanExport | None"


def _key_ring(settings: Settings) -> KeyRing:
    """Return the configured keys, or the key that the embedded service keeps in a file."""
    previous = [secret.get_secret_value() for secret in settings.jwt_previous_secrets]
    if settings.jwt_secret is not None:
        return KeyRing.of(settings.jwt_secret.get_secret_value(), previous)
    _make_data_dir(settings)
    secret = secret_in_file(settings.data_dir / "signing-key")
    settings.require_separate_keys([secret])
    return KeyRing.of(secret, previous)


def _make_data_dir(settings: Settings) -> None:
    """Create the folder, so that only the user who runs the service can enter it."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def _database(
    settings: Settings,
    variable: str,
    dsn: str,
    pool_size: int,
    make_statement: MakeStatement = DriverStatement,
) -> Database:
    if settings.is_embedded:
        _make_data_dir(settings)
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


def _serving_database(settings: Settings, tracing: Tracing) -> Database:
    make_statement: MakeStatement = DriverStatement
    if tracing.spans is not None:
        from todo_adapters.tracing.statements import TracedStatement

        make_statement = partial(TracedStatement, tracing.spans.tracer)
    dsn, pool_size = settings.database_dsn, settings.database_pool_size
    return _database(settings, "DATABASE_URL", dsn, pool_size, make_statement)


def _migration_database(settings: Settings) -> Database:
    has_own = settings.migration_database_url is not None
    variable = "TODO_MIGRATION_DATABASE_URL" if has_own else "DATABASE_URL"
    return _database(settings, variable, settings.migration_dsn, pool_size=2)


def _backups(settings: Settings, migrations: Path) -> SqliteBackups:
    return SqliteBackups(database_file(settings.database_dsn), migrations)


def _tracing(settings: Settings, telemetry: Telemetry) -> Tracing:
    if telemetry.traces is None:
        return Tracing(None)
    # Late: see docs/decisions/late-imports.md
    from todo_adapters.tracing.span_export import SpanExport

    return Tracing(_open(partial(SpanExport, telemetry.traces, version=settings.app_version)))


def open_log_export(settings: Settings, telemetry: Telemetry) -> "LogExport | None":
    """Return the export of the log of this process, if there is one.

    The log outlives the parts of a container, and so does its export.
    """
    if telemetry.logs is None:
        return None
    # Late: see docs/decisions/late-imports.md
    from todo_adapters.tracing.log_export import LogExport

    return _open(partial(LogExport, telemetry.logs, version=settings.app_version))


def _open[Export](make: Callable[[], Export]) -> Export | None:
    """Return an export, or log why it cannot be made: a service runs without it."""
    try:
        return make()
    except (ValueError, RuntimeError, OSError) as error:  # of the variables that the SDK reads
        _log.warning("telemetry.not_exported", reason=str(error))
        return None


def _migrations_folder() -> Path:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package `migrations` is not installed")
    return Path(spec.origin).parent


def _rate_limiter(settings: Settings) -> LimitsRateLimiter | Unlimited:
    """Return the configured limits, and decide what happens while their storage is down.

    Limits against guessing and flooding are then counted by each process separately. Those that
    only protect authenticated users from each other allow every request (`fails_open`).
    """
    if not settings.rate_limit_enabled:
        return Unlimited()
    return LimitsRateLimiter(
        settings.rate_limit_storage.get_secret_value(),
        {
            Limit.LOGIN_ACCOUNT: Rule(settings.limit_login_account),
            Limit.LOGIN_ADDRESS: Rule(settings.limit_login_address),
            Limit.REAUTHENTICATION: Rule(settings.limit_reauthentication),
            Limit.REGISTER: Rule(settings.limit_register),
            Limit.FORGOT_ACCOUNT: Rule(settings.limit_forgot_account),
            Limit.FORGOT_ADDRESS: Rule(settings.limit_forgot_address),
            Limit.RESET_PASSWORD: Rule(settings.limit_reset_password),
            Limit.REFRESH: Rule(settings.limit_refresh, fails_open=True, coarse=True),
            Limit.TASKS: Rule(settings.limit_tasks, fails_open=True, coarse=True),
            Limit.PROFILE: Rule(settings.limit_profile, fails_open=True, coarse=True),
            Limit.SESSIONS: Rule(settings.limit_sessions, fails_open=True),
            Limit.EXPORT: Rule(settings.limit_export),
            Limit.REMINDER_EMAILS: Rule(settings.limit_reminder_emails),
            Limit.PROVISION_ADDRESS: Rule(settings.limit_provision_address),
            Limit.PROVISION_ISSUER: Rule(settings.limit_provision_issuer),
        },
    )


def _mailer(settings: Settings, background: ThreadBackground) -> ConsoleMailer | SmtpMailer:
    renderer = EmailRenderer(
        sender=settings.mail_sender, password_reset_url=settings.password_reset_url
    )
    if settings.smtp_url is None:
        return ConsoleMailer(renderer)
    return SmtpMailer(settings.smtp_url.get_secret_value(), renderer, background)


def _external_issuers(settings: Settings) -> TrustedIssuers:
    """Return the configured issuers, Better Auth among them.

    If Better Auth has published keys and a shared secret, tokens with an `iss` are verified with
    the keys and tokens without one with the secret. Both belong to the same users.
    """
    issuers: list[TrustedIssuer] = []
    for published in settings.published_key_issuers:
        # Late: see docs/decisions/late-imports.md
        from todo_adapters.issuers.jwks import PublishedKeys, PyJwtIssuer

        keys = PublishedKeys(published.jwks_url, published.algorithms)
        expected = Expected(
            issuer=published.issuer,
            namespace=settings.namespace_of(published.issuer),
            requires_issuer=True,
            audiences=published.audiences,
            requires_audience=bool(published.audiences),
        )
        issuers.append(PyJwtIssuer(keys, expected))
    if settings.better_auth_secret is not None:
        expected = Expected(
            issuer=settings.better_auth_name,
            namespace=settings.namespace_of(settings.better_auth_name),
            requires_issuer=settings.better_auth_issuer is not None
            and settings.better_auth_url is None,
            audiences=settings.better_auth_audiences,
            requires_audience=bool(settings.better_auth_audience)
            and settings.better_auth_url is None,
        )
        secret = settings.better_auth_secret.get_secret_value()
        issuers.append(JoseSharedSecretIssuer(secret, expected))
    return TrustedIssuers(issuers)


def _identity_cache(settings: Settings) -> TtlIdentityCache:
    """Cache users no longer than revocations are kept, which tell that an account was deleted."""
    lifetime = min(settings.access_token_ttl, _MAX_CACHED_IDENTITY_AGE)
    return TtlIdentityCache(seconds=lifetime.total_seconds())


def _session_check(settings: Settings, revoked_sessions: PolledRevokedSessions) -> Periodic:
    """Check twice in each interval, so that every revocation is known within one interval."""
    seconds = settings.session_check_interval.total_seconds() / 2
    return Periodic("session check", revoked_sessions.poll, seconds=seconds, jitter=0.1)


def _checkpoints(database: Database) -> Periodic:
    return Periodic("checkpoint", database.checkpoint, seconds=_CHECKPOINT_SECONDS, jitter=0.1)


def _housekeeping(application: Application) -> PeriodicBatches:
    return PeriodicBatches(
        "clean-up",
        application.clean_up,
        seconds=_HOUSEKEEPING_SECONDS,
        jitter=0.5,
        longest=_LONGEST_HOUSEKEEPING_SECONDS,
    )


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


def _reminding(settings: Settings, application: Application) -> PeriodicBatches:
    return PeriodicBatches(
        "reminders",
        application.fire_reminders,
        seconds=settings.reminder_interval.total_seconds(),
        jitter=0.1,
        longest=_LONGEST_REMINDING_SECONDS,
    )


def _reminder_emails(settings: Settings, application: Application) -> PeriodicBatches:
    return PeriodicBatches(
        "reminder emails",
        on_threads(application.send_reminder_emails, _REMINDER_EMAILS_AT_ONCE),
        seconds=settings.reminder_interval.total_seconds(),
        jitter=0.1,
        longest=_LONGEST_REMINDING_SECONDS,
    )


class Container(containers.DeclarativeContainer):
    """All parts of one service. Containers in one process share nothing."""

    settings = providers.Dependency(instance_of=Settings)
    telemetry = providers.Dependency(instance_of=Telemetry, default=Telemetry())
    tracing = providers.Singleton(_tracing, settings, telemetry)

    clock = providers.Singleton(SystemClock)
    identifiers = providers.Singleton(TimeOrderedIdentifiers)
    background = providers.Singleton(ThreadBackground)
    device_names = providers.Singleton(UaParserDeviceNames)

    # Storage
    database = providers.Singleton(_serving_database, settings, tracing)
    schema = providers.Singleton(SqlSchema, database, providers.Callable(_migrations_folder))
    # A factory: only the command that checks the installation needs it.
    inspection = providers.Factory(SqlInspection, database)
    migration_database = providers.Singleton(_migration_database, settings)
    migration_schema = providers.Singleton(
        SqlSchema, migration_database, providers.Callable(_migrations_folder)
    )
    backups = providers.Factory(_backups, settings, providers.Callable(_migrations_folder))
    users = providers.Singleton(SqlUserRepository, database)
    sessions = providers.Singleton(SqlSessionRepository, database)
    revocations = providers.Singleton(SqlRevocationRepository, database)
    identities = providers.Singleton(SqlIdentityRepository, database)
    password_resets = providers.Singleton(SqlPasswordResetRepository, database)
    kept_responses = providers.Singleton(SqlKeptResponseRepository, database)
    stream_tickets = providers.Singleton(SqlStreamTicketRepository, database)
    tasks = providers.Singleton(SqlTaskRepository, database)
    reminders = providers.Singleton(SqlReminderRepository, database)
    unit_of_work = providers.Singleton(BeginSqlUnitOfWork, database)

    # Security
    key_ring = providers.Singleton(_key_ring, settings)
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
    external_issuers = providers.Singleton(_external_issuers, settings)
    identity_cache = providers.Singleton(_identity_cache, settings)
    security_log = providers.Singleton(StructlogSecurityLog)
    rate_limiter = providers.Singleton(_rate_limiter, settings)
    mailer = providers.Singleton(_mailer, settings, background)

    # The application
    __self__ = providers.Self()
    application = providers.Singleton(_application, __self__)

    # Background jobs
    changes = providers.Singleton(PolledChanges, tasks)
    checkpoints = providers.Singleton(_checkpoints, database)
    session_check = providers.Singleton(_session_check, settings, revoked_sessions)
    housekeeping = providers.Singleton(_housekeeping, application)
    reminding = providers.Singleton(_reminding, settings, application)
    reminder_emails = providers.Singleton(_reminder_emails, settings, application)


def start(container: Container) -> None:
    """Make every part, so that errors occur now and not later, and start the background jobs.

    The parts are made here, on one thread, because concurrent requests could make one twice.
    """
    for provider in container.traverse(types=[providers.Singleton]):
        provider()
    if container.database().needs_checkpoints:
        container.checkpoints().start()
    container.session_check().start()
    container.changes().start()
    container.housekeeping().start()
    container.reminding().start()
    if container.settings().reminder_emails:
        container.reminder_emails().start()


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
    if container.settings().is_embedded:
        container.backups().require_unused()
    schema = container.migration_schema()
    if (current := schema.current()) != schema.newest:
        raise ValueError(
            f"The schema has the revision {current}, and the newest one is {schema.newest}."
            " Run `todo migrate` first."
        )
    recovery = recover(container.migration_database(), now=container.clock().now())
    remove_signing_key(container.settings())
    return recovery


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
