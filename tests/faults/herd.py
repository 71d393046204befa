"""Thousands of connections in one process, as light as can be, that check each event they get.

A member subscribes to everything, so that what it must get next is always one more than the last.
"""

import asyncio
import json
import struct
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HEAD = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
EVENT = b'{"jsonrpc":"2.0","method":"event","params":{"offset":'
PONG = b"\x8a\x80\x00\x00\x00\x00"
AT_ONCE = 500
"""Connects on their way: a storm, and not yet a test of the kernel's backlog."""


def masked(text: bytes) -> bytes:
    """Return a client's text frame, under a mask of zeros."""
    size = len(text)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + struct.pack("!H", size)
    return head + b"\x00\x00\x00\x00" + text


class Member(asyncio.Protocol):
    """One client over all of its connections.

    Attributes:
        last: the offset of the last event that it got.
        wrong: the first thing that was.
        joined: done once the server has answered its subscribe.
    """

    def __init__(self) -> None:
        self.last = 0
        self.wrong: str | None = None
        self.joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self._upgraded = False
        self._buffer = b""

    def drop(self) -> None:
        """Lose the connection."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.joined = asyncio.get_running_loop().create_future()
        self._upgraded, self._buffer = False, b""
        transport.write(HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """It may be made again."""
        self.transport = None
        if not self.joined.done():
            self.joined.set_exception(exc or ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """Take frames; the first thing is the answer to the upgrade."""
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self.wrong = self.wrong or head.decode()
            self._upgraded, self._buffer = True, rest
            self._subscribe()
        self._frames()

    def _subscribe(self) -> None:
        call = {"topics": ["system"], "since": self.last, "deltas": False}
        request = {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": call}
        assert self.transport is not None
        self.transport.write(masked(json.dumps(request).encode()))

    def _frames(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) >= at + 2:
            size, body = buffer[at + 1], at + 2
            if size == 126:
                body += 2
                size = int.from_bytes(buffer[at + 2 : body])
            elif size == 127:
                body += 8
                size = int.from_bytes(buffer[at + 2 : body])
            if len(buffer) < body + size:
                break
            self._frame(buffer[at] & 15, buffer[body : body + size])
            at = body + size
        self._buffer = buffer[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if payload.startswith(EVENT):
            offset = int(payload[len(EVENT) : payload.index(b",", len(EVENT))])
            if offset != self.last + 1:
                self.wrong = self.wrong or f"{offset} came after {self.last}"
            self.last = offset
        elif opcode == 9 and self.transport is not None:
            self.transport.write(PONG)
        elif opcode == 1 and not self.joined.done():
            if b'"recovered":true' not in payload:
                self.wrong = self.wrong or payload.decode()
            self.joined.set_result(None)


class Herd:
    """All of them."""

    def __init__(self, url: str, count: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self.members = [Member() for _ in range(count)]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()
        while any(member.transport is not None for member in self.members):
            await asyncio.sleep(0)

    async def join(self) -> None:
        """Connect them all at once, each from where it had got to; those refused try again."""
        room = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*[self._join(member, room) for member in self.members])

    def drop(self) -> None:
        """Lose all connections in one step."""
        for member in self.members:
            member.drop()

    async def reach(self, head: int) -> None:
        """Wait until every one has got so far."""
        while any(member.last < head for member in self.members):
            assert not self.wrong, self.wrong[:3]
            await asyncio.sleep(0.02)

    @property
    def wrong(self) -> Sequence[str]:
        """What must not have been."""
        return [member.wrong for member in self.members if member.wrong is not None]

    async def _join(self, member: Member, room: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with room:
                try:
                    await loop.create_connection(lambda: member, self._host, self._port)
                    await member.joined
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    return
