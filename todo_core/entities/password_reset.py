"""A password reset: the promise to let in whoever has a secret that was mailed."""

from dataclasses import dataclass
from datetime import datetime

from todo_core.entities.user import UserId


@dataclass(frozen=True, slots=True)
class PasswordReset:
    """The one reset that a person may have open; a new one takes the place of the older.

    `token_hash` is all that is kept of the secret. Times are aware and in UTC.
    """

    user_id: UserId
    token_hash: str
    created_at: datetime
    expires_at: datetime
