"""The keys that sign tokens."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from todo_core.ports.security import MIN_SECRET_BYTES


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret and the name by which tokens refer to it (`kid`)."""

    id: str
    secret: bytes

    @classmethod
    def of(cls, secret: str) -> "SigningKey":
        """The key of a secret text; its name follows from the text and does not betray it."""
        raw = secret.encode()
        return cls(id=hmac.digest(raw, b"todo key id", "sha256").hex()[:16], secret=raw)

    def derived(self, purpose: str) -> bytes:
        """A key for another purpose, of no use for this one (HKDF-Expand, RFC 5869 §2.3)."""
        return hmac.digest(self.secret, purpose.encode() + b"\x01", hashlib.sha256)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, and those that signed before and still verify."""

    current: SigningKey
    previous: tuple[SigningKey, ...] = ()

    @classmethod
    def of(cls, secret: str, previous: Sequence[str] = ()) -> "KeyRing":
        """The ring of a current secret and of earlier ones."""
        return cls(SigningKey.of(secret), tuple(map(SigningKey.of, previous)))

    def find(self, key_id: object) -> SigningKey | None:
        """The key of this name, if it is one of ours."""
        for key in (self.current, *self.previous):
            if key.id == key_id:
                return key
        return None


def secret_in_file(file: Path) -> str:
    """The secret that is kept in this file; it is drawn, 256 bits, when there is none yet.

    Only the owner of the file may read it (mode 600). Of several processes that
    start at once, one makes the file and all read it.

    Raises:
        OSError: if the file cannot be made or read.
        ValueError: if it holds no secret of at least MIN_SECRET_BYTES.
    """
    if not file.exists():
        draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(MIN_SECRET_BYTES) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            pass  # another process was faster; its secret counts
        finally:
            draft.unlink()
    secret = file.read_text("utf-8").strip()
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(f"{file} holds no secret that could sign tokens; delete it for a new one")
    return secret
