"""Refresh tokens, derived from the session and the server's key."""

import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from todo_adapters.security.keys import KeyRing
from todo_core.entities.session import Session, SessionId
from todo_core.errors import InvalidRefreshToken
from todo_core.ports.tokens import RefreshTokenClaims, RefreshTokens

_PREFIX = "todo_rt_"  # lets scanners recognise leaked tokens
_FORM = re.compile(rf"{_PREFIX}[A-Za-z0-9_-]{{70}}")
_ID_BYTES = 16
_GENERATION_BYTES = 4


class HmacRefreshTokens(RefreshTokens):
    """Session id, generation, and a MAC over both and the session's salt (HMAC-SHA-256).

    A token cannot be made from a stolen database, which does not contain the key, nor from a stolen
    key without the salt. Tokens that were made with an earlier key are valid while that key is in
    the ring.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = [key.derive("refresh token") for key in (keys.current, *keys.previous)]

    def issue(self, session: Session) -> str:
        return _make_token(self._keys[0], session, session.generation)

    def parse(self, token: str) -> RefreshTokenClaims:
        if not _FORM.fullmatch(token):
            raise InvalidRefreshToken
        raw = urlsafe_b64decode(token.removeprefix(_PREFIX) + "==")
        return RefreshTokenClaims(
            session_id=SessionId(UUID(bytes=raw[:_ID_BYTES])),
            generation=int.from_bytes(raw[_ID_BYTES : _ID_BYTES + _GENERATION_BYTES]),
        )

    def matches(self, token: str, session: Session, *, generation: int) -> bool:
        return any(
            hmac.compare_digest(token, _make_token(key, session, generation)) for key in self._keys
        )

    def generate_salt(self) -> str:
        return secrets.token_hex(16)


def _make_token(key: bytes, session: Session, generation: int) -> str:
    named = session.id.bytes + generation.to_bytes(_GENERATION_BYTES)
    mac = hmac.digest(key, named + bytes.fromhex(session.refresh_salt), "sha256")
    return _PREFIX + urlsafe_b64encode(named + mac).rstrip(b"=").decode()
