"""Users, as JSON."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class UserProfileResponse(BaseModel):
    """Your account. Only a user of another login service can be without an email here."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    email: str | None
    created_at: datetime
    updated_at: datetime
