"""Access tokens as JSON Web Tokens, by python-jose."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from jose import jwk, jws, jwt

from todo_adapters.security.keys import KeyRing
from todo_core.entities.caller import Caller
from todo_core.entities.session import Session, SessionId
from todo_core.entities.user import UserId
from todo_core.errors import InvalidAccessToken
from todo_core.ports.tokens import AccessToken, AccessTokens

_ALGORITHM = "HS256"
_TYPE = "at+jwt"
_MAX_SIZE = 4096
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]", re.ASCII)
"""Base64url without padding (RFC 7515 §2), with a canonical last character of the signature."""

_MAX_VERIFIED_TOKENS = 4096
_CLOCK_SKEW_SECONDS = 30
"""How much the clocks of two servers may differ: `iat` may be in the near future."""


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token with a verified signature, whose validity only depends on the time."""

    caller: Caller
    issued_at: int
    expires_at: int


class JoseAccessTokens(AccessTokens):
    """Tokens in the profile of RFC 9068, signed with HS256.

    The library is more lenient than the standard: it accepts any HMAC, an expiry that is a string,
    a missing audience and non-canonical base64, and raises all kinds of exceptions for malformed
    input. So size and form are checked first, one algorithm is pinned, every claim is checked
    here, and any exception means an invalid token.

    Verified signatures are cached for the most recent tokens; the time is checked at every
    call. A shortened lifetime applies to older tokens too, since revoked sessions are not
    remembered for longer than the lifetime.
    """

    def __init__(self, keys: KeyRing, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._lifetime = int(lifetime.total_seconds())
        # Key objects: given a string, the library would guess whether it is JSON.
        self._signing_keys = {
            key.id: jwk.construct(key.secret, _ALGORITHM) for key in (keys.current, *keys.previous)
        }
        self._verified = lru_cache(_MAX_VERIFIED_TOKENS)(self._verify_signed)

    def issue(self, session: Session, *, now: datetime) -> AccessToken:
        issued_at = int(now.timestamp())
        expires_at = min(issued_at + self._lifetime, int(session.expires_at.timestamp()))
        value = jwt.encode(
            {
                "sub": str(session.user_id),
                "sid": str(session.id),
                "iss": self._issuer,
                "aud": self._audience,
                "iat": issued_at,
                "exp": expires_at,
                "jti": uuid4().hex,
            },
            self._signing_keys[self._keys.current.id],
            algorithm=_ALGORITHM,
            headers={"typ": _TYPE, "kid": self._keys.current.id},
        )
        return AccessToken(value, timedelta(seconds=expires_at - issued_at))

    def verify(self, token: str, *, now: datetime) -> Caller:
        if len(token) > _MAX_SIZE:
            raise InvalidAccessToken
        try:
            verified = self._verified(token)
        except Exception as error:
            raise InvalidAccessToken from error
        seconds = now.timestamp()
        if seconds >= verified.expires_at or verified.issued_at > seconds + _CLOCK_SKEW_SECONDS:
            raise InvalidAccessToken
        return verified.caller

    def _verify_signed(self, token: str) -> _Verified:
        """Verify everything about the token that does not depend on the current time.

        Raises:
            Exception: of any kind, if the token is invalid.
        """
        if not _COMPACT.fullmatch(token):
            raise InvalidAccessToken
        header: Mapping[str, Any] = jws.get_unverified_header(token)
        key = self._keys.find(header.get("kid"))
        if key is None or header.get("typ") != _TYPE or "crit" in header:
            raise InvalidAccessToken
        payload: Mapping[str, Any] = jwt.decode(
            token,
            self._signing_keys[key.id],
            algorithms=[_ALGORITHM],
            options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
        )
        if payload["iss"] != self._issuer or payload["aud"] != self._audience:
            raise InvalidAccessToken
        issued_at = _seconds(payload["iat"])
        expires_at = min(_seconds(payload["exp"]), issued_at + self._lifetime)
        return _Verified(
            caller=Caller(
                user_id=UserId(UUID(payload["sub"])),
                session_id=SessionId(UUID(payload["sid"])),
                expires_at=datetime.fromtimestamp(expires_at, UTC),
            ),
            issued_at=issued_at,
            expires_at=expires_at,
        )


def _seconds(claim: object) -> int:
    """Return a NumericDate, which this service always issues as an integer."""
    if type(claim) is not int:
        raise InvalidAccessToken
    return claim
