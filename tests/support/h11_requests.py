"""Reading requests from the bytes of one connection with an independent parser (h11)."""

from collections.abc import Sequence
from typing import Any

import h11

from tests.support.connections import Seen

_LARGEST_EVENT = 2**20


def read_by_h11(data: bytes) -> Sequence[Seen]:
    """Return every request whose head is complete; the body of the last may be missing (None).

    Each is answered with 200, as a server on h11 would do. Bytes after an error, or after a request
    that closes the connection, are not a request. Line breaks before a request line are
    ignored, as RFC 9112 §2.2 asks of servers; h11 itself refuses them.
    """
    requests: list[Seen] = []
    rest: bytes | None = data
    while rest:
        rest = _read_one(rest.lstrip(b"\r\n"), requests)
    return requests


def _read_one(data: bytes, requests: list[Seen]) -> bytes | None:
    """Read one request, and return the bytes after it if another request may follow."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_LARGEST_EVENT)
    connection.receive_data(data)
    body = b""
    while True:
        try:
            event: Any = connection.next_event()  # of several types
        except h11.RemoteProtocolError:
            return None
        if isinstance(event, h11.Request):
            headers = tuple(event.headers)
            requests.append(Seen(event.method, _origin_form(event.target), None, headers))
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            break
        else:
            return None
    last = requests[-1]
    requests[-1] = Seen(last.method, last.target, body, last.headers)
    connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
    connection.send(h11.EndOfMessage())
    is_open = connection.our_state is h11.DONE and connection.their_state is h11.DONE
    return connection.trailing_data[0] if is_open else None


def _origin_form(target: bytes) -> bytes:
    """Return the target as the application sees it, without an authority."""
    if not target.lower().startswith((b"http://", b"https://")):
        return target
    _, _, rest = target.partition(b"://")
    _, slash, path = rest.partition(b"/")
    return slash + path
