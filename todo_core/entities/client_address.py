"""The address that a request comes from, and which of them belong to one client."""

from ipaddress import IPv6Address, IPv6Interface

_IPV6_CLIENT_PREFIX = 64


def client_network(address: str) -> str:
    """Return the network that one client is given; equal for all addresses of it.

    A client with IPv6 has 2**64 addresses, so all addresses of a /64 count as one client. An
    IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) counts as the IPv4 address that it is. An IPv4
    address, or text that is no address at all, is its own network.
    """
    if ":" not in address:
        return address
    try:
        mapped = IPv6Address(address).ipv4_mapped
        if mapped is not None:
            return str(mapped)
        return str(IPv6Interface(f"{address}/{_IPV6_CLIENT_PREFIX}").network)
    except ValueError:
        return address
