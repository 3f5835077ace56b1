"""The address that a request comes from, and which addresses belong to one client."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
_CLIENT_PREFIX = 64


def client_network(address: str) -> str:
    """Return what an address counts as; text that is no address counts as itself.

    An IPv6 address counts as its /64, the network that one customer gets, which has 2**64
    addresses. One that holds an IPv4 address counts as that: a dual-stack socket or a
    translator writes all IPv4 clients so, and a single /64 holds all of those that are
    mapped (RFC 4291) or behind a translator (RFC 6052, the well-known prefix). A 6to4
    site (RFC 3056) has 2**16 networks, and one IPv4 address. Zone ids do not count.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if (ipv4 := _embedded_ipv4(parsed)) is not None:
        return str(ipv4)
    return str(IPv6Network((parsed, _CLIENT_PREFIX), strict=False))


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
