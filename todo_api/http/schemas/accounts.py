"""Accounts, as JSON."""

from datetime import datetime
from typing import Annotated

from pydantic import MISSING, BaseModel, ConfigDict, Field

from todo_api.http.schemas.passwords import NewPasswordText, PasswordText
from todo_api.http.schemas.sessions import StoredSession
from todo_api.http.schemas.tasks import TaskResponse, task_list_json
from todo_api.http.schemas.text import LINE_PATTERN
from todo_api.http.schemas.users import UserProfileResponse
from todo_core.entities.user import Email, PersonName
from todo_core.use_cases.accounts import Export

NameText = Annotated[
    str,
    Field(
        json_schema_extra={
            "minLength": PersonName.min_length,
            "maxLength": PersonName.max_length,
            "pattern": LINE_PATTERN,
        },
        examples=["Ada"],
    ),
]
EmailText = Annotated[
    str,
    Field(
        json_schema_extra={"format": "email", "maxLength": Email.max_length},
        examples=["ada@example.com"],
    ),
]


class RegisterRequest(BaseModel):
    """Who opens an account."""

    name: NameText
    email: EmailText
    password: NewPasswordText


class RegisterResponse(UserProfileResponse):
    """The new account."""

    email: str
    message: str = "Your account has been created. You can log in now."


class UpdateProfileRequest(BaseModel):
    """What to change; what is not sent stays. Another email needs the current password."""

    name: NameText | MISSING = MISSING
    email: EmailText | MISSING = MISSING
    current_password: PasswordText | MISSING = MISSING


class DeleteAccountRequest(BaseModel):
    """The proof that it is really you who wants to go, if you have a password here."""

    current_password: PasswordText | MISSING = MISSING


class StoredIdentity(BaseModel):
    """What an external issuer says of a person."""

    model_config = ConfigDict(from_attributes=True)

    issuer: str
    subject: str
    name: str | None
    email: str | None
    issued_at: datetime


class _StoredAccount(BaseModel):
    """All that is stored about a user, but their tasks."""

    model_config = ConfigDict(from_attributes=True)

    user: UserProfileResponse
    identities: list[StoredIdentity]
    sessions: list[StoredSession]


class ExportResponse(_StoredAccount):
    """All that is stored about a user."""

    tasks: list[TaskResponse]


def export_json(export: Export) -> bytes:
    """Render an export, as `ExportResponse` describes it; the tasks as in their list."""
    account = _StoredAccount.model_validate(export).model_dump_json().encode()
    return b'%b,"tasks":%b}' % (account.removesuffix(b"}"), task_list_json(export.tasks))
