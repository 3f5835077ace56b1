"""Plain connections to a running service."""

import socket
from urllib.parse import urlsplit


def connected(url: str, *, receive_buffer: int | None = None) -> socket.socket:
    """Open a connection that sends each piece of data at once.

    A small receive buffer limits how much data is in flight.
    """
    parts = urlsplit(url)
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(20)
    connection.connect((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
