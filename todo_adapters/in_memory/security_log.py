"""A security log that tests can read."""

from dataclasses import dataclass

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.security_log import SecurityEvent, SecurityLog


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded event."""

    event: SecurityEvent
    user_id: UserId | None
    session_id: SessionId | None


class InMemorySecurityLog(SecurityLog):
    """Keeps the events, the oldest first."""

    def __init__(self) -> None:
        self.recorded: list[Recorded] = []

    def record(
        self,
        event: SecurityEvent,
        *,
        user_id: UserId | None = None,
        session_id: SessionId | None = None,
    ) -> None:
        self.recorded.append(Recorded(event, user_id, session_id))
