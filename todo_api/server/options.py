"""The options of uvicorn."""

from collections.abc import Iterable, Iterator
from functools import partial
from ipaddress import IPv4Network, ip_network
from typing import Any

from todo_api.server.protocol import StrictHttpProtocol
from todo_api.settings import Settings


def server_options(settings: Settings) -> dict[str, Any]:  # as uvicorn takes them
    """Return the options of uvicorn that do not depend on the address that it listens on.

    `todo_api.runtime.logging` configures its logs. Only the proxies in the settings, none by
    default, may say who the client is.
    """
    return {
        "http": partial(StrictHttpProtocol, max_body_size=settings.max_body_size),
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": list(_as_peers(settings.trusted_proxies)),
        "timeout_graceful_shutdown": 30,
    }


def _as_peers(networks: Iterable[str]) -> Iterator[str]:
    """Yield each network in every form in which its peers appear.

    On a dual-stack socket an IPv4 peer has an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2), which
    uvicorn does not recognise as the IPv4 address.
    """
    for text in networks:
        network = ip_network(text)
        yield str(network)
        if isinstance(network, IPv4Network):
            yield f"::ffff:{network.network_address}/{96 + network.prefixlen}"
