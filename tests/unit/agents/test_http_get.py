"""http.get: off by default, and to nowhere that only the server can reach."""

import contextlib
import dataclasses
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agents.defaults import builtin_registry
from agents.errors import RegistrationError, ToolDeclined, ToolFailed
from agents.registry import Registry
from agents.tools.http_get import MAX_BODY_BYTES, Fetcher, enable
from agents.tools.public_address import is_public

PAGES: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/": (200, {"Content-Type": "text/html; charset=utf-8"}, "<p>hé</p>".encode()),
    "/latin": (200, {"Content-Type": "text/plain; charset=latin-1"}, "hé".encode("latin-1")),
    "/odd": (200, {"Content-Type": "text/plain; charset=nonsense"}, b"ok"),
    "/big": (200, {"Content-Type": "text/plain"}, b"x" * (MAX_BODY_BYTES + 5)),
    "/image": (200, {"Content-Type": "image/png"}, b"\x89PNG"),
    "/missing": (404, {"Content-Type": "application/json"}, b"{}"),
    "/there": (302, {"Location": "/?q=1"}, b""),
    "/round": (302, {"Location": "/round"}, b""),
    "/inside": (301, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
    "/file": (301, {"Location": "file:///etc/passwd"}, b""),
}


class Pages(BaseHTTPRequestHandler):
    """Serves :data:`PAGES` and notes what it was asked."""

    asked: list[tuple[str, dict[str, str]]] = []

    enough = threading.Event()

    def do_GET(self) -> None:
        """Answer."""
        Pages.asked.append((self.path, dict(self.headers.items())))
        if self.path.startswith("/drip"):
            self.drip(self.path == "/drip-head")
            return
        status, headers, body = PAGES[self.path.split("?")[0]]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def drip(self, head: bool) -> None:
        """Send a byte now and then until the client has had enough."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")
        self.wfile.write(b"X: " if head else b"Content-Length: 1000\r\n\r\n")
        with contextlib.suppress(OSError):
            while not Pages.enough.wait(0.02):
                self.wfile.write(b"x")

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@contextmanager
def served() -> Iterator[int]:
    """Serve the pages on loopback; give the port."""
    Pages.asked.clear()
    Pages.enough.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def local(port: int) -> Fetcher:
    """Return a fetcher for which the test's server is a public host called site.test."""
    return Fetcher(
        (f"site.test:{port}",),
        resolve=lambda host, port: ["127.0.0.1" if host == "site.test" else "10.0.0.1"],
        public=lambda address: address == "127.0.0.1",
    )


def test_a_page_is_read() -> None:
    """With status, type and text; the host is named, and nothing of ours is sent."""
    with served() as port:
        page = local(port).get(f"http://site.test:{port}/?a=b#part")
    assert page == {
        "url": f"http://site.test:{port}/?a=b#part",
        "status": 200,
        "content_type": "text/html",
        "text": "<p>hé</p>",
        "truncated": False,
    }
    path, headers = Pages.asked[0]
    assert path == "/?a=b"
    assert headers["Host"] == f"site.test:{port}"
    assert not {"Cookie", "Authorization"} & headers.keys()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/latin", {"text": "hé"}),
        ("/odd", {"text": "ok"}),
        ("/missing", {"status": 404, "text": "{}"}),
        ("/big", {"truncated": True}),
        ("/there", {"status": 200, "text": "<p>hé</p>"}),
    ],
)
def test_pages_are_bounded_decoded_and_followed(path: str, expected: dict[str, Any]) -> None:
    """An error's page is an answer, too."""
    with served() as port:
        page = local(port).get(f"http://site.test:{port}{path}")
    assert page | expected == page
    assert len(page["text"]) <= MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/image", "image/png, which is no text"),
        ("/round", "redirects more than 5 times"),
        ("/inside", "not one of the hosts"),
        ("/file", "must begin with http"),
    ],
)
def test_what_may_not_be_read_is_declined_on_the_way_too(path: str, said: str) -> None:
    """Each redirect is checked as the first address was."""
    with served() as port, pytest.raises(ToolDeclined, match=said):
        local(port).get(f"http://site.test:{port}{path}")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://",
        "//example.org",
        "http://user:secret@example.org/",
        "http://example.org:99999/",
        "http://example.org:22/",
        "http://example.org/a b",
        "http://example.org/\r\nX: y",
        "http://éxample.org/",
        "http://[::1",
        "http://evil-example.org/",
        "http://example.org.evil.net/",
        "http://127.0.0.1/",
        "http://example.org/" + "x" * 2_000,
    ],
)
def test_addresses_that_may_not_be_read(url: str) -> None:
    """Nothing is resolved for them."""

    def resolve(host: str, port: int) -> list[str]:
        raise AssertionError("resolved")

    with pytest.raises(ToolDeclined):
        Fetcher(("example.org", "*.example.com"), resolve=resolve).get(url)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("example.org", True),
        ("sub.example.com", True),
        ("example.com", False),
        ("sub.example.org", False),
    ],
)
def test_the_list_is_of_hosts_and_of_subdomains(host: str, allowed: bool) -> None:
    """A star stands for one or more names before the dot."""
    fetcher = Fetcher(("example.org", "*.example.com"), resolve=lambda host, port: ["10.0.0.1"])
    with pytest.raises(ToolDeclined, match="not a public host" if allowed else "not one of"):
        fetcher.get(f"http://{host}/")


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], []],
)
def test_a_public_name_of_a_private_address_is_declined(addresses: list[str]) -> None:
    """One bad address among several is enough."""
    fetcher = Fetcher(("*",), resolve=lambda host, port: addresses)
    with pytest.raises(ToolDeclined, match="not a public host"):
        fetcher.get("https://example.org/")


def test_a_name_is_resolved_once() -> None:
    """So that it cannot mean another address by the time of the connection."""
    resolved: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"] if len(resolved) == 1 else ["10.0.0.1"]

    with served() as port:
        fetcher = Fetcher((f"site.test:{port}",), resolve=resolve, public=lambda _: True)
        assert fetcher.get(f"http://site.test:{port}/")["status"] == 200
    assert resolved == ["site.test"]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "localhost",
        "",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    """Also those that hide one inside."""
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address: str) -> None:
    """Both families."""
    assert is_public(address)


def test_a_page_that_drips_is_given_up() -> None:
    """The bound is on the whole, not on each read: in the head, and in the body."""
    for path in ("/drip-head", "/drip-body"):
        with served() as port:
            fetcher = dataclasses.replace(local(port), timeout_s=0.2)
            with pytest.raises((TimeoutError, http.client.HTTPException, OSError)):
                fetcher.get(f"http://site.test:{port}{path}")
            Pages.enough.set()


def test_it_is_off_until_hosts_are_named() -> None:
    """There is no way to turn it on without saying for what."""
    assert "http.get" not in builtin_registry().tools
    anything: Any = "example.org"
    for allow in ([], [" "], anything):
        with pytest.raises(RegistrationError, match="needs hosts"):
            enable(allow, Registry())


async def test_enabled_it_is_a_tool(
    registry: Registry, make_ctx: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It declines what is not public even where every host is allowed."""
    enable(["*"], registry)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("::1", 1))])
    with pytest.raises(ToolFailed, match="not a public host"):
        await make_ctx("x").tool("http.get", url="https://localhost/")
