"""What a token says, and what of it must be so.

The libraries verify signatures, and nothing else: of claims each of them checks
other things by default, and some not at all. So they are checked here, in one way.
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

LONGEST_LIFE = timedelta(days=30)
"""A token is good for no longer than this after it was issued, whatever it says itself."""

MAX_TOKEN_SIZE = 8192
_MAX_CLOCK_SKEW_SECONDS = 30
_LONGEST_LIFE_SECONDS = LONGEST_LIFE.total_seconds()
_COMPACT = re.compile(r"[\w-]+(?:\.[\w-]+){2}", re.ASCII)
_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")

type Claims = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ParsedToken:
    """A token in the compact form (RFC 7515 §7.1), of which nothing is proven yet."""

    text: str
    header: Claims
    payload: Claims

    @classmethod
    def of(cls, text: str) -> "ParsedToken":
        """Read a token whose parts are written in the one way that base64url has.

        Raises:
            ValueError: if it is not one, of any kind.
            RecursionError: if its JSON is nested too deeply.
        """
        if len(text) > MAX_TOKEN_SIZE or not _COMPACT.fullmatch(text):
            raise ValueError("not a token")
        header, payload, _ = map(_decoded, text.split("."))
        return cls(text, _json_object(header), _json_object(payload))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the tokens of one issuer must say.

    `issuer` is what it calls itself, or would if it did (`names_itself`), and `known_as`
    the name under which its people are kept here, which does not change when that does.
    `audiences` are those that mean this service; with `needs_audience` a token has to
    name one of them, and otherwise it may name none at all.
    """

    issuer: str
    known_as: str
    names_itself: bool
    audiences: tuple[str, ...]
    needs_audience: bool

    def check_header(self, header: Claims) -> None:
        """See that it is an access token, or one of no stated type.

        Better Auth signs its session cache with the same keys, and says so by its type.

        Raises:
            InvalidAccessToken: if it is another one, or has critical extensions
                (RFC 7515 §4.1.11), of which none is understood.
        """
        kind = header.get("typ")
        if (kind.lower() if isinstance(kind, str) else kind) not in _TYPES:
            raise InvalidAccessToken("typ is not that of an access token")
        if "crit" in header:
            raise InvalidAccessToken("crit is not understood")

    def verified(self, claims: Claims) -> "VerifiedToken":
        """What is true for good of a token with these claims, whose signature was verified.

        Raises:
            InvalidAccessToken: if a claim is missing, malformed, or of somebody else.
            ValidationFailed: if the subject could be nobody's.
        """
        subject = claims.get("sub")
        if not isinstance(subject, str):
            raise InvalidAccessToken("sub is missing, or no text")
        if not self._is_the_issuer(claims.get("iss")):
            raise InvalidAccessToken("iss is another")
        if not self._is_meant_for_us(claims.get("aud")):
            raise InvalidAccessToken("aud is not this service")
        expires_at = _seconds(claims, "exp")
        not_before = _seconds(claims, "nbf") if "nbf" in claims else -math.inf
        # An issuer that does not say when is consistent in that, and in how long its tokens live.
        issued_at = _seconds(claims, "iat") if "iat" in claims else expires_at
        return VerifiedToken(
            identity=Identity.claimed(
                issuer=self.known_as,
                subject=subject,
                name=claims.get("name"),
                email=claims.get("email"),
                issued_at=datetime.fromtimestamp(issued_at, UTC),
            ),
            not_before=max(not_before, issued_at if "iat" in claims else -math.inf),
            expires_at=min(expires_at, issued_at + _LONGEST_LIFE_SECONDS),
        )

    def _is_the_issuer(self, claim: object) -> bool:
        if claim is None:
            return not self.names_itself
        return claim == self.issuer

    def _is_meant_for_us(self, claim: object) -> bool:
        if claim is None:
            return not self.needs_audience
        named = claim if isinstance(claim, list) else [claim]
        return any(audience in self.audiences for audience in named)


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Whom a token speaks for, and from when to when, in seconds since 1970."""

    identity: Identity
    not_before: float
    expires_at: float

    def identity_at(self, now: datetime) -> Identity:
        """Whom it speaks for at this time.

        Raises:
            InvalidAccessToken: if it is too late, or too early by more than clocks differ.
        """
        seconds = now.timestamp()
        if seconds >= self.expires_at:
            raise InvalidAccessToken("it has expired")
        if self.expires_at > seconds + _LONGEST_LIFE_SECONDS + _MAX_CLOCK_SKEW_SECONDS:
            raise InvalidAccessToken("it would live for too long")
        if seconds + _MAX_CLOCK_SKEW_SECONDS < self.not_before:
            raise InvalidAccessToken("it is of the future: are the clocks right?")
        return self.identity


def _decoded(part: str) -> bytes:
    decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if urlsafe_b64encode(decoded).rstrip(b"=") != part.encode():
        raise ValueError("not the one way to write it")
    return decoded


def _json_object(raw: bytes) -> Claims:
    parsed = json.loads(raw)
    if not isinstance(parsed, dict):
        raise ValueError("not an object")
    return parsed


def _seconds(claims: Claims, name: str) -> float:
    """A NumericDate (RFC 7519 §2), in the years that can be dealt with."""
    claim = claims.get(name)
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim < 2**33:
        raise InvalidAccessToken(f"{name} is missing, or no number of seconds")
    return claim
