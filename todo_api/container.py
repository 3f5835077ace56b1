"""The composition root: where ports meet their adapters, and nothing else does.

Only this module of todo_api imports todo_adapters. Everything in a container is
made once, when it is first asked for, and lives as long as the container does.
"""

from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

from dependency_injector import containers, providers

from todo_adapters.issuers.claims import LONGEST_LIFE, Expected
from todo_adapters.issuers.people import RecentPeople
from todo_adapters.issuers.shared_secret import JoseSharedSecretIssuer
from todo_adapters.issuers.trusted import TrustedIssuer, TrustedIssuers
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule, Unlimited
from todo_adapters.mail.console import ConsoleMailer
from todo_adapters.mail.rendering import LetterRenderer
from todo_adapters.mail.smtp import SmtpMailer
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.ended_sessions import PolledEndedSessions
from todo_adapters.security.keys import KeyRing, secret_in_file
from todo_adapters.security.passwords import PasslibPasswordHasher, common_passwords
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.security.reset_tokens import RandomResetTokens
from todo_adapters.security.security_log import StructlogSecurityLog
from todo_adapters.sql.database import Database, open_database
from todo_adapters.sql.identities import SqlIdentityRepository
from todo_adapters.sql.password_resets import SqlPasswordResetRepository
from todo_adapters.sql.schema import SqlSchema
from todo_adapters.sql.sessions import SqlSessionRepository
from todo_adapters.sql.tasks import SqlTaskRepository
from todo_adapters.sql.unit_of_work import SqlUnitOfWork
from todo_adapters.sql.users import SqlUserRepository
from todo_adapters.system.background import ThreadBackground
from todo_adapters.system.clock import SystemClock
from todo_adapters.system.devices import UaParserDeviceNames
from todo_adapters.system.identifiers import RandomIdentifiers
from todo_adapters.system.periodic import Periodic, PeriodicBatches, in_batches
from todo_api.runtime.threads import give_way
from todo_api.settings import Settings, SettingsError
from todo_core.entities.user import PasswordPolicy
from todo_core.ports.limits import RateLimiter
from todo_core.ports.mail import Mailer
from todo_core.use_cases.accounts import (
    DeleteAccount,
    ExportAccount,
    GetProfile,
    ReadProfile,
    RegisterUser,
    UpdateProfile,
)
from todo_core.use_cases.authentication import Reauthenticate
from todo_core.use_cases.cleanup import CleanUp, PurgeDeleted
from todo_core.use_cases.identities import RecognisePerson
from todo_core.use_cases.passwords import ChangePassword, ForgotPassword, ResetPassword
from todo_core.use_cases.sessions import (
    Authenticate,
    EndOtherSessions,
    EndSession,
    ListSessions,
    LogIn,
    LogOut,
    RefreshSession,
)
from todo_core.use_cases.tasks import (
    CreateTask,
    DeleteTask,
    GetTask,
    ListTasks,
    ToggleCompletion,
    UpdateTask,
)

_HOUSEKEEPING_SECONDS = 600.0
_LONGEST_HOUSEKEEPING_SECONDS = 120.0
_PEOPLE_REMEMBERED = timedelta(minutes=5)


def _key_ring(settings: Settings) -> KeyRing:
    """The keys that were set, or else the one that the embedded service keeps in a file."""
    previous = [secret.get_secret_value() for secret in settings.jwt_previous_secrets]
    if settings.jwt_secret is not None:
        return KeyRing.of(settings.jwt_secret.get_secret_value(), previous)
    _make_data_dir(settings)
    secret = secret_in_file(settings.data_dir / "signing-key")
    settings.require_separate_keys([secret])
    return KeyRing.of(secret, previous)


