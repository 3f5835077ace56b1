"""Sessions: starting, refreshing, listing and revoking them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from todo_core.entities.caller import Caller
from todo_core.entities.session import Session, SessionId, clean_user_agent
from todo_core.entities.user import User, UserId
from todo_core.errors import (
    AccountGone,
    ExternalSession,
    InvalidCredentials,
    InvalidRefreshToken,
    SessionNotFound,
)
from todo_core.ports.clock import Clock
from todo_core.ports.devices import DeviceNames
from todo_core.ports.identifiers import Identifiers
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import SessionRepository
from todo_core.ports.security_log import SecurityEvent, SecurityLog
from todo_core.ports.tokens import AccessToken, AccessTokens, RefreshTokenClaims, RefreshTokens
from todo_core.ports.unit_of_work import BeginUnitOfWork
from todo_core.use_cases.retrying import retry_on_conflict
from todo_core.use_cases.revocation import RevokeSessions


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a session: one to make requests with, one to refresh the session."""

    access_token: AccessToken
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class IssueTokens:
    """Issue the tokens of a session's current generation. A step of several use cases."""

    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens

    def __call__(self, session: Session, *, now: datetime) -> Tokens:
        return Tokens(
            self.access_tokens.issue(session, now=now), self.refresh_tokens.issue(session)
        )


@dataclass(frozen=True, slots=True)
class StartSession:
    """Start a session for a user whose password was just verified. A step of `LogIn`.

    It is stored only if the account has not changed since it was loaded. Otherwise a login during a
    password change could leave a session that the change should have revoked.

    A user has at most `max_sessions` sessions. Beyond that, the least recently
    refreshed ones are revoked.

    Raises:
        StaleVersion: if the account was changed since it was loaded.
        InvalidCredentials: if the account was deleted at the same time.
    """

    unit_of_work: BeginUnitOfWork
    issue_tokens: IssueTokens
    revoke_sessions: RevokeSessions
    refresh_tokens: RefreshTokens
    device_names: DeviceNames
    identifiers: Identifiers
    clock: Clock
    security_log: SecurityLog
    lifetime: timedelta
    max_sessions: int

    def __call__(
        self, user: User, *, rehashed: User | None, user_agent: str, address: str
    ) -> Tokens:
        """Store the session, and `rehashed` if it is the user with a new password hash."""
        now = self.clock.now()
        session = Session.start(
            id=self.identifiers.session_id(),
            user_id=user.id,
            refresh_salt=self.refresh_tokens.generate_salt(),
            user_agent=user_agent,
            device=self.device_names.name(clean_user_agent(user_agent)),
            address=address,
            lifetime=self.lifetime,
            now=now,
        )
        revoked = self._store(session, user, rehashed)
        self.security_log.record(SecurityEvent.LOGGED_IN, user_id=user.id, session_id=session.id)
        self.revoke_sessions.announce(revoked, user_id=user.id)
        return self.issue_tokens(session, now=now)

    def _store(self, session: Session, user: User, rehashed: User | None) -> Sequence[SessionId]:
        """Store the session, and return those that were revoked to make room for it."""
        try:
            with self.unit_of_work() as work:
                # Both lock the user, so that concurrent logins count each other's sessions.
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


