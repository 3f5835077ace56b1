"""Refresh tokens, derived from the session and the server's key."""

import hmac
import secrets
from base64 import urlsafe_b64encode

from todo_adapters.security.keys import KeyRing
from todo_core.entities.session import Session
from todo_core.ports.security import RefreshTokens

_PREFIX = "todo_rt_"  # lets scanners for leaked secrets recognise one


class HmacRefreshTokens(RefreshTokens):
    """Session, generation, and a MAC over both and the session's salt (HMAC-SHA-256).

    Nothing that is stored lets a thief of the database make one, since the key
    is not in there; and the key alone does not either, for want of the salt.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._key = keys.current.derived("refresh token")

    def issue(self, session: Session) -> str:
        named = session.id.bytes + session.generation.to_bytes(4)
        mac = hmac.digest(self._key, named + bytes.fromhex(session.refresh_salt), "sha256")
        return _PREFIX + urlsafe_b64encode(named + mac).rstrip(b"=").decode()

    def salt(self) -> str:
        return secrets.token_hex(16)
