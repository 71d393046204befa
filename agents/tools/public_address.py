"""Which network addresses belong to the public internet. A core."""

import ipaddress

_TUNNELS = tuple(
    ipaddress.ip_network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32", "fec0::/10")
)
"""IPv6 networks whose addresses carry an IPv4 one, which could be any, or are site-local."""


def is_public(address: str) -> bool:
    """Whether ``address`` is one that everybody can reach.

    Loopback, private, link-local (where clouds keep their metadata), shared, multicast, reserved
    and tunnelled addresses are not; nor is what is no address.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return is_public(str(parsed.ipv4_mapped))
        if parsed.scope_id is not None or any(parsed in tunnel for tunnel in _TUNNELS):
            return False
    return parsed.is_global and not (
        parsed.is_multicast or parsed.is_reserved or parsed.is_unspecified or parsed.is_loopback
    )
