"""A subscription: an async iterator over events that survives drops and restarts."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from events.payloads import JsonObject
from server.client.ends import Ends
from server.client.errors import CLOSED, ClientError
from server.client.feed import Feed
from server.client.line import Closed, Line, abandon, ask, receive
from server.client.messages import Event, Gap, Incoming, encode

IDLE_S: Final = 25.0
"""So long without a message, and the server is asked up to where all was written."""

Item: TypeAlias = Event | Gap


class Subscription:
    """Made by :meth:`server.client.Client.subscribe`; see there.

    It has a connection of its own, and reads from it only as far as it is iterated. So a slow loop
    costs a few messages of memory here and the server's byte bound there. If the server loses
    patience with it, it resumes from the last event that it gave, as after any other drop.

    One task at a time may iterate. Cancelling an iteration loses nothing.
    """

    def __init__(
        self,
        feed: Feed,
        line: Line,
        ends: Ends | None,
        on_close: Callable[["Subscription"], None],
    ) -> None:
        self._on_close = on_close
        self._feed = feed
        self._line = line
        self._ends = ends
        self._socket: ClientConnection | None = None
        self._gaps: deque[Gap] = deque()
        self._last_id = 0
        self._closed = False
        self._attaching: asyncio.Timeout | None = None
        self._given = feed.offset

    @property
    def offset(self) -> int | None:
        """What to pass as ``since`` to go on behind the last item; None before it is attached."""
        return self._feed.offset if not self._gaps else self._given

    @property
    def epoch(self) -> str | None:
        """What to pass as ``epoch`` beside :attr:`offset`."""
        return self._feed.epoch

    @property
    def replaying(self) -> bool:
        """Whether older events are still coming."""
        return self._feed.replaying

    @property
    def snapshot(self) -> JsonObject:
        """The topics' active missions as of the last time that it was attached."""
        return self._feed.snapshot

    async def __aenter__(self) -> Self:
        """Attach: every event from here on will come.

        Raises:
            ClientError: if the server can't be reached or refuses.
        """
        try:
            await self._attached()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let it go; an iteration that waits ends."""
        was_closed, self._closed = self._closed, True
        self._on_close(self)
        self._line.end(ClientError(CLOSED, "The subscription is closed."))
        if self._attaching is not None and not was_closed:
            self._attaching.reschedule(asyncio.get_running_loop().time())
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        """Return the next event, or the gap that stands before it.

        Raises:
            ClientError: if it can't go on, as when a topic is gone or the token was revoked.
        """
        try:
            item = await self._item()
        except ClientError:
            if self._closed:
                raise StopAsyncIteration from None
            raise
        if item is None:
            raise StopAsyncIteration
        return item

    async def _item(self) -> Item | None:
        """Return the next item; None when nothing more can come."""
        while True:
            socket = await self._attached()
            if self._gaps:
                return self._noted(self._gaps.popleft())
            if self._ends is not None and self._ends.over:
                return None
            try:
                item = self._take(await self._next(socket))
            except Closed as closed:
                self._socket = None
                self._line.lost(closed)
            else:
                if item is not None:
                    return self._noted(item)

    def _noted(self, item: Item) -> Item:
        if self._ends is not None:
            self._ends.take(item)
            if item.type == "replay.done":
                self._ends.caught_up(self.snapshot)
        return item

    async def _attached(self) -> ClientConnection:
        """Return a connection on which the topics are subscribed; :meth:`close` cuts it off."""
        if self._socket is not None:
            return self._socket
        try:
            async with asyncio.timeout(None) as self._attaching:
                return await self._attach()
        except TimeoutError:
            raise ClientError(CLOSED, "The subscription is closed.") from None
        finally:
            self._attaching = None

    async def _attach(self) -> ClientConnection:
        while self._socket is None:
            socket = await self._line.up()
            try:
                await self._subscribe(socket)
            except Closed as closed:
                self._line.lost(closed)
            except BaseException:
                abandon(socket)
                raise
        return self._socket

    async def _subscribe(self, socket: ClientConnection) -> None:
        self._last_id += 1
        request = self._feed.request(self._line.link.epoch)
        reply = await ask(socket, self._last_id, "subscribe", request, self._line.link)
        self._given = self._feed.offset
        if (gap := self._feed.attached(reply)) is not None:
            self._gaps.append(gap)
        elif self._ends is not None and not self.replaying:
            self._ends.caught_up(self.snapshot)
        self._socket = socket

    async def _next(self, socket: ClientConnection) -> Incoming:
        while True:
            try:
                async with asyncio.timeout(IDLE_S):
                    return await receive(socket)
            except TimeoutError:
                self._last_id += 1
                with contextlib.suppress(ConnectionClosed):  # receiving tells
                    await socket.send(encode(self._last_id, "ping", {}))

    def _take(self, message: Incoming) -> Item | None:
        event = message.params
        if event is None:
            if isinstance(message.result, dict) and "offset" in message.result:
                self._feed.settle(int(message.result["offset"]))
            return None
        self._line.link.heard(event)
        return event if self._feed.take(event) else None
