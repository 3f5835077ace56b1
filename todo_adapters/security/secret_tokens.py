"""Secret tokens in password reset emails, and tickets for streams of events."""

import hashlib
import secrets

from todo_core.ports.tokens import SecretTokens

_BYTES = 32


class RandomSecretTokens(SecretTokens):
    """256 random bits, stored as their SHA-256: they cannot be guessed, so a fast hash suffices."""

    def generate(self) -> str:
        return secrets.token_urlsafe(_BYTES)

    def hash(self, token: str) -> str:
        return hashlib.sha256(token.encode(errors="replace")).hexdigest()
