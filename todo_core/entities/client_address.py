"""Client addresses, and which of them belong to the same client."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

_NAT64 = IPv6Network("64:ff9b::/96")
CLIENT_PREFIX = 64
"""The prefix length of the IPv6 network of one client."""

SITE_PREFIX = 48
"""The prefix length of the largest IPv6 network that a customer is usually given (RFC 6177)."""


def client_network(address: str, *, prefix: int = CLIENT_PREFIX) -> str:
    """Return the network that an address counts as. Other text is returned unchanged.

    An IPv6 address counts as its network of this prefix length. An address that
    embeds an IPv4 address counts as the IPv4 address: all IPv4-mapped addresses (RFC 4291)
    share one /64, and so do all addresses of the well-known NAT64 prefix (RFC 6052), while a
    6to4 site (RFC 3056) has 2**16 networks. Zone ids are ignored.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if (ipv4 := _embedded_ipv4(parsed)) is not None:
        return str(ipv4)
    return str(IPv6Network((parsed, prefix), strict=False))


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour
