"""Sessions and their tokens, as JSON."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from todo_api.http.schemas.passwords import PasswordText
from todo_api.http.schemas.users import UserResponse
from todo_core.entities.session import Session, SessionId
from todo_core.use_cases.sessions import Tokens


class LoginRequest(BaseModel):
    """The email and the password of an account."""

    email: str = Field(examples=["ada@example.com"])
    password: PasswordText


class RefreshTokenRequest(BaseModel):
    """The most recent refresh token of the session."""

    refresh_token: str


class RefreshTokenResponse(BaseModel):
    """New tokens. The refresh token replaces the previous one."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int = Field(description="The lifetime of the access token in seconds.")
    refresh_token: str

    @classmethod
    def of(cls, tokens: Tokens) -> Self:
        """Return the response with these tokens."""
        return cls.model_validate(token_fields(tokens))


class LoginResponse(RefreshTokenResponse):
    """The tokens of a new session, and its user."""

    user: UserResponse


def token_fields(tokens: Tokens) -> dict[str, str | int]:
    """Return the fields of a response that contains tokens."""
    return {
        "access_token": tokens.access_token.value,
        "expires_in": int(tokens.access_token.expires_in.total_seconds()),
        "refresh_token": tokens.refresh_token,
    }


class StoredSession(BaseModel):
    """A session, with all that is stored about its user."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    user_agent: str
    device: str
    address: str
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime


class SessionResponse(BaseModel):
    """An active session."""

    id: UUID
    device: str = Field(examples=["Firefox on Windows"])
    address: str = Field(examples=["192.0.2.1"])
    current: bool = Field(description="Whether this request belongs to the session.")
    created_at: datetime
    last_used_at: datetime = Field(description="The time of the login or of the last refresh.")
    expires_at: datetime

    @classmethod
    def of(cls, session: Session, *, current: bool) -> Self:
        """Return the response for a session."""
        return cls(
            id=session.id,
            device=session.device,
            address=session.address,
            current=current,
            created_at=session.created_at,
            last_used_at=session.refreshed_at,
            expires_at=session.expires_at,
        )


_SESSION_LIST = TypeAdapter(list[SessionResponse])


def session_list_json(sessions: Sequence[Session], *, current: SessionId) -> bytes:
    """Render a list of sessions; `current` is the one of the request."""
    return _SESSION_LIST.dump_json(
        [SessionResponse.of(session, current=session.id == current) for session in sessions]
    )
