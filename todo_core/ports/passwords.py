"""Hashing passwords."""

from abc import abstractmethod
from typing import Protocol

from todo_core.entities.user import Password


class PasswordHasher(Protocol):
    """Hashes passwords slowly and with a salt, so that a stolen hash is expensive to guess."""

    @abstractmethod
    def hash(self, password: Password) -> str:
        """Return a hash that names its own scheme and cost. It differs at every call."""

    @abstractmethod
    def verify(self, password: Password, password_hash: str | None) -> bool:
        """Return whether this is the password that was hashed.

        Without a hash (None) it takes as long and returns False, so that the response time does
        not reveal whether an account exists.
        """

    @abstractmethod
    def needs_rehash(self, password_hash: str) -> bool:
        """Return whether the hash was made by an older scheme or at another cost than now."""
