"""Names and addresses of machines: which are loopback, and how to show one in a URL."""

import ipaddress
from urllib.parse import urlsplit, urlunsplit

LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def ip_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address if ``host`` is an IP literal, with or without brackets."""
    try:
        return ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Return whether listening on ``host`` can be reached from this machine only."""
    address = ip_of(host)
    return address.is_loopback if address else host.lower() in LOOPBACK_NAMES


def host_of(header: str) -> str:
    """Return the name or address of a ``Host`` header, in lower case, without its port."""
    header = header.strip().lower()
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0]


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """Return where to reach a server that listens on ``host``; wildcards become loopback."""
    address = ip_of(host)
    if address is not None and address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    name = host if address is None else f"[{address}]" if address.version == 6 else str(address)
    return f"{scheme}://{name}:{port}"


def without_password(text: str) -> str:
    """Return a URL with its password masked; any other text as it is."""
    if "://" not in text:
        return text
    parts = urlsplit(text)
    if parts.password is None:
        return text
    netloc = f"{parts.username or ''}:***@{parts.netloc.rpartition('@')[2]}"
    return urlunsplit(parts._replace(netloc=netloc))
