"""Problem documents for requests that never reach the application.

The protocol (`todo_api.server.protocol`) sends them for bytes that are not a request, and
for requests that are too large or too slow.
"""

from http import HTTPStatus

from todo_api.http.problems import HTTP_PROBLEMS, MEDIA_TYPE, ProblemKind, problem_document
from todo_api.server.headers import SECURITY_HEADERS, request_id_header

MALFORMED_REQUEST = ProblemKind(
    HTTPStatus.BAD_REQUEST,
    "malformed_request",
    "The request is not valid HTTP. Correct it, and send it again.",
)
REQUEST_TIMEOUT = ProblemKind(
    HTTPStatus.REQUEST_TIMEOUT,
    "request_timeout",
    "The request took too long to arrive. Send it again.",
)
HEADERS_TOO_LARGE = ProblemKind(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "headers_too_large",
    "The headers are too large. Send fewer or shorter ones.",
)
BODY_TOO_LARGE = HTTP_PROBLEMS[HTTPStatus.CONTENT_TOO_LARGE]


def refusal(kind: ProblemKind, request_id: str) -> bytes:
    """Return a whole HTTP/1.1 response that names the problem and closes the connection."""
    body = problem_document(kind, request_id)
    headers = (
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *SECURITY_HEADERS,
        request_id_header(request_id),
    )
    lines = [b"HTTP/1.1 %d %b" % (kind.status.value, kind.status.phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