def _make_data_dir(settings: Settings) -> None:
    """Make the folder, which nobody else has any business in."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)


def _database(settings: Settings, variable: str, dsn: str, pool_size: int) -> Database:
    if settings.is_embedded:
        _make_data_dir(settings)
    try:
        return open_database(
            dsn,
            pool_size=pool_size,
            pool_timeout=settings.database_pool_timeout.total_seconds(),
            prepared_statements=settings.database_prepared_statements == "auto",
            give_way=give_way,
        )
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None


def _serving_database(settings: Settings) -> Database:
    dsn, pool_size = settings.database_dsn, settings.database_pool_size
    return _database(settings, "DATABASE_URL", dsn, pool_size)


def _migration_database(settings: Settings) -> Database:
    has_own = settings.migration_database_url is not None
    variable = "TODO_MIGRATION_DATABASE_URL" if has_own else "DATABASE_URL"
    return _database(settings, variable, settings.migration_dsn, pool_size=1)


def _migrations_folder() -> Path:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the package `migrations` is not installed")
    return Path(spec.origin).parent


def _rate_limiter(settings: Settings) -> RateLimiter:
    """The limits that are set. What becomes of each while the storage is down is decided here.

    Guessing and flooding stay limited, by each process alone; what only keeps
    order among people who are logged in lets them work.
    """
    if not settings.rate_limit_enabled:
        return Unlimited()
    return LimitsRateLimiter(
        settings.rate_limit_storage.get_secret_value(),
        {
            "login_account": Rule(settings.limit_login_account),
            "login_address": Rule(settings.limit_login_address),
            "reauthentication": Rule(settings.limit_reauthentication),
            "register": Rule(settings.limit_register),
            "forgot_account": Rule(settings.limit_forgot_account),
            "forgot_address": Rule(settings.limit_forgot_address),
            "reset_password": Rule(settings.limit_reset_password),
            "refresh": Rule(settings.limit_refresh, fails_open=True, coarse=True),
            "tasks": Rule(settings.limit_tasks, fails_open=True, coarse=True),
            "profile": Rule(settings.limit_profile, fails_open=True, coarse=True),
            "sessions": Rule(settings.limit_sessions, fails_open=True),
            "export": Rule(settings.limit_export),
            "provision_address": Rule(settings.limit_provision_address),
            "provision_issuer": Rule(settings.limit_provision_issuer),
        },
    )


def _registration_is_open(settings: Settings) -> bool:
    return settings.registration == "open"


def _mailer(settings: Settings, background: ThreadBackground) -> Mailer:
    renderer = LetterRenderer(
        sender=settings.mail_sender, password_reset_url=settings.password_reset_url
    )
    if settings.smtp_url is None:
        return ConsoleMailer(renderer)
    return SmtpMailer(settings.smtp_url.get_secret_value(), renderer, background)


def _external_issuers(settings: Settings) -> TrustedIssuers:
    """Better Auth and the others, as far as they are set.

    Where Better Auth has both, tokens that name it are verified by its published keys, and
    those that name nobody by the shared secret; both are of the same people.
    """
    issuers: list[TrustedIssuer] = []
    for published in settings.published_key_issuers:
        # See docs/decisions/0009-late-imports.md: 10 MB, and a tenth of a second.
        from todo_adapters.issuers.jwks import PublishedKeys, PyJwtIssuer

        keys = PublishedKeys(published.jwks_url, published.algorithms)
        expected = Expected(
            issuer=published.issuer,
            known_as=settings.known_as(published.issuer),
            names_itself=True,
            audiences=published.audiences,
            needs_audience=bool(published.audiences),
        )
        issuers.append(PyJwtIssuer(keys, expected))
    if settings.better_auth_secret is not None:
        expected = Expected(
            issuer=settings.better_auth_name,
            known_as=settings.known_as(settings.better_auth_name),
            names_itself=settings.better_auth_issuer is not None
            and settings.better_auth_url is None,
            audiences=settings.better_auth_audiences,
            needs_audience=bool(settings.better_auth_audience) and settings.better_auth_url is None,
        )
        secret = settings.better_auth_secret.get_secret_value()
        issuers.append(JoseSharedSecretIssuer(secret, expected))
    return TrustedIssuers(issuers)


def _known_people(settings: Settings) -> RecentPeople:
    """For no longer than ended sessions are remembered, by which a deleted account is known."""
    lifetime = min(settings.access_token_ttl, _PEOPLE_REMEMBERED)
    return RecentPeople(seconds=lifetime.total_seconds())


def _session_check(settings: Settings, ended_sessions: PolledEndedSessions) -> Periodic:
    """Twice in the interval, so that what was ended just after a look is known within it."""
    seconds = settings.session_check_interval.total_seconds() / 2
    return Periodic("session check", ended_sessions.poll, seconds=seconds, jitter=0.1)


def _housekeeping(clean_up: CleanUp) -> PeriodicBatches:
    return PeriodicBatches(
        "clean-up",
        clean_up,
        seconds=_HOUSEKEEPING_SECONDS,
        jitter=0.5,
        longest=_LONGEST_HOUSEKEEPING_SECONDS,
    )


class Container(containers.DeclarativeContainer):
    """All parts of the service. `Container(settings=…)` is one service, apart from any other."""

    settings = providers.Dependency(instance_of=Settings)

    clock = providers.Singleton(SystemClock)
    identifiers = providers.Singleton(RandomIdentifiers)
    background = providers.Singleton(ThreadBackground)
    device_names = providers.Singleton(UaParserDeviceNames)

    # Storage
    database = providers.Singleton(_serving_database, settings)
    schema = providers.Singleton(SqlSchema, database, providers.Callable(_migrations_folder))
    migration_database = providers.Singleton(_migration_database, settings)
    migration_schema = providers.Singleton(
        SqlSchema, migration_database, providers.Callable(_migrations_folder)
    )
    users = providers.Singleton(SqlUserRepository, database)
    sessions = providers.Singleton(SqlSessionRepository, database)
    identities = providers.Singleton(SqlIdentityRepository, database)
    password_resets = providers.Singleton(SqlPasswordResetRepository, database)
    tasks = providers.Singleton(SqlTaskRepository, database)
    unit_of_work = providers.Singleton(SqlUnitOfWork, database)

    # Security
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
    reset_tokens = providers.Singleton(RandomResetTokens)
    ended_sessions = providers.Singleton(
        PolledEndedSessions, sessions, clock, remember=settings.provided.access_token_ttl
    )
    external_issuers = providers.Singleton(_external_issuers, settings)
    known_people = providers.Singleton(_known_people, settings)
    security_log = providers.Singleton(StructlogSecurityLog)
    rate_limiter = providers.Singleton(_rate_limiter, settings)
    mailer = providers.Singleton(_mailer, settings, background)

    # Use cases: accounts
    reauthenticate = providers.Singleton(
        Reauthenticate, passwords=passwords, limiter=rate_limiter, log=security_log
    )
    register_user = providers.Singleton(
        RegisterUser,
        users=users,
        passwords=passwords,
        policy=password_policy,
        is_open=providers.Callable(_registration_is_open, settings),
        limiter=rate_limiter,
        identifiers=identifiers,
        clock=clock,
        log=security_log,
    )
    get_profile = providers.Singleton(GetProfile, users=users)
    read_profile = providers.Singleton(ReadProfile, get_profile=get_profile, limiter=rate_limiter)
    update_profile = providers.Singleton(
        UpdateProfile,
        get_profile=get_profile,
        unit_of_work=unit_of_work,
        reauthenticate=reauthenticate,
        mailer=mailer,
        clock=clock,
        log=security_log,
    )
    export_account = providers.Singleton(
        ExportAccount,
        get_profile=get_profile,
        identities=identities,
        sessions=sessions,
        tasks=tasks,
        limiter=rate_limiter,
        log=security_log,
    )
    purge_deleted = providers.Singleton(PurgeDeleted, users=users, tasks=tasks)
    delete_account = providers.Singleton(
        DeleteAccount,
        get_profile=get_profile,
        unit_of_work=unit_of_work,
        reauthenticate=reauthenticate,
        ended_sessions=ended_sessions,
        purge_deleted=purge_deleted,
        background=background,
        clock=clock,
        log=security_log,
    )

    # Use cases: sessions
    log_in = providers.Singleton(
        LogIn,
        users=users,
        unit_of_work=unit_of_work,
        passwords=passwords,
        access_tokens=access_tokens,
        refresh_tokens=refresh_tokens,
        limiter=rate_limiter,
        device_names=device_names,
        ended_sessions=ended_sessions,
        session_lifetime=settings.provided.refresh_token_ttl,
        max_sessions=settings.provided.max_sessions_per_user,
        identifiers=identifiers,
        clock=clock,
        log=security_log,
    )
    recognise_person = providers.Singleton(
        RecognisePerson,
        users=users,
        identities=identities,
        sessions=sessions,
        unit_of_work=unit_of_work,
        known_people=known_people,
        ended_sessions=ended_sessions,
        limiter=rate_limiter,
        identifiers=identifiers,
        clock=clock,
        log=security_log,
    )
    authenticate = providers.Singleton(
        Authenticate,
        access_tokens=access_tokens,
        ended_sessions=ended_sessions,
        external_issuers=external_issuers,
        recognise_person=recognise_person,
        clock=clock,
    )
    refresh_session = providers.Singleton(
        RefreshSession,
        sessions=sessions,
        ended_sessions=ended_sessions,
        access_tokens=access_tokens,
        refresh_tokens=refresh_tokens,
        limiter=rate_limiter,
        idle_lifetime=settings.provided.refresh_token_idle_ttl,
        clock=clock,
        log=security_log,
    )
    list_sessions = providers.Singleton(
        ListSessions,
        sessions=sessions,
        limiter=rate_limiter,
        idle_lifetime=settings.provided.refresh_token_idle_ttl,
        clock=clock,
    )
    end_session = providers.Singleton(
        EndSession,
        sessions=sessions,
        ended_sessions=ended_sessions,
        limiter=rate_limiter,
        clock=clock,
        log=security_log,
    )
    log_out = providers.Singleton(
        LogOut, sessions=sessions, ended_sessions=ended_sessions, clock=clock, log=security_log
    )
    end_other_sessions = providers.Singleton(
        EndOtherSessions,
        sessions=sessions,
        ended_sessions=ended_sessions,
        limiter=rate_limiter,
        clock=clock,
        log=security_log,
    )

    # Use cases: passwords
    change_password = providers.Singleton(
        ChangePassword,
        get_profile=get_profile,
        unit_of_work=unit_of_work,
        reauthenticate=reauthenticate,
        passwords=passwords,
        policy=password_policy,
        ended_sessions=ended_sessions,
        mailer=mailer,
        clock=clock,
        log=security_log,
    )
    forgot_password = providers.Singleton(
        ForgotPassword,
        users=users,
        unit_of_work=unit_of_work,
        reset_tokens=reset_tokens,
        limiter=rate_limiter,
        mailer=mailer,
        background=background,
        lifetime=settings.provided.password_reset_ttl,
        clock=clock,
        log=security_log,
    )
    reset_password = providers.Singleton(
        ResetPassword,
        get_profile=get_profile,
        password_resets=password_resets,
        unit_of_work=unit_of_work,
        reset_tokens=reset_tokens,
        passwords=passwords,
        policy=password_policy,
        limiter=rate_limiter,
        ended_sessions=ended_sessions,
        mailer=mailer,
        clock=clock,
        log=security_log,
    )

    # Use cases: tasks
    create_task = providers.Singleton(CreateTask, tasks=tasks, identifiers=identifiers, clock=clock)
    list_tasks = providers.Singleton(ListTasks, tasks=tasks)
    get_task = providers.Singleton(GetTask, tasks=tasks)
    update_task = providers.Singleton(UpdateTask, tasks=tasks, clock=clock)
    toggle_completion = providers.Singleton(ToggleCompletion, tasks=tasks, clock=clock)
    delete_task = providers.Singleton(DeleteTask, tasks=tasks)

    # What goes on by itself
    clean_up = providers.Singleton(
        CleanUp,
        purge_deleted=purge_deleted,
        sessions=sessions,
        password_resets=password_resets,
        idle_lifetime=settings.provided.refresh_token_idle_ttl,
        access_token_lifetime=settings.provided.access_token_ttl,
        external_token_lifetime=LONGEST_LIFE,
        clock=clock,
    )
    session_check = providers.Singleton(_session_check, settings, ended_sessions)
    housekeeping = providers.Singleton(_housekeeping, clean_up)


def start(container: Container) -> None:
    """Make every part, so that a fault shows now and not at a request, and set going what goes on.

    Made one after the other: singletons that threads ask for at the same moment
    could otherwise be made twice.
    """
    for provider in container.traverse(types=[providers.Singleton]):
        provider()
    container.session_check().start()
    container.housekeeping().start()


def clean_up_everything(container: Container) -> int:
    """Remove all that is of no use any more, and return how much it was."""
    return in_batches(container.clean_up())


def close(container: Container) -> None:
    """Stop what goes on, finish what was promised, and close what is open."""
    container.session_check().stop()
    container.housekeeping().stop()
    mailer = container.mailer()
    if isinstance(mailer, SmtpMailer):
        mailer.close()
    container.background().close()
    container.database().close()
    container.migration_database().close()
