"""Stand-ins for what the fan-out is built upon: a log, a loop, a way out. All by hand, no clock."""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from events.frames import payloads
from events.log import Page
from events.payloads import LlmDelta
from events.types import Committed, Ephemeral, EventData, Scope, draft, ephemeral

WALL = 1_700_000_000.0


class MemoryLog:
    """A log in a list. ``gate`` set to False holds reads back until :meth:`open_gate`."""

    def __init__(self) -> None:
        self.epoch = "e1"
        self.events: list[Committed] = []
        self.floors: dict[str, int] = {}
        self.page_limit = 512
        self.reads: list[tuple[tuple[str, ...], int]] = []
        self.failures = 0
        self._gate = asyncio.Event()
        self._gate.set()

    @property
    def head(self) -> int:
        """The last offset."""
        return len(self.events)

    def close_gate(self) -> None:
        """Hold reads back."""
        self._gate.clear()

    def open_gate(self) -> None:
        """Let reads go on."""
        self._gate.set()

    def commit(self, data: EventData, scope: Scope) -> Committed:
        """Append an event."""
        offset = self.head + 1
        body = draft(data, scope, WALL).body(offset)
        event = Committed(offset, data.TYPE, scope, body)
        self.events.append(event)
        return event

    async def read(self, topics: Sequence[str], after: int, upto: int, limit: int = 512) -> Page:
        """Read a page."""
        self.reads.append((tuple(topics), after))
        await self._gate.wait()
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is tired")
        limit = min(limit, self.page_limit)
        wanted = set(topics)
        found: list[Committed] = []
        for event in self.events[after:upto]:
            if wanted.intersection(event.scope.topics):
                found.append(event)
                if len(found) == limit:
                    return Page(tuple(found), event.offset)
        return Page(tuple(found), upto)

    async def floor(self, topics: Sequence[str]) -> int:
        """Return the configured floor."""
        await self._gate.wait()
        return max((self.floors.get(topic, 0) for topic in topics), default=0)


class HandTurns:
    """A loop that turns when told to, with a clock that stands still."""

    def __init__(self) -> None:
        self.time = 100.0
        self.step_s = 0.0
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self.coroutines: list[Coroutine[object, object, None]] = []

    def now(self) -> float:
        """Return the time; each look at the clock takes ``step_s``."""
        self.time += self.step_s
        return self.time

    def soon(self, callback: Callable[[], None]) -> None:
        """Queue for the next turn."""
        self._soon.append(callback)

    def later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Queue for a time."""
        heapq.heappush(self._later, (self.time + delay_s, next(self._serial), callback))

    def spawn(self, coroutine: Coroutine[object, object, None]) -> None:
        """Run a coroutine as far as it goes; it is stepped again in each turn."""
        self.coroutines.append(coroutine)
        self._soon.append(self._step)

    async def close(self) -> None:
        """Close what still runs."""
        for coroutine in self.coroutines:
            coroutine.close()

    def turn(self) -> None:
        """Make one turn of the loop."""
        due, self._soon = self._soon, deque()
        for callback in due:
            callback()

    def run(self, turns: int = 10_000) -> None:
        """Turn until nothing is left to do."""
        for _ in range(turns):
            if not self._soon:
                return
            self.turn()
        raise AssertionError("the loop never comes to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what it brings."""
        until = self.time + seconds
        while self._later and self._later[0][0] <= until:
            self.time, _, callback = heapq.heappop(self._later)
            callback()
            self.run()
        self.time = until
        self.run()

    def _step(self) -> None:
        # Reads of the memory log end at once or wait for a gate; this loop knows no more.
        for coroutine in list(self.coroutines):
            try:
                coroutine.send(None)
            except StopIteration:
                self.coroutines.remove(coroutine)


class Sink:
    """A way out that keeps all it was given. ``room`` None takes everything at once."""

    def __init__(self) -> None:
        self.taken = bytearray()
        self.waiting = bytearray()
        self.writes = 0
        self.room: int | None = None
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.on_stuck: Callable[[], None] = lambda: None
        self.on_drained: Callable[[], None] = lambda: None

    def write(self, frames: bytes) -> None:
        """Take frames; as a transport does, say when some have to wait."""
        assert self.closed is None
        assert not self.aborted
        self.writes += 1
        was_empty = not self.waiting
        self.waiting += frames
        self._move()
        if was_empty and self.waiting:
            self.on_stuck()

    def buffered(self) -> int:
        """Return what waits."""
        return len(self.waiting)

    def close(self, code: int, reason: str) -> None:
        """Note the close."""
        self.closed = (code, reason)

    def abort(self) -> None:
        """Note the abort."""
        self.aborted = True

    def drain(self, size: int | None = None) -> None:
        """Let the client read: ``size`` bytes of room, None for endless room."""
        if not self.waiting:
            self.room = size
            return
        self.room = size
        self._move()
        if not self.waiting:
            self.on_drained()

    def _move(self) -> None:
        size = len(self.waiting) if self.room is None else min(self.room, len(self.waiting))
        self.taken += self.waiting[:size]
        del self.waiting[:size]
        if self.room is not None:
            self.room -= size

    def messages(self) -> list[dict[str, Any]]:
        """Return all text messages taken, decoded."""
        return [msgspec.json.decode(body) for text, body in payloads(bytes(self.taken)) if text]

    def events(self) -> list[dict[str, Any]]:
        """Return the events taken."""
        return [one["params"] for one in self.messages() if one.get("method") == "event"]

    def offsets(self) -> list[int]:
        """Return the offsets of the durable events taken, in order."""
        return [one["offset"] for one in self.events() if "offset" in one]


def scope_of(
    session: str = "s1",
    user: str = "u1",
    mission: str | None = None,
    *,
    parent: str | None = None,
    agent: str | None = None,
    priority: str | None = None,
) -> Scope:
    """Return a scope in few words."""
    lineage = tuple(one for one in (parent, mission) if one is not None)
    return Scope(session, user, lineage, agent, priority)


def delta(scope: Scope, at: int, text: str, step: str | None = "1", attempt: int = 1) -> Ephemeral:
    """Return an ``llm.delta``."""
    return ephemeral(LlmDelta(step=step, attempt=attempt, at=at, text=text), scope, WALL)
