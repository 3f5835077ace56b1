"""The security log: events around accounts, for operators (OWASP ASVS 5.0, 16.3)."""

from abc import abstractmethod
from enum import StrEnum
from typing import Protocol

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId


class SecurityEvent(StrEnum):
    """The kinds of events. The names are stable."""

    REGISTERED = "account.registered"
    PROVISIONED = "account.provisioned"
    DELETED = "account.deleted"
    DISABLED = "account.disabled"
    ENABLED = "account.enabled"
    EXPORTED = "account.exported"
    LOGGED_IN = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    REFRESH_REUSED = "session.refresh_reused"
    SESSION_ENDED = "session.ended"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - names of events
    PASSWORD_RESET_REQUESTED = "password.reset_requested"  # noqa: S105 - as above
    PASSWORD_RESET_WITHHELD = "password.reset_withheld"  # noqa: S105 - as above
    PASSWORD_RESET = "password.reset"  # noqa: S105 - as above
    PASSWORD_SET = "password.set_by_operator"  # noqa: S105 - as above
    EMAIL_CHANGED = "email.changed"
    REAUTHENTICATION_FAILED = "reauthentication.failed"


class SecurityLog(Protocol):
    """Records security events together with the request that caused them, and never a secret."""

    @abstractmethod
    def record(
        self,
        event: SecurityEvent,
        *,
        user_id: UserId | None = None,
        session_id: SessionId | None = None,
    ) -> None:
        """Record an event of a user and a session, as far as they are known."""
