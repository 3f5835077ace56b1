"""Password hashes by passlib."""

import logging
from importlib.resources import files

from passlib.context import CryptContext

from todo_core.entities.user import Password
from todo_core.ports.passwords import PasswordHasher

_DUMMY_HASH = (
    "$bcrypt-sha256$v=2,t=2b,r={cost}$LDbwTn/Yj016Ne/WKe1H7e$WkgpuJKx8Nhs/nC9X2Vmzrs1.KBRUpC"
)
"""A well-formed hash to verify against when an account has none, at the usual cost."""

# passlib looks for a version attribute that bcrypt no longer has, and logs a traceback
# although it does not need it.
logging.getLogger("passlib").setLevel(logging.ERROR)


class PasslibPasswordHasher(PasswordHasher):
    """bcrypt over HMAC-SHA-256, which has no limit of 72 bytes and accepts NUL.

    `cost` is bcrypt's: the logarithm, to the base 2, of the number of rounds.
    Hashes of plain bcrypt are verified too, and need a rehash.
    """

    def __init__(self, *, cost: int) -> None:
        self._context = CryptContext(
            schemes=["bcrypt_sha256", "bcrypt"],
            deprecated=["bcrypt"],
            bcrypt_sha256__rounds=cost,
        )
        self._dummy_hash = _DUMMY_HASH.format(cost=cost)

    def hash(self, password: Password) -> str:
        hashed: str = self._context.hash(str(password))
        return hashed

    def verify(self, password: Password, password_hash: str | None) -> bool:
        matches: bool = self._context.verify(str(password), password_hash or self._dummy_hash)
        return matches and password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        outdated: bool = self._context.needs_update(password_hash)
        return outdated


def common_passwords() -> frozenset[str]:
    """Return the 10,000 most common passwords, in lower case (source: see common_passwords.txt)."""
    text = files("todo_adapters.security").joinpath("common_passwords.txt").read_text("utf-8")
    return frozenset(line for line in text.splitlines() if not line.startswith("# "))