@dataclass(frozen=True, slots=True)
class RefreshSession:
    """Issue new tokens for a session to the holder of its current refresh token.

    Each refresh token can be used once, and has one successor. If it is used again, two parties
    have it (RFC 9700 §4.14.2), so the session is revoked for both. Within `REFRESH_GRACE`,
    however, it yields the same successor again: two tabs may refresh at the same time, and a
    response may be lost.

    Raises:
        InvalidRefreshToken: if the token does not belong to a session or was used before, or if
            the session was revoked, has expired, or was idle for too long.
        RateLimited: after too many refreshes.
    """

    sessions: SessionRepository
    issue_tokens: IssueTokens
    revoke_sessions: RevokeSessions
    refresh_tokens: RefreshTokens
    limiter: RateLimiter
    clock: Clock
    security_log: SecurityLog
    idle_lifetime: timedelta

    def __call__(self, *, refresh_token: str, address: str = "") -> Tokens:
        self.limiter.hit(Limit.REFRESH, address)
        claimed = self.refresh_tokens.parse(refresh_token)
        # A conflict means that a concurrent request refreshed or revoked the session. The next
        # attempt then finds another generation, or no session, and does not try to save.
        return retry_on_conflict(lambda: self._refresh(refresh_token, claimed))

    def _refresh(self, refresh_token: str, claimed: RefreshTokenClaims) -> Tokens:
        session = self._get(claimed.session_id)
        if not self.refresh_tokens.matches(refresh_token, session, generation=claimed.generation):
            raise InvalidRefreshToken
        now = self.clock.now()
        if session.is_expired(idle_lifetime=self.idle_lifetime, now=now):
            raise InvalidRefreshToken
        if claimed.generation == session.generation:
            session = session.refreshed(now=now)
            self.sessions.save_refreshed(session)
        elif not session.was_just_refreshed_from(claimed.generation, now=now):
            self._revoke_reused(session)
            raise InvalidRefreshToken
        return self.issue_tokens(session, now=now)

    def _get(self, session_id: SessionId) -> Session:
        try:
            return self.sessions.get(session_id)
        except SessionNotFound as revoked:
            raise InvalidRefreshToken from revoked

    def _revoke_reused(self, session: Session) -> None:
        self.security_log.record(
            SecurityEvent.REFRESH_REUSED, user_id=session.user_id, session_id=session.id
        )
        try:
            self.revoke_sessions(session.id, user_id=session.user_id)
        except SessionNotFound:
            return  # a concurrent request revoked it


@dataclass(frozen=True, slots=True)
class ListSessions:
    """List a user's sessions, the most recently refreshed first.

    Raises:
        RateLimited: after too many requests of this user about their sessions.
    """

    sessions: SessionRepository
    limiter: RateLimiter
    clock: Clock
    idle_lifetime: timedelta

    def __call__(self, *, user_id: UserId) -> Sequence[Session]:
        self.limiter.hit(Limit.SESSIONS, str(user_id))
        now = self.clock.now()
        return [
            session
            for session in self.sessions.list(user_id)
            if not session.is_expired(idle_lifetime=self.idle_lifetime, now=now)
        ]


@dataclass(frozen=True, slots=True)
class RevokeSession:
    """Revoke one of a user's sessions: log one of their devices out.

    Raises:
        RateLimited: after too many requests of this user about their sessions.
        SessionNotFound: if the user has no such session, even if another user has.
    """

    revoke_sessions: RevokeSessions
    limiter: RateLimiter

    def __call__(self, *, user_id: UserId, session_id: SessionId) -> None:
        self.limiter.hit(Limit.SESSIONS, str(user_id))
        self.revoke_sessions(session_id, user_id=user_id)


@dataclass(frozen=True, slots=True)
class LogOut:
    """Revoke the session of the caller. Do nothing if it was revoked already.

    It has no limit: each session is revoked once.

    Raises:
        ExternalSession: if an external issuer logged the caller in.
    """

    revoke_sessions: RevokeSessions

    def __call__(self, caller: Caller) -> None:
        if caller.identity is not None:
            raise ExternalSession
        try:
            self.revoke_sessions(caller.session_id, user_id=caller.user_id)
        except SessionNotFound:
            return


@dataclass(frozen=True, slots=True)
class RevokeOtherSessions:
    """Revoke all sessions of the caller but the one that makes the request.

    Raises:
        ExternalSession: if an external issuer logged the caller in.
        RateLimited: after too many requests of this user about their sessions.
    """

    revoke_sessions: RevokeSessions
    limiter: RateLimiter

    def __call__(self, caller: Caller) -> None:
        if caller.identity is not None:
            raise ExternalSession
        self.limiter.hit(Limit.SESSIONS, str(caller.user_id))
        self.revoke_sessions.all_but(caller.session_id, user_id=caller.user_id)
