"""Streams of events, which tell a user's clients that tasks have changed."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from todo_core.entities.caller import Caller
from todo_core.entities.identity import Subject
from todo_core.entities.stream_ticket import TICKET_LIFETIME, StreamTicket
from todo_core.entities.user import UserId
from todo_core.errors import InvalidAccessToken, SessionNotFound
from todo_core.ports.clock import Clock
from todo_core.ports.limits import Limit, RateLimiter
from todo_core.ports.repositories import (
    SessionRepository,
    StreamTicketRepository,
    TaskRepository,
)
from todo_core.ports.revoked_sessions import RevokedSessions
from todo_core.ports.tokens import SecretTokens

_USER_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A ticket, and how long it can be used."""

    value: str = field(repr=False)
    expires_in: timedelta


@dataclass(frozen=True, slots=True)
class IssueStreamTicket:
    """Issue a ticket with which the caller opens one stream of events.

    A browser's `EventSource` sends no headers, and an access token must not be part of a URL. A
    ticket can be used once, and only under the name by which the URL names the owner.

    The page cannot renew the token of a stream that is open. So the stream may last as long as the
    session would last without a refresh. It ends as soon as the session is revoked. Of the session
    at an external issuer only the access token is known here, so there it ends with the token.

    Raises:
        InvalidAccessToken: if the session of the caller was revoked.
        AccountGone: if the account of the caller was deleted.
        RateLimited: after too many requests of this user about tasks.
    """

    tickets: StreamTicketRepository
    sessions: SessionRepository
    secret_tokens: SecretTokens
    limiter: RateLimiter
    clock: Clock
    session_idle_lifetime: timedelta

    def __call__(self, caller: Caller, *, owner_name: str) -> IssuedTicket:
        self.limiter.hit(Limit.TASKS, str(caller.user_id))
        now = self.clock.now()
        value = self.secret_tokens.generate()
        self.tickets.add(
            StreamTicket(
                token_hash=_hash(self.secret_tokens, value, owner_name),
                user_id=caller.user_id,
                session_id=caller.session_id,
                expires_at=now + TICKET_LIFETIME,
                stream_ends_at=self._session_ends_at(caller) or now,
            )
        )
        return IssuedTicket(value, TICKET_LIFETIME)

    def _session_ends_at(self, caller: Caller) -> datetime | None:
        if caller.identity is not None:
            return caller.expires_at
        try:
            session = self.sessions.get(caller.session_id)
        except SessionNotFound as revoked:
            raise InvalidAccessToken from revoked
        return min(session.expires_at, session.refreshed_at + self.session_idle_lifetime)


@dataclass(frozen=True, slots=True)
class RedeemStreamTicket:
    """Take a ticket, and return the caller to whom it was issued.

    Of several concurrent uses, one succeeds. Every refusal is the same error, whatever the reason.

    Raises:
        InvalidAccessToken: if there is no such ticket, if it was used or has expired, if it was
            issued under another name, or if its session was revoked.
    """

    tickets: StreamTicketRepository
    secret_tokens: SecretTokens
    revoked_sessions: RevokedSessions
    clock: Clock

    def __call__(self, value: str, *, owner_name: str) -> Caller:
        ticket = self.tickets.take(_hash(self.secret_tokens, value, owner_name))
        if self.clock.now() >= ticket.expires_at or ticket.session_id in self.revoked_sessions:
            raise InvalidAccessToken
        return Caller(
            ticket.user_id,
            ticket.session_id,
            alias=Subject(owner_name),
            expires_at=ticket.stream_ends_at,
        )


def _hash(secret_tokens: SecretTokens, value: str, owner_name: str) -> str:
    """Return the hash of a ticket and the name that it belongs to.

    The name is the id of the user, in upper or lower case, or their id at an external issuer.
    """
    name = owner_name.lower() if _USER_ID.fullmatch(owner_name) else owner_name
    return secret_tokens.hash(f"{value} {name}")


@dataclass(frozen=True, slots=True)
class WatchTasks:
    """Count a new stream of events against the limit, and return the owner's current revision.

    Raises:
        RateLimited: after too many requests of this user about tasks.
    """

    tasks: TaskRepository
    limiter: RateLimiter

    def __call__(self, *, owner_id: UserId) -> int:
        self.limiter.hit(Limit.TASKS, str(owner_id))
        return self.tasks.revisions([owner_id])[owner_id]
