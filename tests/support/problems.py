"""Reading problem documents."""

from typing import Any

import httpx


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Return the problem document of a response, after checking that it is one (RFC 9457)."""
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert isinstance(body["detail"], str)
    return body
