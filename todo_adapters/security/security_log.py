"""The security log, as structured events."""

import structlog

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId
from todo_core.ports.security_log import SecurityEvent, SecurityLog

_WARNINGS = {
    SecurityEvent.LOGIN_FAILED,
    SecurityEvent.REAUTHENTICATION_FAILED,
    SecurityEvent.REFRESH_REUSED,
    SecurityEvent.PASSWORD_RESET_WITHHELD,
}


class StructlogSecurityLog(SecurityLog):
    """Logs each event; the logging context adds the request id and the address."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    def record(
        self,
        event: SecurityEvent,
        *,
        user_id: UserId | None = None,
        session_id: SessionId | None = None,
    ) -> None:
        details = {
            name: str(value)
            for name, value in (("user_id", user_id), ("session_id", session_id))
            if value is not None
        }
        record = self._log.warning if event in _WARNINGS else self._log.info
        record(event.value, kind="security", **details)
