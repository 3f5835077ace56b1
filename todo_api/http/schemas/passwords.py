"""Passwords, as JSON; they only ever come in."""

from typing import Annotated

from pydantic import BaseModel, Field

from todo_api.http.schemas.text import LINE_PATTERN
from todo_core.entities.user import Password

PasswordText = Annotated[
    str,
    Field(json_schema_extra={"format": "password"}, examples=["a rather long sentence"]),
]
NewPasswordText = Annotated[
    str,
    Field(
        json_schema_extra={
            "format": "password",
            "minLength": 8,
            "maxLength": Password.max_length,
            "pattern": LINE_PATTERN,
        },
        description="At least 8 characters (15 are recommended), and none of the commonest.",
        examples=["a rather long sentence"],
    ),
]


class ChangePasswordRequest(BaseModel):
    """The password of now, and the one to be."""

    current_password: PasswordText
    new_password: NewPasswordText


class ForgotPasswordRequest(BaseModel):
    """Whose password was forgotten."""

    email: str = Field(examples=["ada@example.com"])


class ForgotPasswordResponse(BaseModel):
    """The same, whether or not there is such an account."""

    message: str = "If there is an account with this email, a letter is on its way to it."


class ResetPasswordRequest(BaseModel):
    """The secret from the letter, and the password to be."""

    token: str
    new_password: NewPasswordText
