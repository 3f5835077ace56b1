"""Problem documents (RFC 9457)."""

from pydantic import BaseModel, Field


class FieldProblem(BaseModel):
    """One field that is not valid."""

    pointer: str = Field(
        description="The field: a JSON Pointer (RFC 6901) into the body, or `/` and the name of a"
        " query parameter.",
        examples=["/title"],
    )
    code: str = Field(
        description="The kind of error, for programs. It does not change.", examples=["too_long"]
    )
    message: str = Field(
        description="What to correct, for users.",
        examples=["Title must have at most 200 characters."],
    )


class Problem(BaseModel):
    """An error. Its media type is `application/problem+json`."""

    type: str = Field(
        description="Always `about:blank`. `code` identifies the problem.",
        examples=["about:blank"],
    )
    title: str = Field(description="The name of the status.", examples=["Not Found"])
    status: int = Field(description="The status of the response.", examples=[404])
    detail: str = Field(
        description="What went wrong and what to do, for users.",
        examples=["This task does not exist."],
    )
    message: str = Field(
        description="The same as `detail`.", examples=["This task does not exist."]
    )
    code: str = Field(
        description="The kind of problem, for programs. It does not change.",
        examples=["task_not_found"],
    )
    request_id: str = Field(description="The id of this request in the log of the service.")
    errors: list[FieldProblem] | None = Field(
        None,
        description="With status 422: every field that is not valid. Of a bulk, also the operation"
        " that failed.",
    )
