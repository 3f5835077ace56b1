"""A session: one login of one person on one device."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NewType, Self
from uuid import UUID

from todo_core.entities.text import UNPRINTABLE
from todo_core.entities.user import UserId

SessionId = NewType("SessionId", UUID)

REFRESH_GRACE = timedelta(seconds=10)
"""For how long a used refresh token still yields its successor.

Two tabs may refresh at the same moment, and an answer may get lost on its way.
"""

UNKNOWN_DEVICE = "Unknown device"

_USER_AGENT_MAX_LENGTH = 256
_ADDRESS_MAX_LENGTH = 64
_DEVICE_MAX_LENGTH = 100
_DEVICE_LENGTH_OF_USER_AGENT = 40


def clean_user_agent(user_agent: str) -> str:
    """Return what is kept of a `User-Agent` header: it is cut and cleaned, never refused."""
    return UNPRINTABLE.sub("", user_agent)[:_USER_AGENT_MAX_LENGTH]


@dataclass(frozen=True, slots=True)
class Session:
    """What stands behind a pair of tokens.

    `refresh_salt` is random and goes into every refresh token of the session,
    together with `generation`, which counts how often it was refreshed: so a
    refresh token can be made again by whoever has the server's key *and* the
    stored session, and by nobody who has only one of the two.

    `user_agent`, `device` (a readable name for it) and `address` are where the login came
    from, by which its user recognises it. All times are aware and in UTC.
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
        """Begin a session that ends `lifetime` from now at the latest.

        What a client says of itself is cut and cleaned, never refused. A device without
        a name is called by the beginning of its user agent.
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

    def is_over(self, *, idle_lifetime: timedelta, now: datetime) -> bool:
        """Whether it has come to its end, or was not refreshed for too long."""
        return now >= self.expires_at or now >= self.refreshed_at + idle_lifetime

    def refreshed(self, *, now: datetime) -> Self:
        """The session after its current refresh token was used."""
        return replace(self, generation=self.generation + 1, refreshed_at=now)

    def was_just_refreshed_from(self, generation: int, *, now: datetime) -> bool:
        """Whether this generation's token was the last to be used, a moment ago."""
        # A clock that was set back since must not make the moment long.
        since = now - self.refreshed_at
        return generation == self.generation - 1 and -REFRESH_GRACE < since < REFRESH_GRACE
