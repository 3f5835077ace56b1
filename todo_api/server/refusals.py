"""Problem documents for requests that never reach the application.

The protocol (`todo_api.server.protocol`) sends them for bytes that are not a request, and
for requests that are too large or too slow.
"""

import json
from http import HTTPStatus

from todo_api.http.problems import MEDIA_TYPE
from todo_api.server.middleware import ALWAYS_SENT

_DETAILS = {
    HTTPStatus.BAD_REQUEST: "The request is not valid HTTP.",
    HTTPStatus.REQUEST_TIMEOUT: "The request took too long to arrive.",
    HTTPStatus.CONTENT_TOO_LARGE: "The body is too large.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "The headers are too large.",
}


def refusal(status: HTTPStatus, code: str, request_id: str) -> bytes:
    """Return a whole HTTP/1.1 response that names the problem and closes the connection."""
    problem = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": _DETAILS[status],
        "code": code,
        "request_id": request_id,
    }
    body = json.dumps(problem, separators=(",", ":")).encode()
    headers = (
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        (b"connection", b"close"),
        *ALWAYS_SENT,
    )
    lines = [b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
