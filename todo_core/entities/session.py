"""A session: one login of one person on one device."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType, Self
from uuid import UUID

from todo_core.entities.user import UserId

SessionId = NewType("SessionId", UUID)


@dataclass(frozen=True, slots=True)
class Session:
    """What stands behind a pair of tokens.

    `refresh_salt` is random and goes into every refresh token of the session,
    together with `generation`, which counts how often it was refreshed: so a
    refresh token can be made again by whoever has the server's key *and* the
    stored session, and by nobody who has only one of the two.
    All times are aware and in UTC.
    """

    id: SessionId
    user_id: UserId
    refresh_salt: str = field(repr=False)
    generation: int
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime

    @classmethod
    def start(
        cls,
        *,
        id: SessionId,
        user_id: UserId,
        refresh_salt: str,
        lifetime: timedelta,
        now: datetime,
    ) -> Self:
        """Begin a session that ends `lifetime` from now at the latest."""
        return cls(
            id=id,
            user_id=user_id,
            refresh_salt=refresh_salt,
            generation=0,
            created_at=now,
            refreshed_at=now,
            expires_at=now + lifetime,
        )
