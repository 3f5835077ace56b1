"""Passwords and tokens."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from todo_core.entities.identity import Identity, Issuer, LinkedIdentity, Subject
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import Password, UserId

MIN_SECRET_BYTES = 32
"""How long a secret that signs tokens must be: the size of HS256's hash (RFC 7518 §3.2)."""


class PasswordHasher(Protocol):
    """Hashes passwords slowly, with a salt, so that a stolen hash is expensive to guess."""

    @abstractmethod
    def hash(self, password: Password) -> str:
        """A hash that names its own scheme and cost; different at every call."""

    @abstractmethod
    def verify(self, password: Password, password_hash: str | None) -> bool:
        """Whether this is the password that was hashed.

        It takes as long when there is no hash to compare with (None), and is
        false then: an unknown account cannot be told by the time of the answer.
        """

    @abstractmethod
    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made by an older scheme, or at another cost, than now."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token for the caller to present, and for how long it is good."""

    value: str = field(repr=False)
    expires_in: timedelta


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: what a valid access token proves.

    `identity` is what an external issuer says of them, if it is one that vouches for them;
    `alias` is the issuer's subject, if it may be used instead of `user_id` in a URL.
    """

    user_id: UserId
    session_id: SessionId
    identity: Identity | None = None
    alias: Subject | None = None


class AccessTokens(Protocol):
    """Signs and verifies access tokens."""

    @abstractmethod
    def issue(self, session: Session, *, now: datetime) -> AccessToken:
        """A token that proves, for a limited time, to be of this session's person."""

    @abstractmethod
    def verify(self, token: str, *, now: datetime) -> Caller:
        """Whom the token speaks for.

        Raises:
            InvalidAccessToken: for whatever this service did not sign for this use,
                or that is not valid at this time.
        """


class ExternalIssuers(Protocol):
    """Verifies the tokens of others whom this service was told to trust.

    Which of them vouches for a token follows from how it was configured and from the
    issuer that the token names, never from the algorithm that it names.
    """

    @abstractmethod
    def named_by(self, token: str) -> Issuer | None:
        """Which of them would have issued the token, by its own word. It is not proven."""

    @abstractmethod
    def recall(self, token: str, *, now: datetime) -> Identity | None:
        """Whom the token speaks for, if it was verified a while ago; it waits for nothing.

        Raises:
            InvalidAccessToken: if it is not valid at this time (any more).
        """

    @abstractmethod
    def verify(self, token: str, *, now: datetime) -> Identity:
        """Whom the token speaks for. It may have to wait for the issuer's keys.

        Raises:
            InvalidAccessToken: for whatever the issuer did not sign for this service,
                or that is not valid at this time.
            Unavailable: if the issuer's keys cannot be had.
        """


class KnownPeople(Protocol):
    """Remembers, in this process and for a few minutes, whose an external identity is."""

    @abstractmethod
    def recall(self, identity: Identity) -> LinkedIdentity | None:
        """The one of the same issuer and subject, as it was remembered last."""

    @abstractmethod
    def remember(self, person: LinkedIdentity) -> None:
        """Remember this, in the place of what was known of the person."""


class RefreshTokens(Protocol):
    """Makes the tokens by which a session is continued without a password."""

    @abstractmethod
    def issue(self, session: Session) -> str:
        """The refresh token of the session's current generation.

        It is always the same for the same session and generation, and cannot be
        made from what is stored alone.
        """

    @abstractmethod
    def read(self, token: str) -> "ClaimedRefresh":
        """What a refresh token says of itself, which is not yet proven.

        Raises:
            InvalidRefreshToken: if it is not even of the form of one.
        """

    @abstractmethod
    def proves(self, token: str, session: Session, *, generation: int) -> bool:
        """Whether the token is the session's own of this generation."""

    @abstractmethod
    def salt(self) -> str:
        """A random salt for a new session's refresh tokens."""


@dataclass(frozen=True, slots=True)
class ClaimedRefresh:
    """The session and the generation that a refresh token claims to be of."""

    session_id: SessionId
    generation: int


class ResetTokens(Protocol):
    """Makes the secrets that are mailed to who forgot their password."""

    @abstractmethod
    def draw(self) -> str:
        """A new secret of 256 random bits."""

    @abstractmethod
    def hash(self, token: str) -> str:
        """What is kept of a secret: it can be compared, and not be turned back."""


class EndedSessions(Protocol):
    """Remembers, in this process, which sessions have ended while their tokens live on.

    Asking costs nothing. What other processes end is known here within seconds.
    """

    @abstractmethod
    def note(self, session_ids: Iterable[SessionId]) -> None:
        """Remember that these have ended."""

    @abstractmethod
    def __contains__(self, session_id: SessionId) -> bool:
        """Whether this session has ended."""
