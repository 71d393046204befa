"""Retention: what was said and done long ago leaves the log by itself.

A round looks for what is old enough and hands it to the store in bounded pieces, one after another,
with a pause after each that is longer the busier the writer is: so others' commits meet at most one
piece, and a round takes at most a part of the writer's time. Nothing is remembered between pieces,
and each leaves a consistent log; a kill costs nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from control_tower.committing import Committer, committed
from control_tower.ports import Clock
from control_tower.unit import Tend, Unit, UnitRefused

DAY_S = 86_400.0
FIRST_S = 60.0
"""After the start, when there is more urgent work."""

EVERY_S = 3600.0
LEAST_PAUSE_S = 0.01
PAUSE_FACTOR = 4.0
"""A pause is so many times as long as the piece before it took, with its wait for the writer."""

log = structlog.get_logger(__name__)


class Place(Protocol):
    """Where a walk over rows has got to."""

    @property
    def last(self) -> tuple[int, str] | None:
        """The last row looked at; None at the end."""

    @property
    def piece(self) -> Tend | None:
        """What is to be removed of the rows looked at, if anything is."""


class AgingStore(Committer, Protocol):
    """What retention needs of the store."""

    async def newest_before(self, instant: float) -> int:
        """Return the last offset whose event is older; 0 if none is."""

    async def lines(self, after: int, upto: int) -> tuple[list[int], int | None]:
        """Return lines with events behind ``after``, and where to go on; None: that was all."""

    async def limit_of(self, line: int, upto: int, instant: float) -> int:
        """Return how far a line may be cut: before any mission not over at ``instant``."""

    async def cut(self, line: int, upto: int) -> Tend | None:
        """Return the removal of a line's oldest events; None if there are none left."""

    async def old_tool_calls(self, instant: float) -> Tend | None:
        """Return the removal of the oldest tool calls; None if none is old enough."""

    async def old_steps(self, after: int, upto: int, instant: float) -> Place:
        """Return the removal of steps behind ``after`` whose missions were over."""

    async def old_keys(self, after: tuple[int, str], instant: float) -> Place:
        """Return the removal of idempotency keys behind ``after``."""


@dataclass(slots=True, frozen=True)
class Kept:
    """How long things are kept after their mission ended, in seconds."""

    events_s: float
    keys_s: float


def _always() -> bool:
    """Return that it is our turn: nobody else has this store."""
    return True


class Retention:
    """Removes what is old.

    Args:
        pause: sleeps; a test's may note and not wait.
        turn: returns whether the next round is ours, where several have one store.
    """

    def __init__(
        self,
        store: AgingStore,
        clock: Clock,
        kept: Kept,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        turn: Callable[[], bool] = _always,
    ) -> None:
        self._store = store
        self._clock = clock
        self._kept = kept
        self._pause = pause
        self._turn = turn

    async def run(self) -> None:
        """Make rounds until cancelled. A round that fails is made again at the next turn."""
        await self._pause(FIRST_S)
        while True:
            try:
                if self._turn():
                    await self.round()
            except UnitRefused as error:
                log.warning("retention.refused", error=str(error))
            except Exception:  # a fault of one round must not keep old data for ever
                log.exception("retention.failed")
            await self._pause(EVERY_S)

    async def round(self) -> int:
        """Remove all that is old now; return how many pieces that took.

        Raises:
            UnitRefused: when the store does not take a piece; what went before is gone.
        """
        now = self._clock.now()
        old = now - self._kept.events_s
        upto = await self._store.newest_before(old)
        pieces = await self._cut_lines(upto, old)
        pieces += await self._drop_steps(upto, old)
        pieces += await self._drop_keys(now - self._kept.keys_s)
        if pieces:
            log.info("retention.round", pieces=pieces, seconds=round(self._clock.now() - now, 3))
        return pieces

    async def _cut_lines(self, upto: int, old: float) -> int:
        pieces, seen = 0, set[int]()
        after: int | None = 0
        while after is not None:
            lines, after = await self._store.lines(after, upto)
            for line in lines:
                if line not in seen:
                    seen.add(line)
                    pieces += await self._cut_line(line, upto, old)
        return pieces

    async def _cut_line(self, line: int, upto: int, old: float) -> int:
        pieces = 0
        limit = await self._store.limit_of(line, upto, old)
        while (piece := await self._store.cut(line, limit)) is not None:
            await self._remove(piece)
            pieces += 1
        return pieces

    async def _drop_steps(self, upto: int, old: float) -> int:
        pieces = 0
        while (piece := await self._store.old_tool_calls(old)) is not None:
            await self._remove(piece)
            pieces += 1
        after = 0
        while True:
            place = await self._store.old_steps(after, upto, old)
            if place.piece is not None:
                await self._remove(place.piece)
                pieces += 1
            if place.last is None:
                return pieces
            after = place.last[0]

    async def _drop_keys(self, old: float) -> int:
        pieces = 0
        after = (-1, "")
        while True:
            place = await self._store.old_keys(after, old)
            if place.piece is not None:
                await self._remove(place.piece)
                pieces += 1
            if place.last is None:
                return pieces
            after = place.last

    async def _remove(self, piece: Tend) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await committed(self._store, Unit(writes=[piece]))
        await self._pause(max(LEAST_PAUSE_S, PAUSE_FACTOR * (loop.time() - began)))
