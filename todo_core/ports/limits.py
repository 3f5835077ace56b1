"""Rate limits: how many requests of a kind are allowed in a window."""

from abc import abstractmethod
from enum import StrEnum
from typing import Protocol


class Limit(StrEnum):
    """The kinds of requests that are limited. The operator decides how many each limit allows.

    Each is counted separately for each key: an address (of the client, as far as proxies are
    trusted), a user id, an issuer, or an account as seen from one address. The names are stable:
    clients see them in the `RateLimit` header, operators in the log.
    """

    LOGIN_ACCOUNT = "login_account"
    """Failed logins, by email and address."""
    LOGIN_ADDRESS = "login_address"
    """Logins, by address."""
    REAUTHENTICATION = "reauthentication"
    """Confirmations of the current password, by user."""
    REGISTER = "register"
    """Registrations, by address."""
    FORGOT_ACCOUNT = "forgot_account"
    """Password reset emails, by user."""
    FORGOT_ADDRESS = "forgot_address"
    """Requests for a password reset email, by address."""
    RESET_PASSWORD = "reset_password"  # noqa: S105 - the name of a limit
    """Password resets, by address."""
    REFRESH = "refresh"
    """Refreshes of sessions, by address."""
    TASKS = "tasks"
    """Requests about tasks, by user."""
    PROFILE = "profile"
    """Reads and changes of the profile, by user."""
    TIME_ZONE = "time_zone"
    """Changes of the time zone, by user."""
    SESSIONS = "sessions"
    """Requests about sessions, by user."""
    EXPORT = "export"
    """Exports of an account, by user."""
    REMINDER_EMAILS = "reminder_emails"
    """Emails of reminders, by user."""
    PROVISION_ADDRESS = "provision_address"
    """Accounts created for users of external issuers, by address."""
    PROVISION_ISSUER = "provision_issuer"
    """Accounts created for users of external issuers, by issuer."""


class RateLimiter(Protocol):
    """Counts requests under a limit, separately for each key, and refuses those beyond it.

    What a limit allows may have several parts, such as 5 a minute and 20 an hour. Counting is
    atomic: of any number of requests at the same moment, exactly as many pass as are allowed.
    """

    @abstractmethod
    def hit(self, limit: Limit, *key: str) -> None:
        """Count one request.

        Raises:
            RateLimited: if the limit is exhausted for this key.
        """

    @abstractmethod
    def forgive(self, limit: Limit, *key: str) -> None:
        """Reset the count of this limit for this key."""
