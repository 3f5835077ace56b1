"""How uvicorn serves the application, whoever starts it."""

from collections.abc import Iterable
from functools import partial
from ipaddress import IPv4Network, ip_network
from typing import Any

from todo_api.http_protocol import StrictHttpProtocol
from todo_api.settings import Settings


def server_options(settings: Settings) -> dict[str, Any]:  # as uvicorn takes them
    """The options of uvicorn's that do not depend on where it listens.

    Its own log is ours (`todo_api.logs`), and a proxy's word about the client is
    taken from the proxies that were named, and from nobody by default.
    """
    return {
        "http": partial(StrictHttpProtocol, max_body_size=settings.max_body_size),
        "ws": "none",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": _with_mapped_ipv4(settings.trusted_proxies),
        "timeout_graceful_shutdown": 30,
    }


def _with_mapped_ipv4(proxies: Iterable[str]) -> list[str]:
    """Return the proxies, and those with an IPv4 address also as a dual-stack socket writes it."""
    trusted = []
    for proxy in proxies:
        trusted.append(proxy)
        try:
            network = ip_network(proxy)
        except ValueError:
            continue
        if isinstance(network, IPv4Network):
            trusted.append(f"::ffff:{network.network_address}/{96 + network.prefixlen}")
    return trusted
