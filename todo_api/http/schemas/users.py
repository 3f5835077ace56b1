"""A person, as JSON."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class UserProfileResponse(BaseModel):
    """A person, as only they themselves see it.

    Only who comes through an external issuer may have no email here.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    email: str | None
    created_at: datetime
    updated_at: datetime
