"""Live events as JSON."""

from pydantic import BaseModel, Field


class StreamTicketResponse(BaseModel):
    """A ticket that opens one stream of events."""

    ticket: str
    expires_in: int = Field(description="How long it can be used, in seconds.")
