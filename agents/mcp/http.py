"""A link to an MCP server at a URL: the protocol's streamable HTTP, one POST a message.

Source: modelcontextprotocol.io, specification 2025-06-18 (transports). Requests are made by the
standard library in threads; a server of the settings file may be inside, so no address is barred.
"""

import asyncio
import contextlib
import http.client
import itertools
import socket
import threading
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import msgspec

from agents.mcp.link import LinkBroken
from agents.mcp.wire import PROTOCOL_VERSION, decode
from agents.threads import Threads
from control_tower.errors import ToolFailed
from events.payloads import JsonObject

TIMEOUT_S = 60.0
PING_S = 5.0
"""How often a server is asked whether it lives: nothing else would say so between calls."""
MAX_REPLY_BYTES = 8 * 1024 * 1024
_THREADS = Threads("mcp", limit=64)


class HttpLink:
    """Implements :class:`agents.mcp.link.Link`; there is no connection to lose between calls."""

    def __init__(self, name: str, url: str) -> None:
        self._name = name
        try:
            self._parts = urlsplit(url)
            known = self._parts.scheme in ("http", "https") and self._parts.port != 0
        except ValueError:
            known = False
        if not known or not self._parts.hostname:
            raise LinkBroken(f"The address of the MCP server {name} is not one of http or https.")
        self._ids = itertools.count(1)
        self._session: str | None = None
        self._version = PROTOCOL_VERSION
        self._lost = asyncio.Event()

    async def request(self, method: str, params: JsonObject) -> JsonObject:
        """Return the result of a request; see :class:`agents.mcp.link.Link`."""
        number = next(self._ids)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            reply = await _THREADS.run(partial(self._post, message, number))
        except (OSError, http.client.HTTPException) as error:
            self._lost.set()
            said = str(error) or type(error).__name__
            raise LinkBroken(f"The MCP server {self._name} does not answer: {said}") from error
        if reply is None:
            raise LinkBroken(f"The MCP server {self._name} gave no reply.")
        return _result(reply)

    async def notify(self, method: str) -> None:
        """Send a notification."""
        try:
            await _THREADS.run(partial(self._post, {"jsonrpc": "2.0", "method": method}, None))
        except (OSError, http.client.HTTPException) as error:
            raise LinkBroken(f"The MCP server {self._name} does not answer.") from error

    def agreed(self, version: str) -> None:
        """Say this version in each request."""
        self._version = version

    async def until_broken(self) -> None:
        """Return when a request has failed, or the server does not answer, or has forgotten us."""
        while not self._lost.is_set():
            with contextlib.suppress(TimeoutError):
                # Not wait_for, which loses a cancellation that comes with what it waits for.
                async with asyncio.timeout(PING_S):
                    await self._lost.wait()
                return
            with contextlib.suppress(ToolFailed):  # a server without ping is alive all the same
                await self.request("ping", {})

    async def close(self) -> None:
        """Do nothing: the server forgets us in its own time."""
        self._lost.set()

    def _post(self, message: JsonObject, number: int | None) -> JsonObject | None:
        """Send a message; return the reply to request ``number``. Blocks."""
        parts = self._parts
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.connect()
        # A time-out of a socket is that of one read: who drips would hold the thread for ever.
        alarm = threading.Timer(TIMEOUT_S, _hang_up, (connection.sock,))
        alarm.daemon = True
        alarm.start()
        try:
            connection.request("POST", target, msgspec.json.encode(message), self._headers())
            with contextlib.closing(connection.getresponse()) as answer:
                return self._reply(answer, number)
        finally:
            alarm.cancel()
            connection.close()

    def _reply(self, answer: http.client.HTTPResponse, number: int | None) -> JsonObject | None:
        if answer.status == 404 and self._session is not None:
            raise ConnectionError("it has forgotten our session")
        if answer.status >= 500:
            raise ConnectionError(f"HTTP {answer.status}")
        if answer.status >= 400:
            # It refuses what was asked, not us: what others ask of it goes on.
            raise ToolFailed(f"The MCP server {self._name} refused: HTTP {answer.status}.")
        self._session = answer.headers.get("Mcp-Session-Id", self._session)
        for body in _messages(answer):
            if number is not None and body.get("id") == number and "method" not in body:
                return body
        return None

    def _headers(self) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": self._version,
        }
        if self._session is not None:
            headers["Mcp-Session-Id"] = self._session
        return headers


def _hang_up(connected: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _messages(answer: http.client.HTTPResponse) -> Iterator[JsonObject]:
    """Yield the messages of a reply, which is one JSON text or a stream of events."""
    if answer.headers.get_content_type() != "text/event-stream":
        message = decode(answer.read(MAX_REPLY_BYTES))
        if message is not None:
            yield message
        return
    data, size = b"", 0
    while (line := answer.readline(MAX_REPLY_BYTES)) and size < MAX_REPLY_BYTES:
        size += len(line)
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data += line[5:].strip() + b"\n"
        elif not line and data:
            message = decode(data)
            data = b""
            if message is not None:
                yield message


def _result(reply: JsonObject) -> JsonObject:
    """Return the result of a reply.

    Raises:
        ToolFailed: when it is an error.
    """
    result, error = reply.get("result"), reply.get("error")
    if isinstance(result, dict):
        return result
    said = error.get("message") if isinstance(error, dict) else None
    raise ToolFailed(f"The MCP server refused: {said or 'no reason'}")
