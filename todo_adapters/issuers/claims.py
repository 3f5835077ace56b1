"""Parsing and validation of an external token's header and claims.

The libraries only verify signatures: by default they check different sets of claims, and none
checks all of them. So this module checks all claims, in the same way for every issuer.
"""

import json
import math
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from todo_core.entities.identity import Identity
from todo_core.errors import InvalidAccessToken

MAX_TOKEN_LIFETIME = timedelta(days=30)
"""The longest lifetime of a token after it was issued, whatever its `exp` says."""

MAX_TOKEN_SIZE = 8192
_MAX_CLOCK_SKEW_SECONDS = 30
_LONGEST_LIFE_SECONDS = MAX_TOKEN_LIFETIME.total_seconds()
_COMPACT = re.compile(r"[\w-]+(?:\.[\w-]+){2}", re.ASCII)
_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")

type Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token in compact serialisation (RFC 7515 §7.1), not yet verified."""

    text: str
    header: Claims
    payload: Claims

    @classmethod
    def of(cls, text: str) -> "ParsedToken":
        """Parse a token whose parts are canonical base64url.

        Raises:
            ValueError: if it is malformed.
            RecursionError: if its JSON is nested too deeply.
        """
        if len(text) > MAX_TOKEN_SIZE or not _COMPACT.fullmatch(text):
            raise ValueError("not a token")
        header, payload, _ = map(_decode, text.split("."))
        return cls(text, _json_object(header), _json_object(payload))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the tokens of one issuer must claim.

    Attributes:
        issuer: its `iss`, which may be missing unless `requires_issuer`.
        namespace: the name under which its subjects are stored, even if `issuer` changes.
        audiences: the values of `aud` that mean this service.
        requires_audience: whether `aud` is required; otherwise it may be missing.
    """

    issuer: str
    namespace: str
    requires_issuer: bool
    audiences: tuple[str, ...]
    requires_audience: bool

    def check_header(self, header: Claims) -> None:
        """Check that it is an access token, or that it has no type.

        Better Auth signs its session cache with the same keys, but with a different type.

        Raises:
            InvalidAccessToken: if it has another type, or critical extensions
                (RFC 7515 §4.1.11), none of which is supported.
        """
        kind = header.get("typ")
        if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
            raise InvalidAccessToken("typ is not that of an access token")
        if "crit" in header:
            raise InvalidAccessToken("crit is not supported")

    def check_claims(self, claims: Claims) -> "VerifiedToken":
        """Check all claims of a signed token that do not depend on the current time.

        Raises:
            InvalidAccessToken: if a claim is missing, malformed or not the expected one.
            ValidationFailed: if the subject is not a valid one.
        """
        subject = claims.get("sub")
        if not isinstance(subject, str):
            raise InvalidAccessToken("sub is missing or not a string")
        if not self._has_issuer(claims.get("iss")):
            raise InvalidAccessToken("iss is another issuer")
        if not self._has_audience(claims.get("aud")):
            raise InvalidAccessToken("aud is not this service")
        expires_at = _seconds(claims, "exp")
        not_before = _seconds(claims, "nbf") if "nbf" in claims else -math.inf
        # Either all tokens of an issuer have `iat`, or none, and all have the same lifetime. So
        # `exp` orders them as well.
        issued_at = _seconds(claims, "iat") if "iat" in claims else expires_at
        expires_at = min(expires_at, issued_at + _LONGEST_LIFE_SECONDS)
        return VerifiedToken(
            identity=Identity.claimed(
                issuer=self.namespace,
                subject=subject,
                name=claims.get("name"),
                email=claims.get("email"),
                issued_at=datetime.fromtimestamp(issued_at, UTC),
                expires_at=datetime.fromtimestamp(expires_at, UTC),
            ),
            not_before=max(not_before, issued_at if "iat" in claims else -math.inf),
            expires_at=expires_at,
        )

    def _has_issuer(self, claim: object) -> bool:
        if claim is None:
            return not self.requires_issuer
        return claim == self.issuer

    def _has_audience(self, claim: object) -> bool:
        if claim is None:
            return not self.requires_audience
        named = claim if isinstance(claim, list) else [claim]
        return any(audience in self.audiences for audience in named)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A verified token: its identity, and when it is valid, in seconds since 1970."""

    identity: Identity
    not_before: float
    expires_at: float

    def identity_at(self, now: datetime) -> Identity:
        """Return the identity if the token is valid at this time.

        Raises:
            InvalidAccessToken: if it has expired, or is not valid yet, even if the clocks
                differ.
        """
        seconds = now.timestamp()
        if seconds >= self.expires_at:
            raise InvalidAccessToken("the token has expired")
        if self.expires_at > seconds + _LONGEST_LIFE_SECONDS + _MAX_CLOCK_SKEW_SECONDS:
            raise InvalidAccessToken("exp is too far in the future")
        if seconds + _MAX_CLOCK_SKEW_SECONDS < self.not_before:
            raise InvalidAccessToken(
                "iat or nbf is in the future: check the clocks of both servers"
            )
        return self.identity


def _decode(part: str) -> bytes:
    decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise ValueError("not canonical base64url")
    return decoded


def _json_object(raw: bytes) -> Claims:
    parsed = json.loads(raw)
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object")
    return parsed


def _seconds(claims: Claims, name: str) -> float:
    """Return a NumericDate (RFC 7519 §2) in the supported range of years."""
    claim = claims.get(name)
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim < 2**33:
        raise InvalidAccessToken(f"{name} is missing or not a number of seconds")
    return claim
