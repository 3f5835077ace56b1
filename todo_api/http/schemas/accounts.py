"""Accounts, as JSON."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import MISSING, BaseModel, ConfigDict, Field, StrictBool

from todo_api.http.schemas.passwords import NewPasswordText, PasswordText
from todo_api.http.schemas.sessions import StoredSession
from todo_api.http.schemas.tasks import TaskResponse, task_list_json
from todo_api.http.schemas.text import LINE_PATTERN
from todo_api.http.schemas.users import UserProfileResponse, UserResponse
from todo_core.entities.task import Task
from todo_core.entities.time_zone import TimeZone
from todo_core.entities.user import EmailAddress, PersonName
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
        json_schema_extra={"format": "email", "maxLength": EmailAddress.max_length},
        examples=["ada@example.com"],
    ),
]


TimeZoneName = Annotated[
    str,
    Field(
        json_schema_extra={"maxLength": TimeZone.max_length, "pattern": LINE_PATTERN},
        description="A name from the IANA time zone database. In this zone the days end on which"
        " your tasks are due, and times without an offset are read.",
        examples=["Europe/Berlin"],
    ),
]


class RegisterRequest(BaseModel):
    """A new account."""

    name: NameText
    email: EmailText
    password: NewPasswordText


class RegisterResponse(UserResponse):
    """The account that was created."""

    email: str
    message: str = Field(
        "Your account has been created. You can log in now.",
        description="A confirmation for the user.",
    )


class UpdateProfileRequest(BaseModel):
    """The fields to change. A new email requires the current password."""

    name: NameText | MISSING = MISSING
    email: EmailText | MISSING = MISSING
    time_zone: TimeZoneName | MISSING = MISSING
    reminder_emails: Annotated[
        StrictBool | MISSING,
        Field(description="Whether reminders of your tasks are also sent by email."),
    ] = MISSING
    current_password: PasswordText | MISSING = MISSING


class DeleteAccountRequest(BaseModel):
    """The current password, unless another login service manages the account."""

    current_password: PasswordText | MISSING = MISSING


class StoredIdentity(BaseModel):
    """What a login service says about a user."""

    model_config = ConfigDict(from_attributes=True)

    issuer: str
    subject: str
    name: str | None
    email: str | None
    issued_at: datetime


class _StoredAccount(BaseModel):
    """All data that is stored about a user, except the tasks."""

    model_config = ConfigDict(from_attributes=True)

    user: UserProfileResponse
    identities: list[StoredIdentity]
    sessions: list[StoredSession]


class ExportResponse(_StoredAccount):
    """All data that is stored about a user."""

    tasks: list[TaskResponse]
    deleted_tasks: list[TaskResponse] = Field(description="The tasks in the trash.")


def export_json(export: Export) -> Iterator[bytes]:
    """Render an export as `ExportResponse` describes it, with the tasks as in their list.

    Each page of tasks is read and rendered when the next part is requested.
    """
    account = _StoredAccount.model_validate(export).model_dump_json().encode()
    yield account.removesuffix(b"}") + b',"tasks":['
    yield from _joined(export.pages)
    yield b'],"deleted_tasks":['
    yield from _joined(export.trash_pages)
    yield b"]}"


def _joined(pages: Iterator[Sequence[Task]]) -> Iterator[bytes]:
    separator = b""
    for page in pages:
        if page:
            yield separator + task_list_json(page)[1:-1]
            separator = b","
