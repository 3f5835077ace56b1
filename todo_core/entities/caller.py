"""The caller: who makes a request, as a valid access token proves."""

from dataclasses import dataclass, field
from datetime import datetime

from todo_core.entities.identity import Identity, Subject
from todo_core.entities.session import SessionId
from todo_core.entities.user import UserId


@dataclass(frozen=True, slots=True)
class Caller:
    """The user who makes a request, and the session in which they make it.

    `identity` is what an external issuer says about the user, if one issued the token.
    `alias` is the issuer's subject, if it may be used instead of `user_id` in a URL. `expires_at`
    is when the token expires, if that is known.
    """

    user_id: UserId
    session_id: SessionId
    identity: Identity | None = None
    alias: Subject | None = None
    expires_at: datetime | None = field(default=None, compare=False)
