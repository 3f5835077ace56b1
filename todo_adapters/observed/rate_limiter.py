"""Rate limits of which an observer learns what they refuse."""

from collections.abc import Callable
from typing import Protocol

from todo_core.errors import RateLimited
from todo_core.ports.limits import Limit, RateLimiter


class ClosableRateLimiter(RateLimiter, Protocol):
    """A rate limiter that has connections."""

    def check(self) -> None:
        """Ask the storage for a response.

        Raises:
            Unavailable: if it does not respond.
        """

    def close(self) -> None:
        """Close the connections."""


class ObservedRateLimiter(ClosableRateLimiter):
    """Tells which limit has refused something, after another rate limiter has decided."""

    def __init__(self, limiter: ClosableRateLimiter, on_refusal: Callable[[Limit], None]) -> None:
        self._limiter = limiter
        self._on_refusal = on_refusal

    def hit(self, limit: Limit, *key: str) -> None:
        try:
            self._limiter.hit(limit, *key)
        except RateLimited:
            self._on_refusal(limit)
            raise

    def forgive(self, limit: Limit, *key: str) -> None:
        self._limiter.forgive(limit, *key)

    def check(self) -> None:
        self._limiter.check()

    def close(self) -> None:
        self._limiter.close()
