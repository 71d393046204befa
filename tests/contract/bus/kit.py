"""Nodes over one log and one Redis, in one process: what each of their hubs is told."""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import msgspec

from events.bus import Bus, Receiver
from events.bus_ports import BusPorts
from events.bus_redis import RedisBus
from events.payloads import StepStarted
from events.sequence import PATIENCE_S
from events.types import Committed, Ephemeral, Scope
from tests.rig import waiting
from tests.unit.events.fakes import MemoryLog, scope_of

M1 = scope_of(mission="m1")
WITHIN_S = 40.0
"""However busy the machine is, it comes about within so long."""

_tokens = itertools.count(1)
_texts = itertools.count(1)


until = partial(waiting.until, within_s=WITHIN_S)


async def at_once(_: float) -> None:
    """Await no replies: there are no calls."""


class Ear:
    """A receiver that notes everything in order: offsets, texts, and replies."""

    def __init__(self) -> None:
        self.heard: list[int | bytes] = []
        self.events: list[Committed] = []

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Note a unit."""
        self.events += events
        self.heard += [each.offset for each in events]
        for each in after:
            self.publish_ephemeral(each)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Note an ephemeral event."""
        self.heard.append(event.body)

    def on_reply(self, call: str, body: bytes) -> None:
        """Note a reply."""
        self.heard.append(call.encode() + b"=" + body)

    def shown(self) -> dict[str, str]:
        """Return the text that a client shows of each mission, of one stream each."""
        shown: dict[str, str] = {}
        for body in self.heard:
            if isinstance(body, bytes):
                params = msgspec.json.decode(body)["params"]
                text = shown.get(params["mission_id"], "")[: params["data"]["at"]]
                shown[params["mission_id"]] = text + params["data"]["text"]
        return shown

    @property
    def offsets(self) -> list[int]:
        """The offsets alone."""
        return [each.offset for each in self.events]


class SharedLog(MemoryLog):
    """The log of all nodes; its epoch names the channel, so that no two tests share one."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch = secrets.token_hex(8)

    def unit(self, size: int = 1, scope: Scope = M1, padding: int = 0) -> list[Committed]:
        """Commit a unit."""
        name = "x" * (padding or 1)
        started = StepStarted(step="1", kind="llm", name=name, input=None, attempt=1)
        return [self.commit(started, scope) for _ in range(size)]


def delta(scope: Scope = M1) -> Ephemeral:
    """Make an ephemeral event that is like no other, and of no stream: it is never made up for."""
    return Ephemeral("said", scope, b"said %d" % next(_texts))


@dataclass(slots=True)
class Node:
    """One of several: its bus, and what its hub hears."""

    bus: Bus
    log: SharedLog
    ear: Ear

    def commit(self, size: int = 1, after: Sequence[Ephemeral] = (), padding: int = 0) -> None:
        """Commit a unit and hand it to the bus."""
        self.bus.send(self.log.unit(size, padding=padding), after)


@dataclass(slots=True)
class Cluster:
    """Nodes that share a log and a Redis.

    ``patience_s`` is for a machine on which a message may take its time: what is tested is not
    what the log is read for.
    """

    url: str
    log: SharedLog = field(default_factory=SharedLog)
    buses: list[RedisBus] = field(default_factory=list)
    patience_s: float = PATIENCE_S
    replied: Callable[[float], Awaitable[None]] = at_once
    own_from: int | None = None

    async def node(
        self,
        url: str | None = None,
        *,
        connected: bool = True,
        receiver: Receiver | None = None,
        wants: Sequence[str] = ("system",),
    ) -> Node:
        """Start a node whose clients want the text of some topics; the others know it, then."""
        token, ear = next(_tokens), Ear()
        ports = BusPorts(
            log=self.log,
            head=lambda: self.log.head,
            on_reply=ear.on_reply,
            replied=self.replied,
            own_from=lambda: self.own_from,
        )
        bus = RedisBus(
            url or self.url,
            token=token,
            receiver=receiver or ear,
            seen=self.log.head,
            ports=ports,
            patience_s=self.patience_s,
        )
        self.buses.append(bus)
        for topic in wants:
            bus.routes.joins(topic)
        await bus.start()
        if connected:
            await until(lambda: bus.connected)
            await until(self.acquainted)
        return Node(bus, self.log, ear)

    def acquainted(self) -> bool:
        """Whether each node is there, and knows what every other one wants."""
        return acquainted(self.buses)

    @property
    def token(self) -> int:
        """The token of the last node."""
        return self.buses[-1]._token

    async def close(self) -> None:
        """Close all nodes."""
        await asyncio.gather(*(bus.close() for bus in self.buses))


def acquainted(buses: Sequence[RedisBus]) -> bool:
    """Whether each is connected, and knows what every other one wants."""
    return all(bus.connected for bus in buses) and all(
        set(other.routes._peers.topics_of(one._token)) == set(one.routes._own._told)
        for one in buses
        for other in buses
        if one is not other
    )


class Hole:
    """A stretch of network in front of a Redis, in which everything can vanish.

    Attributes:
        swallows: bytes of every connection that is there vanish both ways, and nobody is told.
        accepted: connections made so far.
    """

    def __init__(self, port: int) -> None:
        self.accepted = 0
        self._swallowed: set[asyncio.StreamWriter] = set()
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()

    def swallow(self) -> None:
        """From now on whatever the connections that are there carry is lost."""
        self._swallowed.update(self._writers)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.get_running_loop().create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                if sink not in self._swallowed:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass  # one end is gone, and so is this
        if sink not in self._swallowed:
            sink.transport.abort()
