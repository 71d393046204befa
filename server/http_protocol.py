"""uvicorn's HTTP protocol with two bounds that it lacks: on the size and the age of a head.

httptools takes a head of any size, and a head that never ends is waited for for ever; both are
ways to hold a server's memory and sockets for nothing. And uvicorn forgets what a client sends
right behind an upgrade.
"""

import asyncio
import sys
from typing import Any, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.errors import new_request_id

MAX_HEAD_BYTES = 16 * 1024
HEAD_TIMEOUT_S = 10.0


class _HeadTooLarge(Exception):
    """Raised into the parser to stop it."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses a head over 16 KiB with 431, and closes when a head takes over 10 s."""

    _head_open = False
    _head_bytes = 0
    _unparsed_bytes = 0
    _data = b""
    _too_large = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for the first request's head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, counting what belongs to a head that has no end yet."""
        was_open = self._head_open
        self._data = data
        super().data_received(data)
        self._data = b""
        if not (was_open and self._head_open) or self._too_large:
            self._unparsed_bytes = 0
            return
        # The parser hands a header over when it is complete, so one endless header shows only here.
        self._unparsed_bytes += len(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._too_large = True
            self.send_400_response("")

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, and with it what came behind the head in the same piece.

        A client should wait for the answer. But frames that vanished would have it wait for ever,
        and the rest of a frame whose beginning vanished would be read as another.
        """
        met = sys.exc_info()[1]
        rest = self._data[met.args[0] :] if isinstance(met, httptools.HttpParserUpgrade) else b""
        super().handle_websocket_upgrade()
        if rest and not self.transport.is_closing():
            cast("asyncio.Protocol", self.transport.get_protocol()).data_received(rest)

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        self._head_open = True
        self._head_bytes = 0
        if self._head_timer is None:
            self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there: stop the timer."""
        self._head_open = False
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Answer what is not HTTP, or has too large a head, in the form of all our errors."""
        status, code, detail = (
            (431, "too_large", f"A request's head has at most {MAX_HEAD_BYTES} bytes.")
            if self._too_large
            else (400, "invalid_request", "This is not an HTTP request.")
        )
        self.transport.write(_refusal(status, code, detail))
        self.transport.close()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._too_large = True
            raise _HeadTooLarge

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        # abort, not close: close would wait for the peer to read what is left to send.
        self.transport.abort()


_TITLES = {400: "Bad Request", 431: "Request Header Fields Too Large"}


def _refusal(status: int, code: str, detail: str) -> bytes:
    request_id = new_request_id()
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": _TITLES[status],
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
    content = msgspec.json.encode(body)
    head = (
        f"HTTP/1.1 {status} {_TITLES[status]}\r\n"
        "content-type: application/problem+json\r\n"
        f"x-request-id: {request_id}\r\n"
        f"content-length: {len(content)}\r\n"
        "x-content-type-options: nosniff\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode() + content
