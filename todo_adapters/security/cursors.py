"""Cursors, signed with the server's key."""

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from todo_adapters.security.keys import KeyRing
from todo_core.errors import InvalidCursor
from todo_core.ports.cursors import Cursors

_MAC_BYTES = 16
_FORM = re.compile(r"(?:[A-Za-z0-9_-]{4}){0,512}(?:[A-Za-z0-9_-]{2,3})?")


class HmacCursors(Cursors):
    """The content and a MAC over it and its scope (HMAC-SHA-256, truncated to 128 bits).

    Cursors that were made with an earlier key are valid while that key is in the ring.
    """

    def __init__(self, keys: KeyRing) -> None:
        self._keys = [key.derive("cursor") for key in (keys.current, *keys.previous)]

    def issue(self, content: str, *, scope: str) -> str:
        raw = content.encode()
        return _encoded(_mac(self._keys[0], raw, scope) + raw)

    def read(self, cursor: str, *, scope: str) -> str:
        if not _FORM.fullmatch(cursor):
            raise InvalidCursor
        signed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if _encoded(signed) != cursor:  # the last character has bits that mean nothing
            raise InvalidCursor
        mac, raw = signed[:_MAC_BYTES], signed[_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, raw, scope)) for key in self._keys):
            raise InvalidCursor
        return raw.decode()


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _mac(key: bytes, content: bytes, scope: str) -> bytes:
    # The length separates the two: no other pair of scope and content has the same bytes.
    raw = scope.encode()
    return hmac.digest(key, len(raw).to_bytes(4) + raw + content, "sha256")[:_MAC_BYTES]
