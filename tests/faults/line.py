"""One `/ws` connection with calls in flight beside the events, over a plain WebSocket client."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.faults.witness import Event
from tests.integration.tower_process import Refused

REPLY_S = 60.0
"""A server that sleeps answers only when another has taken over, and it has woken and ended."""


class Lost(Exception):
    """The connection ended before the reply came: what became of the call is unknown."""


class Line:
    """A connection.

    Args:
        connection: open.
        hear: called with each event and the text of its message, in order.
        sent: called with each method once its request is on its way.
    """

    def __init__(
        self,
        connection: ClientConnection,
        hear: Callable[[Event, str], None],
        sent: Callable[[str], None],
    ) -> None:
        self.connection = connection
        self._hear = hear
        self._sent = sent
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def call(self, method: str, **params: Any) -> Any:
        """Call, and return the result.

        Raises:
            Refused: for an error reply.
            Lost: if the connection ends first.
        """
        number = next(self._ids)
        reply = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        try:
            await self.connection.send(json.dumps(message))
            self._sent(method)
            async with asyncio.timeout(REPLY_S):
                return await reply
        except ConnectionClosed as closed:
            raise Lost from closed
        finally:
            del self._waiting[number]
            if reply.done() and not reply.cancelled():
                reply.exception()

    async def read(self) -> None:
        """Read until the connection ends."""
        try:
            async for text in self.connection:
                assert isinstance(text, str)
                self._take(text)
        except ConnectionClosed:
            pass
        finally:
            for reply in self._waiting.values():
                if not reply.done():
                    reply.set_exception(Lost())

    def _take(self, text: str) -> None:
        message = json.loads(text)
        if message.get("method") == "event":
            self._hear(message["params"], text)
            return
        reply = self._waiting.get(message["id"])
        if reply is None or reply.done():
            return
        if "error" in message:
            reply.set_exception(Refused(message["error"]))
        else:
            reply.set_result(message["result"])
