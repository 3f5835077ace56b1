"""The secrets that are mailed to who forgot their password."""

import hashlib
import secrets

from todo_core.ports.tokens import ResetTokens

_BYTES = 32


class RandomResetTokens(ResetTokens):
    """256 random bits, kept as their SHA-256: nobody can guess what would have to be hashed."""

    def draw(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def hash(self, token: str) -> str:
        return hashlib.sha256(token.encode(errors="replace")).hexdigest()
