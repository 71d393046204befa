"""A stretch of network in front of a server: each connection is a task that carries both ways."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Self, TypeAlias

Streams: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
"""The two directions of a connection."""


class Forwarder:
    """Listens on loopback, and opens a connection to the server for each that comes.

    What becomes of their bytes is for those who derive from it to say.
    """

    def __init__(self) -> None:
        self._links: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self.lose_all()
        await asyncio.gather(*self._links, return_exceptions=True)

    def lose_all(self) -> None:
        """Break all connections, with whatever is on its way."""
        for link in self._links:
            link.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._links.add(link)
        link.add_done_callback(self._links.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            far = await self._dial()
            writers.append(far[1])
            async with asyncio.TaskGroup() as both:
                for way in self._ways((reader, writer), far):
                    both.create_task(way)
        except* OSError:
            pass  # one of them is gone, or there is no server
        finally:
            for each in writers:
                each.transport.abort()

    async def _dial(self) -> Streams:
        """Connect to the server; an ``OSError`` ends the client's connection."""
        raise NotImplementedError

    def _ways(self, near: Streams, far: Streams) -> tuple[Coroutine[None, None, None], ...]:
        """Return what carries bytes, each until it raises an ``OSError``; far is the server."""
        raise NotImplementedError
