"""The use cases on in-memory adapters: no database, no clock, no network."""

from dataclasses import dataclass, field
from datetime import timedelta

from todo_adapters.in_memory.background import ImmediateBackground
from todo_adapters.in_memory.changes import InMemoryChanges
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.in_memory.external_issuers import InMemoryExternalIssuers
from todo_adapters.in_memory.identities import InMemoryIdentityRepository
from todo_adapters.in_memory.identity_cache import InMemoryIdentityCache
from todo_adapters.in_memory.kept_responses import InMemoryKeptResponseRepository
from todo_adapters.in_memory.mail import InMemoryMailer
from todo_adapters.in_memory.password_resets import InMemoryPasswordResetRepository
from todo_adapters.in_memory.reminders import InMemoryReminderRepository
from todo_adapters.in_memory.revocations import InMemoryRevocationRepository
from todo_adapters.in_memory.revoked_sessions import InMemoryRevokedSessions
from todo_adapters.in_memory.security_log import InMemorySecurityLog
from todo_adapters.in_memory.sessions import InMemorySessionRepository
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.stream_tickets import InMemoryStreamTicketRepository
from todo_adapters.in_memory.tasks import InMemoryTaskRepository
from todo_adapters.in_memory.unit_of_work import BeginInMemoryUnitOfWork
from todo_adapters.in_memory.users import InMemoryUserRepository
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.cursors import HmacCursors
from todo_adapters.security.keys import KeyRing
from todo_adapters.security.passwords import PasslibPasswordHasher
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.security.secret_tokens import RandomSecretTokens
from todo_adapters.system.devices import UaParserDeviceNames
from todo_adapters.system.identifiers import TimeOrderedIdentifiers
from todo_core.application import Application, Policy, Ports
from todo_core.entities.identity import Identity
from todo_core.entities.task import Task, TaskId
from todo_core.entities.user import PasswordPolicy, User
from todo_core.ports.background import Background
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.use_cases.authentication import LoggedIn

ISSUER = "https://app.example.com"
PASSWORD = "a rather long sentence"
IDLE = timedelta(days=14)
LIFETIME = timedelta(days=90)
MAX_SESSIONS = 5
MAX_TASKS = 1000
POLICY = Policy(
    passwords=PasswordPolicy(min_length=8, common=frozenset({"password1"})),
    registration_is_open=True,
    session_lifetime=LIFETIME,
    session_idle_lifetime=IDLE,
    max_sessions_per_user=MAX_SESSIONS,
    access_token_lifetime=timedelta(hours=1),
    external_token_lifetime=timedelta(days=30),
    password_reset_lifetime=timedelta(minutes=10),
    max_tasks_per_user=MAX_TASKS,
    trash_lifetime=timedelta(days=30),
    reminder_emails=True,
)
LIMITS: dict[str, Rule] = {
    Limit.LOGIN_ACCOUNT: Rule("5/minute; 8/hour"),
    Limit.LOGIN_ADDRESS: Rule("12/minute"),
    Limit.REAUTHENTICATION: Rule("5/minute"),
    Limit.REGISTER: Rule("20/minute"),
    Limit.FORGOT_ACCOUNT: Rule("3/hour"),
    Limit.FORGOT_ADDRESS: Rule("6/hour"),
    Limit.RESET_PASSWORD: Rule("10/minute"),
    Limit.REFRESH: Rule("100/minute"),
    Limit.TASKS: Rule("6000/minute", coarse=True),
    Limit.PROFILE: Rule("6/minute", coarse=True),
    Limit.TIME_ZONE: Rule("4/minute"),
    Limit.SESSIONS: Rule("6/minute"),
    Limit.EXPORT: Rule("2/minute; 3/day"),
    Limit.REMINDER_EMAILS: Rule("20/hour"),
    Limit.PROVISION_ADDRESS: Rule("4/minute"),
    Limit.PROVISION_ISSUER: Rule("6/minute"),
}


