"""A node of the bus benchmark: a hub without connections behind one bus or the other.

Run as ``python -m tests.benchmarks.bus.node <local | URL of a Redis> <token> <epoch>``. Says
``ready``, then answers ``send <kind> <count> <per_s>`` when all is sent, and ``heard <count>`` when
as much has arrived: with a line of JSON, CPU seconds since the last answer and the instants of
every hundredth. It wants the text of one session; what is sent ``unread`` is another's, save the
last.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Final

import structlog
import uvloop

from events.bus import Bus, LocalBus
from events.bus_ports import BusPorts
from events.bus_redis import RedisBus
from events.hub import Hub
from events.log import Page
from events.payloads import LlmDelta
from events.turns import LoopTurns
from events.types import Committed, Ephemeral, Scope, ephemeral
from tests.benchmarks.fanout.messages import SCOPE, make_event

TICK_S: Final = 0.002
SAMPLE: Final = 100
UNIT: Final = 2
OTHER: Final = Scope("another", SCOPE.user_id, ("another",), SCOPE.agent, SCOPE.priority)


class NoLog:
    """A log that nobody should have to read: a hole would end the benchmark."""

    head = 0

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch

    async def read(self, topics: Sequence[str], after: int, upto: int, limit: int = 512) -> Page:
        """Refuse."""
        raise SystemExit(f"a message was lost: {after} to {upto}")

    async def floor(self, topics: Sequence[str]) -> int:
        """Return that there is everything."""
        return 0


class Counter:
    """Counts what a hub is given, and notes when."""

    def __init__(self, hub: Hub) -> None:
        self.count = 0
        self.instants: list[float] = []
        self._hub = hub

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Pass on."""
        self._hub.publish(events, after)
        for _ in events:
            self._note()

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Pass on."""
        self._hub.publish_ephemeral(event)
        self._note()

    def _note(self) -> None:
        if self.count % SAMPLE == 0:
            self.instants.append(time.monotonic())
        self.count += 1


class Node:
    """A bus, and a hub behind it."""

    def __init__(self, where: str, token: int, epoch: str) -> None:
        log = NoLog(epoch)
        self.counter = Counter(Hub(log, LoopTurns()))
        self.redis: RedisBus | None = None
        if where == "local":
            self.bus: Bus = LocalBus(self.counter)
            return
        ports = BusPorts(log=log, head=lambda: 0, on_reply=lambda call, body: None)
        # A busy machine may take its time: a hole that closes is none.
        self.redis = self.bus = RedisBus(
            where, token=token, receiver=self.counter, seen=0, ports=ports, patience_s=20.0
        )

    async def start(self) -> None:
        """Wait for the bus."""
        if self.redis is not None:
            self.redis.routes.joins(f"session:{SCOPE.session_id}")
            await self.redis.start()
            while not self.redis.connected:
                await asyncio.sleep(0.01)

    async def send(self, kind: str, count: int, per_s: int) -> None:
        """Send at an even pace, in ticks, as many as are due."""
        units, deltas = made(kind, count)
        while self.redis is not None and not self.redis.routes._peers.wanting(SCOPE):
            await asyncio.sleep(0.01)
        began, cpu, sent = time.monotonic(), time.process_time(), 0
        while sent < count:
            due = min(count, int((time.monotonic() - began) * per_s))
            if kind == "durable":
                for at in range(sent // UNIT, due // UNIT):
                    self.bus.send(units[at], ())
                sent = due // UNIT * UNIT
            else:
                for each in deltas[sent:due]:
                    self.bus.send_ephemeral(each)
                sent = due
            await asyncio.sleep(TICK_S)
        if self.redis is not None:
            await self.redis._speaker.idle()
        self.answer(time.process_time() - cpu)

    async def heard(self, count: int) -> None:
        """Wait for what others sent."""
        cpu = time.process_time()
        while self.counter.count < count:
            await asyncio.sleep(TICK_S)
        self.answer(time.process_time() - cpu)

    def answer(self, cpu_s: float) -> None:
        """Say what it took."""
        said = {"cpu_s": cpu_s, "instants": self.counter.instants}
        print(json.dumps(said), flush=True)


def made(kind: str, count: int) -> tuple[list[list[Committed]], list[Ephemeral]]:
    """Make what is sent, beforehand."""
    if kind == "durable":
        starts = range(1, count + 1, UNIT)
        return [[make_event(start + n) for n in range(UNIT)] for start in starts], []
    text = LlmDelta(step="3", attempt=1, at=0, text="token ")
    scopes = [OTHER if kind == "unread" else SCOPE] * (count - 1) + [SCOPE]
    return [], [ephemeral(text, scope, 1.7e9) for scope in scopes]


async def main(where: str, token: str, epoch: str) -> None:
    """Serve until standard input ends."""
    node = Node(where, int(token), epoch)
    await node.start()
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        match line.split():
            case ["send", kind, count, per_s]:
                await node.send(kind, int(count), int(per_s))
            case ["heard", count]:
                await node.heard(int(count))
            case _:
                raise SystemExit(f"not understood: {line!r}")


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    uvloop.run(main(*sys.argv[1:]))
