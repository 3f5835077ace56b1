"""Tickets, with which a browser opens a stream of events."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId

TICKET_LIFETIME = timedelta(seconds=30)
"""How long a ticket can be used after it was issued."""


@dataclass(frozen=True, slots=True)
class StreamTicket:
    """A ticket that opens one stream of a user's events, in the session in which it was issued.

    Only the hash of the ticket is stored. The stream ends at `stream_ends_at` at the latest. Times
    are aware and in UTC.
    """

    token_hash: str
    user_id: UserId
    session_id: SessionId
    expires_at: datetime
    stream_ends_at: datetime
