"""Requests with an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07).

The draft requires a string of Structured Fields, in quotes. Most clients send the key without
quotes, which is accepted too, and means the same key.
"""

import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from fastapi import Request, Response

from todo_api.http.dependencies import application_of
from todo_api.runtime.request_context import BODY
from todo_api.runtime.threads import without_giving_way
from todo_core.entities.idempotency import IdempotencyKey, IdempotentRequest
from todo_core.entities.user import UserId
from todo_core.errors import InvalidIdempotencyKey
from todo_core.use_cases.task_writes import TaskWrites

REPLAYED = "Idempotent-Replayed"

_COMPRESSED_FROM = 2048
"""Responses of at least this many bytes are compressed: not most of those about one task.

The response to a bulk becomes several times smaller. docs/decisions/kept-responses.md has figures.
"""

_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED = re.compile(r'\\(["\\])')


def respond_once(
    request: Request, user_id: UserId, write: Callable[[TaskWrites], Response], *, hits: int = 1
) -> Response:
    """Run a write, once for each idempotency key of the user if the request has one.

    Endpoints that change tasks respond through it. The write must take effect through the use
    cases that it is given, and nothing else, because it may be repeated from the start. `hits` is
    how many requests those use cases would count it as.

    Raises:
        InvalidIdempotencyKey: if the header is not one key.
        TodoError: as `WriteOnce` does.
    """
    once = idempotent_request(request, user_id)
    application = application_of(request)
    if once is None:
        return write(application.task_writes)
    with without_giving_way():  # the response is rendered within the unit of work
        written = application.write_once(once, lambda writes: _to_bytes(write(writes)), hits=hits)
    response = _from_bytes(written.response)
    if written.is_replay:
        response.headers[REPLAYED] = "true"
    return response


def idempotent_request(request: Request, user_id: UserId) -> IdempotentRequest | None:
    """Return what a request with an idempotency key is to the core, or None without a key.

    Raises:
        InvalidIdempotencyKey: if the header is not one key.
    """
    fields = request.headers.getlist("idempotency-key")
    if not fields:
        return None
    scope = request.scope
    return IdempotentRequest.of(
        user_id,
        _key(fields),
        scope["method"].encode(),
        scope["path"].encode(),
        scope["query_string"],
        scope.get(BODY, b""),
    )


def _key(fields: list[str]) -> IdempotencyKey:
    if len(fields) > 1:
        raise InvalidIdempotencyKey
    text = fields[0]
    if text.startswith('"'):
        string = _STRING.fullmatch(text)
        if string is None:
            raise InvalidIdempotencyKey
        text = _ESCAPED.sub(r"\1", string[1])
    return IdempotencyKey(text)


def _to_bytes(response: Response) -> bytes:
    """Return status, header and body of a response: a line of JSON, and then the body.

    A long one is compressed. The formats are distinguished by their first byte.
    """
    headers = [each for each in response.headers.items() if each[0] != "content-length"]
    head = orjson.dumps({"status": response.status_code, "headers": headers})
    content = head + b"\n" + bytes(response.body)
    return content if len(content) < _COMPRESSED_FROM else zlib.compress(content, level=1)


def _from_bytes(content: bytes) -> Response:
    if not content.startswith(b"{"):
        content = zlib.decompress(content)
    head, _, body = content.partition(b"\n")
    fields = orjson.loads(head)
    return Response(body, fields["status"], dict(fields["headers"]))


IDEMPOTENCY_KEY: Mapping[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A string that you choose for this write, such as a UUID, with or without"
    " quotes: 1 to 255 visible ASCII characters. Sent again with the same request within 24"
    " hours, it returns the first response, and nothing is written. With another request: 422."
    " While the first one is in progress: 409. A request that was refused can be sent again.",
    "schema": {
        "type": "string",
        "pattern": r"^([\x21\x23-\x7e][\x21-\x7e]{0,254}"
        r'|"([\x21\x23-\x5b\x5d-\x7e]|\\["\\]){1,255}")$',
    },
    "example": "8e03978e-40d5-43dd-bc93-6894a57f9324",
}
IDEMPOTENT_REPLAYED = {
    "description": "`true` if this is the response to an earlier request with the same"
    " `Idempotency-Key`.",
    "schema": {"type": "string", "enum": ["true"]},
}
