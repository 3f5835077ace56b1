"""A clock that tests control."""

from datetime import UTC, datetime, timedelta

from todo_core.ports.clock import Clock


class ManualClock(Clock):
    """A clock that stands still until it is advanced."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the clock forward."""
        self._now += by
