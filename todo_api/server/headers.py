"""The headers that every response has, whether the application or the protocol sends it."""

type RawHeader = tuple[bytes, bytes]

SECURITY_HEADERS: tuple[RawHeader, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
"""What the OWASP REST Security Cheat Sheet recommends for an API."""

STRICT_TRANSPORT_SECURITY: RawHeader = (
    b"strict-transport-security",
    b"max-age=63072000; includeSubDomains",
)
"""For responses over TLS (RFC 6797 §7.2)."""


def request_id_header(request_id: str) -> RawHeader:
    """Return the header by which a client can name its request to the operator."""
    return b"x-request-id", request_id.encode()
