"""A TCP proxy before a server that breaks connections when told, to see how clients mend."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PIECE_BYTES = 512
"""Small pieces, so that a connection breaks in the middle of things."""


class Proxy:
    """Passes everything on to ``target``, until :meth:`cut`.

    Attributes:
        url: where it listens.
        made: how many connections came.
        after_bytes: break a connection when so many bytes of answers passed; None for never.
    """

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._host, self._port = address.hostname, address.port
        self._ends: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.made = 0
        self.after_bytes: int | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def aim(self, target: str) -> None:
        """Send new connections elsewhere."""
        address = urlsplit(target)
        self._host, self._port = address.hostname, address.port

    def cut(self) -> None:
        """Break every connection, with whatever is on its way."""
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            there_reader, there_writer = await asyncio.open_connection(self._host, self._port)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, there_writer}
        self._ends |= ends
        try:
            await asyncio.gather(
                self._pass(reader, there_writer, None),
                self._pass(there_reader, writer, self.after_bytes),
            )
        finally:
            for end in ends:
                end.transport.abort()
            self._ends -= ends

    @staticmethod
    async def _pass(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                writer.write(piece)
                await writer.drain()
                if most is not None:
                    most -= len(piece)
                    if most <= 0:
                        break
        writer.transport.abort()
