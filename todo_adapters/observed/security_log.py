"""A security log of which an observer learns the kinds of events."""

from collections.abc import Callable

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.security_log import SecurityEvent, SecurityLog


class ObservedSecurityLog(SecurityLog):
    """Tells the kind of each event, and lets another security log record it."""

    def __init__(self, log: SecurityLog, on_event: Callable[[SecurityEvent], None]) -> None:
        self._log = log
        self._on_event = on_event

    def record(
        self,
        event: SecurityEvent,
        *,
        user_id: UserId | None = None,
        session_id: SessionId | None = None,
    ) -> None:
        self._on_event(event)
        self._log.record(event, user_id=user_id, session_id=session_id)
