"""A stretch of network between clients and a server that loses connections in every way it can."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Coroutine
from enum import Enum
from random import Random
from urllib.parse import urlsplit

from tests.rig.forwarder import Forwarder, Streams

NO_LINGER = struct.pack("ii", 1, 0)
"""Close at once, with a reset."""


class Fault(Enum):
    """What becomes of a connection."""

    RESET = "both ends are told by a reset"
    CUT_DOWN = "the client is told that no more comes; the server is not"
    CUT_UP = "the server is told that no more comes; the client is not"
    SWALLOWED = "bytes vanish both ways, and nobody is told: half open"
    STALLED = "nothing moves for a while, then a reset"


class Relay(Forwarder):
    """Passes bytes on, late and in odd pieces, until a connection has had its share.

    Args:
        url: of the server.
        random: decides everything.
        share: bytes that a connection gets to its client before its fault, at least and at most.

    Attributes:
        faults: those so far. A connection that its client leaves before is none.
        calm: from now on connections are left alone.
    """

    def __init__(self, url: str, random: Random, share: tuple[int, int] = (200, 30_000)) -> None:
        super().__init__()
        parts = urlsplit(url)
        self._to = (parts.hostname or "", parts.port or 80)
        self._random = random
        self._share = share
        self.faults: Counter[Fault] = Counter()
        self.calm = False

    @property
    def url(self) -> str:
        """Where the server is, over this."""
        return f"http://127.0.0.1:{self.port}"

    async def _dial(self) -> Streams:
        return await asyncio.open_connection(*self._to)

    def _ways(self, near: Streams, far: Streams) -> tuple[Coroutine[None, None, None], ...]:
        (reader, writer), (far_reader, far_writer) = near, far
        hole = asyncio.Event()
        return (
            self._down(far_reader, writer, far_writer, hole),
            self._up(reader, far_writer, hole),
        )

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hole: asyncio.Event
    ) -> None:
        while data := await reader.read(65_536):
            if not hole.is_set():
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError

    async def _down(
        self,
        reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        hole: asyncio.Event,
    ) -> None:
        left = self._random.randint(*self._share)
        while data := await reader.read(self._random.choice((1, 100, 1_000, 65_536))):
            if self._random.random() < 0.05:
                await asyncio.sleep(self._random.uniform(0, 0.01))
            # The last piece ends anywhere: in a head, in a frame, in the middle of a character.
            client.write(data if self.calm else data[:left])
            await client.drain()
            left -= len(data)
            if left <= 0 and not self.calm:
                await self._fail(reader, client, server, hole)
        raise ConnectionResetError

    async def _fail(
        self,
        reader: asyncio.StreamReader,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        hole: asyncio.Event,
    ) -> None:
        fault = self._random.choice(list(Fault))
        self.faults[fault] += 1
        match fault:
            case Fault.CUT_DOWN:
                client.write_eof()
            case Fault.CUT_UP:
                server.write_eof()
            case Fault.SWALLOWED:
                hole.set()
            case Fault.STALLED:
                await asyncio.sleep(self._random.uniform(0, 0.2))
        if fault in {Fault.RESET, Fault.STALLED}:
            for each in (client, server):
                opened: socket.socket = each.get_extra_info("socket")
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
            raise ConnectionResetError
        # What the server still says is lost; whether the client goes, the other task will find.
        while await reader.read(65_536):
            pass
        raise ConnectionResetError
