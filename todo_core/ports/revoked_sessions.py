"""Revoked sessions, as far as this process knows them."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Protocol

from todo_core.entities.session import SessionId


class RevokedSessions(Protocol):
    """Remembers in this process which sessions were revoked while their access tokens are valid.

    A lookup costs next to nothing. What other processes revoke is known here within seconds.
    """

    @abstractmethod
    def add(self, session_ids: Iterable[SessionId]) -> None:
        """Remember that these sessions were revoked."""

    @abstractmethod
    def __contains__(self, session_id: SessionId) -> bool:
        """Return whether this session was revoked."""
