"""Cursors, with which a client continues where a page ended."""

from abc import abstractmethod
from typing import Protocol


class Cursors(Protocol):
    """Issues strings that only this service can make, each for one scope.

    A scope names the owner and the query, so that a cursor is of no use anywhere else.
    """

    @abstractmethod
    def issue(self, content: str, *, scope: str) -> str:
        """Return the cursor with this content. Its characters need no escape in a URL."""

    @abstractmethod
    def read(self, cursor: str, *, scope: str) -> str:
        """Return the content of a cursor.

        Raises:
            InvalidCursor: if it was not issued here for this scope.
        """
