"""Passwords, as JSON. No response contains one."""

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
        description="At least 8 characters; 15 are recommended. Common passwords are refused.",
        examples=["a rather long sentence"],
    ),
]


class ChangePasswordRequest(BaseModel):
    """The current password and the new one."""

    current_password: PasswordText
    new_password: NewPasswordText


class ForgotPasswordRequest(BaseModel):
    """The email of the account."""

    email: str = Field(examples=["ada@example.com"])


class ForgotPasswordResponse(BaseModel):
    """A confirmation that is the same whether or not the account exists."""

    message: str = Field(
        "If an account with this email exists, we have sent a message to it.",
        description="A confirmation for the user.",
    )


class ResetPasswordRequest(BaseModel):
    """The token from the email, and the new password."""

    token: str = Field(description="The token in the link of the email.")
    new_password: NewPasswordText
