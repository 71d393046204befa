"""``http.get``: reads a page of the web. Off until an app turns it on, for the hosts it names.

A server that fetches what a model or a person names can be made to read what only it can reach.
So: a list of allowed hosts; only public addresses, checked on the very address that is connected
to (a name is resolved once); the same for every redirect; bounds on size, time and type. It turns
no proxy's settings on and sends no credentials.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Self
from urllib.parse import SplitResult, urljoin, urlsplit

from pydantic import Field

from agents.defaults import current_registry
from agents.errors import RegistrationError, ToolDeclined
from agents.registry import Registry
from agents.tools.public_address import is_public
from events.payloads import JsonObject

NAME = "http.get"
MAX_URL_CHARACTERS = 2_000
MAX_BODY_BYTES = 256 * 1024
MAX_REDIRECTS = 5
TIMEOUT_S = 10.0
PORTS = {"http": 80, "https": 443}
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/xhtml+xml")
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADERS = {
    "User-Agent": "control-tower http.get",
    "Accept": "text/*, application/json, application/xml;q=0.9",
    "Accept-Encoding": "identity",
    "Connection": "close",
}

Resolve = Callable[[str, int], list[str]]
"""Returns the addresses of a host."""


def enable(allow: Iterable[str], registry: Registry | None = None) -> None:
    """Register ``http.get`` for some hosts.

    Args:
        allow: hosts as ``example.org``, ``example.org:8443`` or ``*.example.org`` (its
            subdomains); ``*`` is every public host on the usual ports.
        registry: the one that the decorators fill by default.

    Raises:
        RegistrationError: when no host is named, or it is registered already.
    """
    hosts = tuple(host.strip().lower() for host in allow if host.strip())
    if not hosts or isinstance(allow, str):
        raise RegistrationError('http.get needs hosts that it may read: enable(["example.org"]).')
    fetcher = Fetcher(hosts)

    def http_get(
        url: Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARACTERS)],
    ) -> JsonObject:
        """Read a page of the web.

        Args:
            url: an http or https address.
        """
        return fetcher.get(url)

    target = registry if registry is not None else current_registry()
    target.tool("medium", idempotent=True, timeout_s=TIMEOUT_S + 2, name=NAME)(http_get)


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ToolDeclined(f"There is no host {host}.") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(slots=True, frozen=True)
class Fetcher:
    """Reads pages of allowed hosts.

    Attributes:
        allow: see :func:`enable`.
        resolve: how names become addresses.
        public: which addresses may be connected to.
        context: how certificates are checked.
        timeout_s: bound of the whole, redirects too.
    """

    allow: tuple[str, ...]
    resolve: Resolve = _resolve
    public: Callable[[str], bool] = is_public
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    timeout_s: float = TIMEOUT_S

    def get(self, url: str) -> JsonObject:
        """Return status, type and text of the page, after its redirects. Blocks.

        Raises:
            ToolDeclined: for an address that may not be read, or a page that is no text.
            OSError: when the host does not answer as it should.
        """
        deadline = time.monotonic() + self.timeout_s
        for _ in range(MAX_REDIRECTS + 1):
            parts = self._checked(url)
            with self._connection(parts, deadline) as connection:
                target = parts.path or "/"
                connection.request("GET", f"{target}?{parts.query}" if parts.query else target)
                with contextlib.closing(connection.getresponse()) as answer:
                    location = answer.headers.get("Location")
                    if answer.status not in REDIRECTS or not location:
                        return _page(url, answer, deadline)
                url = urljoin(url, location)
        raise ToolDeclined(f"The page redirects more than {MAX_REDIRECTS} times.")

    def _checked(self, url: str) -> SplitResult:
        """Return the parts of an address that may be read, as far as its text says."""
        if len(url) > MAX_URL_CHARACTERS or any(ord(sign) <= 32 or ord(sign) > 126 for sign in url):
            raise ToolDeclined("The address is too long, or has signs that must be escaped.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ToolDeclined("The address is not a URL.") from None
        if parts.scheme not in PORTS or not parts.hostname:
            raise ToolDeclined("The address must begin with http:// or https:// and a host.")
        if parts.username is not None or parts.password is not None:
            raise ToolDeclined("The address must not have a user or password.")
        if not self._allowed(parts.hostname, port or PORTS[parts.scheme], parts.scheme):
            raise ToolDeclined(f"{parts.hostname} is not one of the hosts that may be read.")
        return parts

    def _allowed(self, host: str, port: int, scheme: str) -> bool:
        usual = port == PORTS[scheme]
        return any(
            (usual and pattern in ("*", host))
            or pattern == f"{host}:{port}"
            or (usual and pattern.startswith("*.") and host.endswith(pattern[1:]))
            for pattern in self.allow
        )

    def _connection(self, parts: SplitResult, deadline: float) -> "_Pinned":
        host = parts.hostname or ""
        port = parts.port or PORTS[parts.scheme]
        addresses = self.resolve(host, port)
        if not addresses or not all(self.public(address) for address in addresses):
            raise ToolDeclined(f"{host} is not a public host.")
        context = self.context if parts.scheme == "https" else None
        return _Pinned(host, port, addresses[0], context, deadline)


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was checked, whatever the host's name means by now."""

    def __init__(
        self, host: str, port: int, address: str, context: ssl.SSLContext | None, deadline: float
    ) -> None:
        super().__init__(host, port)
        self._address = address
        self._context = context
        self._deadline = deadline
        self._alarm: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self.close()

    def connect(self) -> None:
        """Connect to the address, and check the certificate for the name."""
        plain = socket.create_connection((self._address, self.port), _left(self._deadline))
        self.sock = plain
        if self._context is not None:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        # A time-out of a socket is that of one read: who drips a byte a second would never meet it.
        self._alarm = threading.Timer(_left(self._deadline), _hang_up, (self.sock,))
        self._alarm.daemon = True
        self._alarm.start()

    def request(self, method: str, url: str, *_: object, **__: object) -> None:
        """Send a request with our headers only."""
        default = PORTS["https" if self._context is not None else "http"]
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        self.putheader("Host", name if self.port == default else f"{name}:{self.port}")
        for header, value in HEADERS.items():
            self.putheader(header, value)
        self.endheaders()


def _hang_up(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the page took too long")
    return left


def _page(url: str, answer: http.client.HTTPResponse, deadline: float) -> JsonObject:
    kind = answer.headers.get_content_type()
    if not kind.startswith(TEXT_TYPES):
        raise ToolDeclined(f"The page is {kind[:100]}, which is no text.")
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES and (piece := answer.read1(65_536)):
        body += piece
    _left(deadline)
    charset = answer.headers.get_content_charset() or "utf-8"
    return {
        "url": url,
        "status": answer.status,
        "content_type": kind,
        "text": _decoded(bytes(body[:MAX_BODY_BYTES]), charset),
        "truncated": len(body) > MAX_BODY_BYTES,
    }


def _decoded(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset, "replace")
    except LookupError:
        return body.decode("utf-8", "replace")
