"""Users, as JSON."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class UserResponse(BaseModel):
    """A user. The email is null only for users of another login service."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    email: str | None
    created_at: datetime
    updated_at: datetime


class UserProfileResponse(UserResponse):
    """Your account."""

    time_zone: str = Field(
        description="A name from the IANA time zone database. `UTC` unless it was changed.",
        examples=["Europe/Berlin"],
    )
    reminder_emails: bool = Field(
        description="Whether reminders of your tasks are also sent by email. True by default."
    )
