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
"""Signatures by a private key (RFC 7518 §3.1, RFC 8037). An HMAC key is never published."""

_DEFAULT_ALGORITHMS: tuple[Algorithm, ...] = ("EdDSA", "ES256", "RS256")


class ExternalIssuer(BaseModel):
    """An issuer whose access tokens are verified by the keys that it publishes.

    Its tokens must name one of `audience`. With null, only tokens without an audience are accepted.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: Name
    jwks_url: PlainUrl
    audience: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = _DEFAULT_ALGORITHMS

    @property
    def audiences(self) -> tuple[str, ...]:
        """All audiences that mean this service."""
        return (self.audience,) if isinstance(self.audience, str) else self.audience or ()
