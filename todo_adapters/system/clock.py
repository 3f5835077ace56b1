"""The operating system's clock."""

from datetime import UTC, datetime

from todo_core.ports.clock import Clock


class SystemClock(Clock):
    """Returns the current time of the operating system."""

    def now(self) -> datetime:
        return datetime.now(UTC)
