"""The use cases on in-memory adapters: no database, no clock, no network."""

from dataclasses import dataclass, field
from datetime import timedelta

from todo_adapters.in_memory.background import ImmediateBackground
from todo_adapters.in_memory.clock import ManualClock
from todo_adapters.in_memory.issuers import InMemoryExternalIssuers
from todo_adapters.in_memory.mail import InMemoryMailer
from todo_adapters.in_memory.people import InMemoryKnownPeople
from todo_adapters.in_memory.repositories import (
    InMemoryIdentityRepository,
    InMemoryPasswordResetRepository,
    InMemorySessionRepository,
    InMemoryTaskRepository,
    InMemoryUserRepository,
)
from todo_adapters.in_memory.security_log import InMemorySecurityLog
from todo_adapters.in_memory.sessions import InMemoryEndedSessions
from todo_adapters.in_memory.store import InMemoryStore
from todo_adapters.in_memory.unit_of_work import InMemoryUnitOfWork
from todo_adapters.limits.rate_limiter import LimitsRateLimiter, Rule
from todo_adapters.security.access_tokens import JoseAccessTokens
from todo_adapters.security.keys import KeyRing
from todo_adapters.security.passwords import PasslibPasswordHasher
from todo_adapters.security.refresh_tokens import HmacRefreshTokens
from todo_adapters.security.reset_tokens import RandomResetTokens
from todo_adapters.system.devices import UaParserDeviceNames
from todo_adapters.system.identifiers import RandomIdentifiers
from todo_core.entities.user import PasswordPolicy, User
from todo_core.ports.background import Background
from todo_core.ports.limits import RateLimiter
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
    LoggedIn,
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

PASSWORD = "a rather long sentence"
IDLE = timedelta(days=14)
LIFETIME = timedelta(days=90)
MAX_SESSIONS = 5
LIMITS = {
    "login_account": Rule("5/minute; 8/hour"),
    "login_address": Rule("12/minute"),
    "reauthentication": Rule("5/minute"),
    "register": Rule("20/minute"),
    "forgot_account": Rule("3/hour"),
    "forgot_address": Rule("6/hour"),
    "reset_password": Rule("10/minute"),
    "refresh": Rule("100/minute"),
    "profile": Rule("6/minute", coarse=True),
    "sessions": Rule("6/minute"),
    "export": Rule("2/minute; 3/day"),
    "provision_address": Rule("4/minute"),
    "provision_issuer": Rule("6/minute"),
}


