"""External issuers of access tokens, and the users that this process knows through them."""

from abc import abstractmethod
from datetime import datetime
from typing import Protocol

from todo_core.entities.identity import Identity, Issuer, LinkedIdentity


class ExternalIssuers(Protocol):
    """Verifies access tokens of the external issuers that the operator trusts.

    Which issuer a token belongs to follows from the configuration and from the issuer that the
    token names, never from the algorithm that it names.
    """

    @abstractmethod
    def named_by(self, token: str) -> Issuer | None:
        """Return the trusted issuer that the token claims to come from, or None.

        The claim is not verified.
        """

    @abstractmethod
    def recall(self, token: str, *, now: datetime) -> Identity | None:
        """Return the identity of a token that was verified before, or None. It never waits.

        Raises:
            InvalidAccessToken: if the token is no longer valid at this time.
        """

    @abstractmethod
    def verify(self, token: str, *, now: datetime) -> Identity:
        """Return the identity that the token proves. It may wait for the issuer's keys.

        Raises:
            InvalidAccessToken: if the issuer did not sign it for this service, or if it is not
                valid at this time.
            Unavailable: if the issuer's keys cannot be fetched.
        """


class IdentityCache(Protocol):
    """Caches, in this process and for a few minutes, which user an identity belongs to."""

    @abstractmethod
    def recall(self, identity: Identity) -> LinkedIdentity | None:
        """Return the cached entry of the same issuer and subject, or None."""

    @abstractmethod
    def remember(self, linked: LinkedIdentity) -> None:
        """Cache this, in place of an earlier entry of the same issuer and subject."""
