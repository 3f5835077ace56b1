"""The keys that sign tokens."""

import hashlib
import hmac
import os
import secrets
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from todo_adapters.system.files import (
    can_be_used_by_others,
    create_private,
    open_existing,
    owns_everything,
)
from todo_core.ports.tokens import MIN_SECRET_BYTES

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A secret and the id by which tokens refer to it (`kid`)."""

    id: str
    secret: bytes

    @classmethod
    def of(cls, secret: str) -> "SigningKey":
        """Return the key with this secret. Its id does not reveal the secret."""
        raw = secret.encode()
        return cls(id=hmac.digest(raw, b"todo key id", "sha256").hex()[:16], secret=raw)

    def derive(self, purpose: str) -> bytes:
        """Return an independent key for another purpose (HKDF-Expand, RFC 5869 §2.3)."""
        return hmac.digest(self.secret, purpose.encode() + b"\x01", hashlib.sha256)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The key that signs, and earlier keys, which still verify."""

    current: SigningKey
    previous: tuple[SigningKey, ...] = ()

    @classmethod
    def of(cls, secret: str, previous: Sequence[str] = ()) -> "KeyRing":
        """Return the ring of the current secret and earlier ones."""
        return cls(SigningKey.of(secret), tuple(map(SigningKey.of, previous)))

    def find(self, key_id: object) -> SigningKey | None:
        """Return the key with this id, or None."""
        for key in (self.current, *self.previous):
            if key.id == key_id:
                return key
        return None


def secret_in_file(file: Path) -> str:
    """Return the secret in this file; create it with 256 random bits if it does not exist.

    Only the owner of the file may read it (mode 600). If others can, their access is
    removed and a warning is logged: they may have read it. Of several processes that
    start at the same time, one creates the file and all read it.

    Raises:
        OSError: if the file cannot be created or read, is a symbolic link, or others can read it
            and that cannot be changed.
        ValueError: if it does not hold a secret of at least MIN_SECRET_BYTES.
    """
    if not os.path.lexists(file):
        draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
        with os.fdopen(create_private(draft), "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(MIN_SECRET_BYTES) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            pass  # another process was faster; use its secret
        finally:
            draft.unlink()
    secret = _read_private(file)
    if secret is None or len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValueError(
            f"{file} holds no secret of {MIN_SECRET_BYTES} bytes or more; delete it for a new one"
        )
    return secret


def _read_private(file: Path) -> str | None:
    """Return the text of a file that only its owner can read, or None if it is not text."""
    with os.fdopen(open_existing(file), "rb") as opened:
        if sys.platform != "win32":  # Windows has no mode; access is inherited from the folder
            _make_private(opened.fileno(), file)
        content = opened.read()
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        return None


def _make_private(descriptor: int, file: Path) -> None:
    """Remove the access to an open file from all users but its owner.

    Raises:
        PermissionError: if the owner is neither this user nor root, or access cannot be removed. If
            this user is root, the owner of the folder may own the file too.
    """
    found = os.fstat(descriptor)
    owners = {0, os.geteuid()}
    if owns_everything():
        owners.add(file.parent.stat().st_uid)
    if found.st_uid not in owners:
        raise PermissionError(
            f"{file} is owned by another user; make it your own (chown), or delete it for a new key"
        )
    if not can_be_used_by_others(descriptor):
        return
    mode = f"{stat.S_IMODE(found.st_mode):03o}"
    try:
        os.fchmod(descriptor, 0o600)
    except OSError:
        raise PermissionError(
            f"{file} can be read or changed by other users (mode {mode}), and its mode cannot be"
            " changed; run: chmod 600"
        ) from None
    if can_be_used_by_others(descriptor):  # unchanged on some network file systems
        raise PermissionError(
            f"{file} can be read by other users (mode {mode}) on this file system"
        )
    _log.warning(
        "signing_key.permissions_mended",
        file=str(file),
        mode=mode,
        advice="Other users may have read the key. Delete the file and restart to get a new one.",
    )
