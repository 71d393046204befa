"""Clients that follow events over a bad network, and resume from the last one that they saw."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from tests.integration.tower_process import TERMINAL, Event

OPEN_S = 10.0
QUIET_S = 0.5
"""A connection on which nothing comes for so long is given up: it may be half open."""

LOST = (OSError, EOFError, TimeoutError, ConnectionClosed, InvalidHandshake, InvalidMessage)


class Tail:
    """One client over all of its connections.

    Args:
        url: of `/ws`.
        params: of subscribe: its topics and filters.
        wants: whether an event of the log is for it.

    Attributes:
        received: offsets of the durable events, in the order in which they came.
        connections: how many it has had.
        wrong: what must not have been.
        head: set once everything has happened: it is done when it has got there.
    """

    def __init__(self, url: str, wants: Callable[[Event], bool], **params: Any) -> None:
        self._url = url
        self._params = params
        self._wants = wants
        self._epoch: str | None = None
        self._texts: dict[str, str] = {}
        self._done = False
        self._asked = False
        self.received: list[int] = []
        self.connections = 0
        self.wrong: list[str] = []
        self.head: int | None = None

    async def follow(self) -> None:
        """Be connected until all of the log is here."""
        while not self._done:
            try:
                await self._attend()
            except LOST:
                await asyncio.sleep(0.01)

    def verdict(self, log: list[Event]) -> Iterator[str]:
        """Hold what came against the log; yield what is wrong."""
        yield from self.wrong
        due = [event["offset"] for event in log if self._wants(event)]
        if self.received == due:
            return
        got = set(self.received)
        lost, twice, more = set(due) - got, len(self.received) - len(got), got - set(due)
        yield (
            f"{self._params}: {len(lost)} lost, {twice} twice, {len(more)} of others, "
            f"in order: {self.received == sorted(self.received)}"
        )

    async def _attend(self) -> None:
        async with asyncio.timeout(OPEN_S):
            connection = await connect(self._url, compression=None, max_size=None, proxy=None)
        self.connections += 1
        self._asked = False
        try:
            since = self.received[-1] if self.received else 0
            known = {} if self._epoch is None else {"epoch": self._epoch}
            await _call(connection, "subscribe", since=since, **known, **self._params)
            while not self._done:
                await self._next(connection)
        finally:
            connection.transport.abort()

    async def _next(self, connection: ClientConnection) -> None:
        try:
            async with asyncio.timeout(QUIET_S):
                text = await connection.recv()
        except TimeoutError:
            if self.head is None or self._asked:
                raise
            self._asked = True
            await _call(connection, "ping")
            return
        self._take(json.loads(text))

    def _take(self, message: dict[str, Any]) -> None:
        if "error" in message:
            self.wrong.append(f"refused: {message['error']}")
            self._done = True
        elif message.get("id") == "subscribe":
            self._resumed(message["result"])
        elif message.get("id") == "ping":
            self._done = self.head is not None and message["result"]["offset"] >= self.head
        else:
            self._hear(message["params"])

    def _resumed(self, reply: dict[str, Any]) -> None:
        if not reply["recovered"] or self._epoch not in {None, reply["epoch"]}:
            self.wrong.append(f"not recovered: {reply}")
        self._epoch = reply["epoch"]

    def _hear(self, event: Event) -> None:
        if "offset" in event:
            self.received.append(event["offset"])
            self._compare(event)
        elif event["type"] == "llm.delta" and event["data"]["step"] is None:
            pid, data = event["mission_id"], event["data"]
            text = self._texts.get(pid, "")
            if data["at"] > len(text):
                self.wrong.append(f"{pid}: a delta at {data['at']} behind {len(text)} characters")
            self._texts[pid] = text[: data["at"]] + data["text"]

    def _compare(self, event: Event) -> None:
        """A mission's text is, as far as it came, what the mission returned."""
        if event["type"] in TERMINAL:
            text = self._texts.pop(event["mission_id"], "")
            if not str(event["data"].get("result")).startswith(text):
                self.wrong.append(f"{event['mission_id']}: streamed {text!r}")


async def _call(connection: ClientConnection, method: str, **params: Any) -> None:
    request = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
    await connection.send(json.dumps(request))
