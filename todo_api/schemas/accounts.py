"""Accounts, as JSON."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from todo_core.entities.user import Email, Password, PersonName


class RegisterRequest(BaseModel):
    """Who opens an account."""

    name: str = Field(
        json_schema_extra={"minLength": 1, "maxLength": PersonName.max_length}, examples=["Ada"]
    )
    email: str = Field(
        json_schema_extra={"format": "email", "maxLength": Email.max_length},
        examples=["ada@example.com"],
    )
    password: str = Field(
        json_schema_extra={
            "format": "password",
            "minLength": 8,
            "maxLength": Password.max_length,
        },
        description="At least 8 characters (15 are recommended), and none of the commonest.",
        examples=["a rather long sentence"],
    )


class LoginRequest(BaseModel):
    """Who wants in."""

    email: str = Field(examples=["ada@example.com"])
    password: str = Field(
        json_schema_extra={"format": "password"}, examples=["a rather long sentence"]
    )


class UserProfileResponse(BaseModel):
    """A person, as only they themselves see it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    email: str
    created_at: datetime
    updated_at: datetime


class RegisterResponse(UserProfileResponse):
    """The new account."""

    message: str = "Your account has been created. You can log in now."


class LoginResponse(BaseModel):
    """The tokens of a new session."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: int = Field(description="For how many seconds the access token is valid.")
    refresh_token: str
    user: UserProfileResponse
