"""The context of a request: its id, its client, and its caller.

The log adds the id and the client's address to its events. Worker threads and limits use the
client's network or the caller's id as a key.
"""

from contextvars import ContextVar

from starlette.types import Scope

from todo_core.entities.client_address import SITE_PREFIX, client_network

USER_ID = "todo.user_id"
"""The key of the ASGI scope that holds the id of the authenticated caller."""

BODY = "todo.body"
"""The key of the ASGI scope that holds the body of a request, if the endpoint has one."""

BEGIN_STREAM = "todo.begin_stream"
"""The key of the ASGI scope that holds a function of the server. A response that lasts until the
client leaves calls it before it starts."""

END_STREAMS = "todo.end_streams"
"""The key of the lifespan's state that holds a function, which ends all such responses. The server
calls it when it begins to stop."""

WAITS = "todo.waits"
"""The key of the ASGI scope that is set if the response waits for changes, as long as the client
wants."""

COUNT_REFUSED = "todo.count_refused"
"""The key of the lifespan's state that holds a function, which counts a request that the server
refused, by the code of the problem. It is missing where nobody counts."""

STREAMED_BYTES = "todo.streamed_bytes"
"""The key of the ASGI scope that holds how many bytes of a streamed response were sent so far."""

current_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request, or None outside a request."""

client_address: ContextVar[str | None] = ContextVar("client_address", default=None)
"""The address of the client that sent the current request. Security events include it."""


def client_key(scope: Scope) -> str:
    """Return the network of the client that sent the request.

    Clients take turns on threads by this key, so it is the largest network that one customer may
    have: a customer with a /48 (RFC 6177) has 65,536 /64 networks, and must not get a turn for each
    of them.
    """
    client = scope.get("client")
    return client_network(client[0], prefix=SITE_PREFIX) if client else ""


def caller_key(scope: Scope) -> str:
    """Return the id of the caller or, for an anonymous request, the network of the client."""
    user_id: str | None = scope.get(USER_ID)
    return user_id or client_key(scope)