@dataclass
class World:
    """The application on in-memory adapters, which a test can inspect."""

    clock: ManualClock = field(default_factory=ManualClock)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    mailer: InMemoryMailer = field(default_factory=InMemoryMailer)
    log: InMemorySecurityLog = field(default_factory=InMemorySecurityLog)
    background: Background = field(default_factory=ImmediateBackground)
    revoked_sessions: InMemoryRevokedSessions = field(default_factory=InMemoryRevokedSessions)
    limiter: RateLimiter = field(default_factory=lambda: LimitsRateLimiter("memory://", LIMITS))
    external_issuers: InMemoryExternalIssuers = field(default_factory=InMemoryExternalIssuers)
    identity_cache: InMemoryIdentityCache = field(default_factory=InMemoryIdentityCache)
    identifiers: TimeOrderedIdentifiers = field(default_factory=TimeOrderedIdentifiers)
    passwords: PasslibPasswordHasher = field(default_factory=lambda: PasslibPasswordHasher(cost=4))
    key_ring: KeyRing = field(default_factory=lambda: KeyRing.of("a secret " * 4))
    policy: Policy = POLICY

    def __post_init__(self) -> None:
        self.users = InMemoryUserRepository(self.store)
        self.sessions = InMemorySessionRepository(self.store)
        self.revocations = InMemoryRevocationRepository(self.store)
        self.identities = InMemoryIdentityRepository(self.store)
        self.password_resets = InMemoryPasswordResetRepository(self.store)
        self.kept_responses = InMemoryKeptResponseRepository(self.store)
        self.stream_tickets = InMemoryStreamTicketRepository(self.store)
        self.tasks = InMemoryTaskRepository(self.store)
        self.reminders = InMemoryReminderRepository(self.store)
        self.changes = InMemoryChanges(self.tasks)
        self.access_tokens = JoseAccessTokens(
            self.key_ring, issuer="todo", audience="todo", lifetime=timedelta(hours=1)
        )
        self.ports = Ports(
            users=self.users,
            sessions=self.sessions,
            revocations=self.revocations,
            identities=self.identities,
            password_resets=self.password_resets,
            kept_responses=self.kept_responses,
            stream_tickets=self.stream_tickets,
            tasks=self.tasks,
            reminders=self.reminders,
            changes=self.changes,
            unit_of_work=BeginInMemoryUnitOfWork(self.store),
            passwords=self.passwords,
            access_tokens=self.access_tokens,
            refresh_tokens=HmacRefreshTokens(self.key_ring),
            secret_tokens=RandomSecretTokens(),
            cursors=HmacCursors(self.key_ring),
            external_issuers=self.external_issuers,
            identity_cache=self.identity_cache,
            revoked_sessions=self.revoked_sessions,
            limiter=self.limiter,
            device_names=UaParserDeviceNames(),
            mailer=self.mailer,
            background=self.background,
            identifiers=self.identifiers,
            clock=self.clock,
            security_log=self.log,
        )
        self.application = Application(self.ports, self.policy)

    def register(self, email: str = "ada@example.com") -> User:
        """Register a user."""
        return self.application.register_user(name="Ada", email=email, password=PASSWORD)

    def log_in(self, email: str = "ada@example.com", address: str = "") -> LoggedIn:
        """Log in a registered user."""
        return self.application.log_in(email=email, password=PASSWORD, address=address)


def vouch(
    world: World,
    token: str = "external ada",  # noqa: S107 - of the in-memory issuer
    *,
    subject: str = "ada",
    issuer: str = ISSUER,
    name: object = "Ada",
    email: object = "ada@example.com",
    minutes: float = 0,
) -> str:
    """Let the issuer issue a token this many minutes from now, and return it."""
    world.external_issuers.identities[token] = Identity.claimed(
        issuer=issuer,
        subject=subject,
        name=name,
        email=email,
        issued_at=world.clock.now() + timedelta(minutes=minutes),
    )
    return token


def give_tasks(world: World, owner: User, count: int) -> None:
    """Store this many tasks of the owner, with ids from 1, which must not be in use yet."""
    for number in range(1, count + 1):
        task = Task.create(
            id=TaskId(number),
            owner_id=owner.id,
            title="Buy milk",
            description=None,
            now=world.clock.now(),
        )
        world.tasks.add(task)
