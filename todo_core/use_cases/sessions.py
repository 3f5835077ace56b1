"""Logging in, staying logged in, and ending sessions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from todo_core.entities.identity import Identity, LinkedIdentity
from todo_core.entities.session import Session, SessionId, clean_user_agent
from todo_core.entities.user import Email, Password, User, UserId
from todo_core.errors import (
    AccountGone,
    EditConflict,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    NotOurSession,
    SessionNotFound,
    StaleVersion,
    UserNotFound,
    ValidationFailed,
)
from todo_core.ports.clock import Clock
from todo_core.ports.devices import DeviceNames
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import RateLimiter
from todo_core.ports.repositories import SessionRepository, UserRepository
from todo_core.ports.security import (
    AccessToken,
    AccessTokens,
    Caller,
    EndedSessions,
    ExternalIssuers,
    PasswordHasher,
    RefreshTokens,
)
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.admission import Admitted
from todo_core.use_cases.ending import announce_ended
from todo_core.use_cases.identities import RecognisePerson

ATTEMPTS = 3
"""How often a login starts over when the account is saved by somebody else meanwhile."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What speaks for a person: for a while, and to go on after that."""

    access_token: AccessToken
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What a login yields: the person, and the tokens that speak for them."""

    user: User
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class LogIn:
    """A person proves by their password that an account is theirs, and gets a session.

    Whether the email is unknown or the password wrong is not told, neither by the
    error nor by the time that it takes (OWASP ASVS 5.0, 6.3.8). Every try counts
    before the password is looked at (`admit`), for its address and for the account as seen
    from there: so nobody can lock an owner out from elsewhere. A password that is
    hashed by an older scheme or at another cost is hashed anew on this occasion.

    A user has at most `max_sessions` sessions. A login beyond that revokes those that
    were used least recently.

    Raises:
        InvalidCredentials: if email and password do not belong together.
        RateLimited: after too many tries.
        EditConflict: if the account keeps being changed at the same time.
    """

    users: UserRepository
    unit_of_work: BeginUnitOfWork
    passwords: PasswordHasher
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    limiter: RateLimiter
    device_names: DeviceNames
    ended_sessions: EndedSessions
    session_lifetime: timedelta
    max_sessions: int
    identifiers: Identifiers
    clock: Clock
    log: SecurityLog

    def __call__(
        self, *, email: str, password: str, user_agent: str = "", address: str = ""
    ) -> LoggedIn:
        return self.admit(
            email=email, password=password, user_agent=user_agent, address=address
        ).complete()

    def admit(
        self, *, email: str, password: str, user_agent: str = "", address: str = ""
    ) -> Admitted[LoggedIn]:
        """Count the try, and return the login itself.

        Raises:
            RateLimited: after too many tries.
        """
        self.limiter.hit("login_address", address)
        self.limiter.hit("login_account", _account(email), address)
        return Admitted(lambda: self._log_in(email, password, user_agent, address))

    def _log_in(self, email: str, password: str, user_agent: str, address: str) -> LoggedIn:
        for _ in range(ATTEMPTS):
            user, given = self._authenticated(email, password)
            now = self.clock.now()
            session = Session.start(
                id=self.identifiers.session_id(),
                user_id=user.id,
                refresh_salt=self.refresh_tokens.salt(),
                user_agent=user_agent,
                device=self.device_names.name(clean_user_agent(user_agent)),
                address=address,
                lifetime=self.session_lifetime,
                now=now,
            )
            try:
                revoked = self._open(session, user, self._rehashed(user, given, now))
            except StaleVersion:
                # What was verified may not be the account's password any more.
                continue
            self.limiter.forgive("login_account", _account(email), address)
            self.log.record(SecurityEvent.LOGGED_IN, user_id=user.id, session_id=session.id)
            announce_ended(
                revoked, user_id=user.id, ended_sessions=self.ended_sessions, log=self.log
            )
            return LoggedIn(
                user,
                Tokens(
                    self.access_tokens.issue(session, now=now), self.refresh_tokens.issue(session)
                ),
            )
        raise EditConflict

    def _authenticated(self, email: str, password: str) -> tuple[User, Password]:
        user = self._find(email)
        try:
            given = Password(password)
        except ValidationFailed:
            # Nobody has such a password; the comparison takes its time all the same.
            given, user = Password.stored(""), None
        if not self.passwords.verify(given, user.password_hash if user else None) or user is None:
            self.log.record(SecurityEvent.LOGIN_FAILED, user_id=user.id if user else None)
            raise InvalidCredentials
        return user, given

    def _find(self, email: str) -> User | None:
        try:
            return self.users.get_by_email(Email(email))
        except (ValidationFailed, UserNotFound):
            return None

    def _rehashed(self, user: User, password: Password, now: datetime) -> User | None:
        """The user with a fresh hash, if the one they have is out of date."""
        if user.password_hash is None or not self.passwords.needs_rehash(user.password_hash):
            return None
        return user.with_password_hash(self.passwords.hash(password), now=now)

    def _open(self, session: Session, user: User, rehashed: User | None) -> Sequence[SessionId]:
        """Store the session, on the condition that the account is still as it was read.

        Otherwise a login that runs while the password is changed could leave a
        session behind that the change was to end. Returns the sessions that were revoked to make
        room for it; the user is locked, so that logins at the same time count each other.
        """
        try:
            with self.unit_of_work() as work:
                if rehashed is None:
                    work.users.lock(user)
                else:
                    work.users.save(rehashed)
                revoked = work.sessions.revoke_least_recent(
                    user.id, keep=self.max_sessions - 1, now=session.created_at
                )
                work.sessions.add(session)
                return revoked
        except AccountGone as deleted_meanwhile:
            raise InvalidCredentials from deleted_meanwhile


def _account(email: str) -> str:
    """Return what stands for the account of this email in its limits."""
    return email.strip().lower()


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Somebody presents an access token, our own or an external issuer's, and is told apart by it.

    Raises:
        InvalidAccessToken: if it proves nothing, or its session has ended.
        RateLimited: if it is the first of its user, and too many new accounts were opened.
        Unavailable: if it is an external issuer's, whose keys cannot be had.
    """

    access_tokens: AccessTokens
    ended_sessions: EndedSessions
    external_issuers: ExternalIssuers
    recognise_person: RecognisePerson
    clock: Clock

    def __call__(self, token: str, *, address: str = "") -> Caller:
        now = self.clock.now()
        if self.external_issuers.named_by(token) is None:
            return self._ours(token, now)
        identity = self.external_issuers.verify(token, now=now)
        return _external(identity, self.recognise_person(identity, address=address))

    def without_waiting(self, token: str) -> Caller | None:
        """The same for our own tokens, and for people who were seen lately.

        Returns None if it would have to ask the issuer or the database.
        """
        now = self.clock.now()
        if self.external_issuers.named_by(token) is None:
            return self._ours(token, now)
        identity = self.external_issuers.recall(token, now=now)
        if identity is None or (person := self.recognise_person.recall(identity)) is None:
            return None
        return _external(identity, person)

    def _ours(self, token: str, now: datetime) -> Caller:
        caller = self.access_tokens.verify(token, now=now)
        if caller.session_id in self.ended_sessions:
            raise InvalidAccessToken
        return caller


