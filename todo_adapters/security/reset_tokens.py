"""The secret tokens in password reset emails."""

import hashlib
import secrets

from todo_core.ports.tokens import ResetTokens

_BYTES = 32


class RandomResetTokens(ResetTokens):
    """256 random bits, stored as their SHA-256: they cannot be guessed, so a fast hash suffices."""

    def generate(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def hash(self, token: str) -> str:
        return hashlib.sha256(token.encode(errors="replace")).hexdigest()
