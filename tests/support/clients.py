"""HTTP clients for services on this machine."""

import ssl

import httpx

# Nothing here speaks TLS, and reading all certificates takes longer than most tests.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


_LIMITS = httpx.Limits(keepalive_expiry=2)
"""The service closes idle connections after 5 seconds: no request may be on its way then."""


def client_of(url: str, **headers: str) -> httpx.Client:
    """Return a client of the service at this URL."""
    return httpx.Client(base_url=url, headers=headers, timeout=30, limits=_LIMITS, verify=_NO_TLS)
