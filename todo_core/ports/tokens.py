"""Tokens: access tokens, refresh tokens, and other secret tokens."""

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from todo_core.entities.caller import Caller
from todo_core.entities.session import Session, SessionId

MIN_SECRET_BYTES = 32
"""How long a secret that signs tokens must be: the size of HS256's hash (RFC 7518 §3.2)."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed bearer token, and how long it is valid."""

    value: str = field(repr=False)
    expires_in: timedelta


class AccessTokens(Protocol):
    """Signs and verifies access tokens."""

    @abstractmethod
    def issue(self, session: Session, *, now: datetime) -> AccessToken:
        """Return a token that authenticates the user of this session for a limited time."""

    @abstractmethod
    def verify(self, token: str, *, now: datetime) -> Caller:
        """Return the caller that the token authenticates.

        Raises:
            InvalidAccessToken: if this service did not sign it for this use, or if it is not
                valid at this time.
        """


@dataclass(frozen=True, slots=True)
class RefreshTokenClaims:
    """The session and the generation that a refresh token claims to belong to."""

    session_id: SessionId
    generation: int


class RefreshTokens(Protocol):
    """Makes the tokens that continue a session without a password."""

    @abstractmethod
    def issue(self, session: Session) -> str:
        """Return the refresh token of the session's current generation.

        It is always the same for the same session and generation. It cannot be computed from
        the stored session alone.
        """

    @abstractmethod
    def parse(self, token: str) -> RefreshTokenClaims:
        """Return what a refresh token claims. The claim is not verified.

        Raises:
            InvalidRefreshToken: if it does not have the form of a refresh token.
        """

    @abstractmethod
    def matches(self, token: str, session: Session, *, generation: int) -> bool:
        """Return whether the token is the session's token of this generation."""

    @abstractmethod
    def generate_salt(self) -> str:
        """Return a random salt for the refresh tokens of a new session."""


class SecretTokens(Protocol):
    """Makes secret tokens of which only the hash is stored: in reset emails, and tickets."""

    @abstractmethod
    def generate(self) -> str:
        """Return a new token of 256 random bits."""

    @abstractmethod
    def hash(self, token: str) -> str:
        """Return the hash of a token, which is stored instead of the token."""