def _external(identity: Identity, person: LinkedIdentity) -> Caller:
    return Caller(person.user_id, identity.session_id, identity, person.alias)


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """A person goes on with their session, by the token that they were last given.

    Each refresh token is used once, and has one successor. One that is used again
    is in two hands (RFC 9700 §4.14.2), so the session ends, for both of them. But
    within ten seconds it yields the same successor once more: two tabs may refresh
    at the same time, and an answer may get lost.

    Raises:
        InvalidRefreshToken: if the token is no session's, or was used before, or
            the session has ended or was idle for too long.
        RateLimited: after too many refreshes.
    """

    sessions: SessionRepository
    ended_sessions: EndedSessions
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    limiter: RateLimiter
    idle_lifetime: timedelta
    clock: Clock
    log: SecurityLog

    def __call__(self, *, refresh_token: str, address: str = "") -> Tokens:
        self.limiter.hit("refresh", address)
        claimed = self.refresh_tokens.read(refresh_token)
        while True:
            session = self._session(claimed.session_id)
            if not self.refresh_tokens.proves(
                refresh_token, session, generation=claimed.generation
            ):
                raise InvalidRefreshToken
            now = self.clock.now()
            if session.is_over(idle_lifetime=self.idle_lifetime, now=now):
                raise InvalidRefreshToken
            if claimed.generation == session.generation:
                try:
                    return self._refreshed(session, now)
                except StaleVersion:
                    continue  # another was faster: its successor is ours, or it has ended
            if session.was_just_refreshed_from(claimed.generation, now=now):
                return self._tokens(session, now)
            self._end_stolen(session, now)
            raise InvalidRefreshToken

    def _session(self, session_id: SessionId) -> Session:
        try:
            return self.sessions.get(session_id)
        except SessionNotFound as ended:
            raise InvalidRefreshToken from ended

    def _refreshed(self, session: Session, now: datetime) -> Tokens:
        refreshed = session.refreshed(now=now)
        self.sessions.save_refreshed(refreshed)
        return self._tokens(refreshed, now)

    def _tokens(self, session: Session, now: datetime) -> Tokens:
        return Tokens(
            self.access_tokens.issue(session, now=now), self.refresh_tokens.issue(session)
        )

    def _end_stolen(self, session: Session, now: datetime) -> None:
        self.log.record(
            SecurityEvent.REFRESH_REUSED, user_id=session.user_id, session_id=session.id
        )
        try:
            self.sessions.revoke(session.id, user_id=session.user_id, now=now)
        except SessionNotFound:
            return  # ended by somebody else at the same moment
        announce_ended(
            [session.id],
            user_id=session.user_id,
            ended_sessions=self.ended_sessions,
            log=self.log,
        )


