"""Issuers other than this service whose access tokens are accepted."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from todo_api.settings.types import Name, PlainUrl

type Algorithm = Literal[
    "EdDSA",
    "ES256",
    "ES384",
    "ES512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
]
"""Signatures by a private key (RFC 7518 §3.1, RFC 8037); an HMAC has no place in a JWKS."""

_USUAL_ALGORITHMS: tuple[Algorithm, ...] = ("EdDSA", "ES256", "RS256")


class ExternalIssuer(BaseModel):
    """An issuer whose access tokens are trusted, by the keys that it publishes.

    `audience` is what its tokens must name; null trusts those that name none, and no other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Name
    jwks_url: PlainUrl
    audience: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = _USUAL_ALGORITHMS

    @property
    def audiences(self) -> tuple[str, ...]:
        """All that mean this service."""
        return (self.audience,) if isinstance(self.audience, str) else self.audience or ()
