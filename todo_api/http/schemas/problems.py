"""Errors, as RFC 9457 describes them."""

from pydantic import BaseModel, Field


class FieldProblem(BaseModel):
    """One thing that is wrong with what was sent."""

    pointer: str = Field(
        description="Where: a JSON Pointer (RFC 6901) into the body, or `/` and the name of a"
        " query parameter.",
        examples=["/title"],
    )
    code: str = Field(description="What, as a stable word.", examples=["too_long"])
    message: str = Field(examples=["must have at most 200 characters"])


class Problem(BaseModel):
    """An error of any kind. Its media type is `application/problem+json`."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(
        description="One sentence, fit to be shown to a person.",
        examples=["There is no such task."],
    )
    code: str = Field(description="A stable word for programs.", examples=["task_not_found"])
    request_id: str = Field(description="Names this request in the service's log.")
    errors: list[FieldProblem] | None = Field(
        None, description="With status 422: everything that is wrong with what was sent."
    )