@dataclass(frozen=True, slots=True)
class ListSessions:
    """A person looks at where they are logged in, the session used last first.

    Raises:
        RateLimited: after too many requests of this user about their sessions.
    """

    sessions: SessionRepository
    limiter: RateLimiter
    idle_lifetime: timedelta
    clock: Clock

    def __call__(self, *, user_id: UserId) -> Sequence[Session]:
        self.limiter.hit("sessions", str(user_id))
        now = self.clock.now()
        return [
            session
            for session in self.sessions.list(user_id)
            if not session.is_over(idle_lifetime=self.idle_lifetime, now=now)
        ]


@dataclass(frozen=True, slots=True)
class EndSession:
    """A person logs out on one of their devices. Its tokens are of no use from then on.

    Raises:
        RateLimited: after too many requests of this user about their sessions.
        SessionNotFound: if they have no such session, whoever else may.
    """

    sessions: SessionRepository
    ended_sessions: EndedSessions
    limiter: RateLimiter
    clock: Clock
    log: SecurityLog

    def __call__(self, *, user_id: UserId, session_id: SessionId) -> None:
        self.limiter.hit("sessions", str(user_id))
        self.sessions.revoke(session_id, user_id=user_id, now=self.clock.now())
        announce_ended(
            [session_id], user_id=user_id, ended_sessions=self.ended_sessions, log=self.log
        )


@dataclass(frozen=True, slots=True)
class LogOut:
    """A person ends the session that they are calling from; that it had ended already is fine.

    It is never refused for being asked too often: each session is ended once.

    Raises:
        NotOurSession: if it is an external issuer that logged them in.
    """

    sessions: SessionRepository
    ended_sessions: EndedSessions
    clock: Clock
    log: SecurityLog

    def __call__(self, caller: Caller) -> None:
        if caller.identity is not None:
            raise NotOurSession
        try:
            self.sessions.revoke(caller.session_id, user_id=caller.user_id, now=self.clock.now())
        except SessionNotFound:
            return
        announce_ended(
            [caller.session_id],
            user_id=caller.user_id,
            ended_sessions=self.ended_sessions,
            log=self.log,
        )


@dataclass(frozen=True, slots=True)
class EndOtherSessions:
    """A person logs out everywhere but here.

    Raises:
        NotOurSession: if it is an external issuer that logs them in.
        RateLimited: after too many requests of this user about their sessions.
    """

    sessions: SessionRepository
    ended_sessions: EndedSessions
    limiter: RateLimiter
    clock: Clock
    log: SecurityLog

    def __call__(self, caller: Caller) -> None:
        if caller.identity is not None:
            raise NotOurSession
        self.limiter.hit("sessions", str(caller.user_id))
        ended = self.sessions.revoke_all(
            caller.user_id, keep=caller.session_id, now=self.clock.now()
        )
        announce_ended(
            ended, user_id=caller.user_id, ended_sessions=self.ended_sessions, log=self.log
        )
