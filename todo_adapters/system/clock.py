"""The operating system's clock."""

from datetime import UTC, datetime

from todo_core.ports.clock import Clock


class SystemClock(Clock):
    """Tells the time that the operating system has."""

    def now(self) -> datetime:
        return datetime.now(UTC)
