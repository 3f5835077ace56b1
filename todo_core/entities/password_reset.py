"""Password resets."""

from dataclasses import dataclass
from datetime import datetime

from todo_core.entities.user import UserId


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """The open password reset of a user. A new one replaces it.

    Only the hash of the token is stored. Times are aware and in UTC.
    """

    user_id: UserId
    token_hash: str
    created_at: datetime
    expires_at: datetime
