"""A clock that stands still until it is told to go on."""

from datetime import UTC, datetime, timedelta

from todo_core.ports.clock import Clock


class ManualClock(Clock):
    """Shows the time that it was set to."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        """Move the hands."""
        self._now += by