@dataclass
class World:
    """Everything that a use case needs, and all of them."""

    clock: ManualClock = field(default_factory=ManualClock)
    store: InMemoryStore = field(default_factory=InMemoryStore)
    mailer: InMemoryMailer = field(default_factory=InMemoryMailer)
    log: InMemorySecurityLog = field(default_factory=InMemorySecurityLog)
    background: Background = field(default_factory=ImmediateBackground)
    ended_sessions: InMemoryEndedSessions = field(default_factory=InMemoryEndedSessions)
    limiter: RateLimiter = field(default_factory=lambda: LimitsRateLimiter("memory://", LIMITS))
    external_issuers: InMemoryExternalIssuers = field(default_factory=InMemoryExternalIssuers)
    known_people: InMemoryKnownPeople = field(default_factory=InMemoryKnownPeople)
    identifiers: RandomIdentifiers = field(default_factory=RandomIdentifiers)
    passwords: PasslibPasswordHasher = field(default_factory=lambda: PasslibPasswordHasher(cost=4))
    key_ring: KeyRing = field(default_factory=lambda: KeyRing.of("a secret " * 4))
    policy: PasswordPolicy = field(
        default_factory=lambda: PasswordPolicy(min_length=8, common=frozenset({"password1"}))
    )

    def __post_init__(self) -> None:
        self.users = InMemoryUserRepository(self.store)
        self.sessions = InMemorySessionRepository(self.store)
        self.identities = InMemoryIdentityRepository(self.store)
        self.password_resets = InMemoryPasswordResetRepository(self.store)
        self.tasks = InMemoryTaskRepository(self.store)
        unit_of_work = InMemoryUnitOfWork(self.store)
        clock, log, limiter = self.clock, self.log, self.limiter
        self.access_tokens = JoseAccessTokens(
            self.key_ring, issuer="todo", audience="todo", lifetime=timedelta(hours=1)
        )
        refresh_tokens = HmacRefreshTokens(self.key_ring)
        reset_tokens = RandomResetTokens()

        reauthenticate = Reauthenticate(self.passwords, limiter, log)
        self.register_user = RegisterUser(
            users=self.users,
            passwords=self.passwords,
            policy=self.policy,
            is_open=True,
            limiter=limiter,
            identifiers=self.identifiers,
            clock=clock,
            log=log,
        )
        self.get_profile = GetProfile(self.users)
        self.read_profile = ReadProfile(self.get_profile, limiter)
        self.update_profile = UpdateProfile(
            self.get_profile, unit_of_work, reauthenticate, self.mailer, clock, log
        )
        self.export_account = ExportAccount(
            self.get_profile, self.identities, self.sessions, self.tasks, limiter, log
        )
        self.purge_deleted = PurgeDeleted(self.users, self.tasks)
        self.delete_account = DeleteAccount(
            get_profile=self.get_profile,
            unit_of_work=unit_of_work,
            reauthenticate=reauthenticate,
            ended_sessions=self.ended_sessions,
            purge_deleted=self.purge_deleted,
            background=self.background,
            clock=clock,
            log=log,
        )
        self.log_in = LogIn(
            users=self.users,
            unit_of_work=unit_of_work,
            passwords=self.passwords,
            access_tokens=self.access_tokens,
            refresh_tokens=refresh_tokens,
            limiter=limiter,
            device_names=UaParserDeviceNames(),
            ended_sessions=self.ended_sessions,
            session_lifetime=LIFETIME,
            max_sessions=MAX_SESSIONS,
            identifiers=self.identifiers,
            clock=clock,
            log=log,
        )
        self.recognise_person = RecognisePerson(
            users=self.users,
            identities=self.identities,
            sessions=self.sessions,
            unit_of_work=unit_of_work,
            known_people=self.known_people,
            ended_sessions=self.ended_sessions,
            limiter=limiter,
            identifiers=self.identifiers,
            clock=clock,
            log=log,
        )
        self.authenticate = Authenticate(
            self.access_tokens,
            self.ended_sessions,
            self.external_issuers,
            self.recognise_person,
            clock,
        )
        self.refresh_session = RefreshSession(
            sessions=self.sessions,
            ended_sessions=self.ended_sessions,
            access_tokens=self.access_tokens,
            refresh_tokens=refresh_tokens,
            limiter=limiter,
            idle_lifetime=IDLE,
            clock=clock,
            log=log,
        )
        self.list_sessions = ListSessions(self.sessions, limiter, IDLE, clock)
        self.end_session = EndSession(self.sessions, self.ended_sessions, limiter, clock, log)
        self.log_out = LogOut(self.sessions, self.ended_sessions, clock, log)
        self.end_other_sessions = EndOtherSessions(
            self.sessions, self.ended_sessions, limiter, clock, log
        )
        self.change_password = ChangePassword(
            get_profile=self.get_profile,
            unit_of_work=unit_of_work,
            reauthenticate=reauthenticate,
            passwords=self.passwords,
            policy=self.policy,
            ended_sessions=self.ended_sessions,
            mailer=self.mailer,
            clock=clock,
            log=log,
        )
        self.forgot_password = ForgotPassword(
            users=self.users,
            unit_of_work=unit_of_work,
            reset_tokens=reset_tokens,
            limiter=limiter,
            mailer=self.mailer,
            background=self.background,
            lifetime=timedelta(minutes=10),
            clock=clock,
            log=log,
        )
        self.reset_password = ResetPassword(
            get_profile=self.get_profile,
            password_resets=self.password_resets,
            unit_of_work=unit_of_work,
            reset_tokens=reset_tokens,
            passwords=self.passwords,
            policy=self.policy,
            limiter=limiter,
            ended_sessions=self.ended_sessions,
            mailer=self.mailer,
            clock=clock,
            log=log,
        )
        self.clean_up = CleanUp(
            self.purge_deleted,
            self.sessions,
            self.password_resets,
            IDLE,
            timedelta(hours=1),
            timedelta(days=30),
            clock,
        )
        self.create_task = CreateTask(self.tasks, self.identifiers, clock)
        self.list_tasks = ListTasks(self.tasks)
        self.get_task = GetTask(self.tasks)
        self.update_task = UpdateTask(self.tasks, clock)
        self.toggle_completion = ToggleCompletion(self.tasks, clock)
        self.delete_task = DeleteTask(self.tasks)

    def person(self, email: str = "ada@example.com") -> User:
        """Somebody who registered."""
        return self.register_user(name="Ada", email=email, password=PASSWORD)

    def logged_in(self, email: str = "ada@example.com", address: str = "") -> LoggedIn:
        """Somebody's new session."""
        return self.log_in(email=email, password=PASSWORD, address=address)
