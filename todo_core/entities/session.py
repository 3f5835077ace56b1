"""Sessions: one login of a user on one device."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NewType, Self
from uuid import UUID

from todo_core.entities.text import UNPRINTABLE
from todo_core.entities.user import UserId

SessionId = NewType("SessionId", UUID)

REFRESH_GRACE = timedelta(seconds=10)
"""How long a used refresh token still yields its successor.

Two tabs may refresh at the same time, and a response may be lost.
"""

UNKNOWN_DEVICE = "Unknown device"

_USER_AGENT_MAX_LENGTH = 256
_ADDRESS_MAX_LENGTH = 64
_DEVICE_MAX_LENGTH = 100
_DEVICE_LENGTH_OF_USER_AGENT = 40


def clean_user_agent(user_agent: str) -> str:
    """Return a `User-Agent` header as it is stored: truncated, without control characters."""
    return UNPRINTABLE.sub("", user_agent)[:_USER_AGENT_MAX_LENGTH]


@dataclass(frozen=True, slots=True)
class Session:
    """A login. Access tokens and refresh tokens are issued for it.

    `generation` counts how often the session was refreshed. Each refresh token is derived from
    it, from the random `refresh_salt`, and from the server's key. So it can be computed from the
    stored session and the key together, but not from either alone.

    `user_agent`, `device` (a readable name of it) and `address` show the user where the login
    came from. All times are aware and in UTC.
    """

    id: SessionId
    user_id: UserId
    refresh_salt: str = field(repr=False)
    generation: int
    user_agent: str
    device: str
    address: str
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
        user_agent: str,
        device: str = "",
        address: str,
        lifetime: timedelta,
        now: datetime,
    ) -> Self:
        """Create a session that expires `lifetime` from now at the latest.

        What the client says about itself is truncated and stripped of control characters, never
        refused. A device without a name is named by the beginning of its user agent.
        """
        user_agent = clean_user_agent(user_agent)
        return cls(
            id=id,
            user_id=user_id,
            refresh_salt=refresh_salt,
            generation=0,
            user_agent=user_agent,
            device=device[:_DEVICE_MAX_LENGTH]
            or user_agent[:_DEVICE_LENGTH_OF_USER_AGENT]
            or UNKNOWN_DEVICE,
            address=UNPRINTABLE.sub("", address)[:_ADDRESS_MAX_LENGTH],
            created_at=now,
            refreshed_at=now,
            expires_at=now + lifetime,
        )

    def is_expired(self, *, idle_lifetime: timedelta, now: datetime) -> bool:
        """Return whether the session has expired, or was not refreshed for `idle_lifetime`."""
        return now >= self.expires_at or now >= self.refreshed_at + idle_lifetime

    def refreshed(self, *, now: datetime) -> Self:
        """Return the session after its current refresh token was used."""
        return replace(self, generation=self.generation + 1, refreshed_at=now)

    def was_just_refreshed_from(self, generation: int, *, now: datetime) -> bool:
        """Return whether this generation is the previous one, replaced within the grace period."""
        # If the clock was set back since, the grace period must not become longer.
        since = now - self.refreshed_at
        return generation == self.generation - 1 and -REFRESH_GRACE < since < REFRESH_GRACE
