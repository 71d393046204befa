"""A store whose disk is slow, full, locked, broken, or gone in the middle of a commit.

The same core as the real store's, driven as the real writer drives it: units wait while a group
is written, critical ones outlast a full disk, deliveries come later than commits, in order.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from control_tower.store.core import Core, Outcome
from control_tower.store.database import SqliteDatabase
from control_tower.store.delivery import Delivery
from control_tower.store.reading import Reading
from control_tower.store.scopes import Scopes
from control_tower.unit import Commit, Guard, StoreFailed, Unit
from events.log import Publish
from tests.simulation.chance import Chance
from tests.simulation.lives import LivesLoop

if TYPE_CHECKING:
    from tests.simulation.auditor import Auditor

RETRY_S = 1.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


@dataclass(slots=True)
class Weather:
    """What the disk does now; changed from outside while the world runs."""

    commit_mean_s: float = 0.0005
    delivery_mean_s: float = 0.0005
    read_mean_s: float = 0.001
    full: bool = False
    tight: bool = False
    locked: float = 0.0
    trap: str | None = None
    """What the next commit meets: a crash ``before`` or ``after`` it, or an I/O error that leaves
    it undone (``broken_before``) or done (``broken_after``)."""


class SlowReaders:
    """Reads that take their time before and after they look."""

    def __init__(self, connection: sqlite3.Connection, weather: Weather, chance: Chance) -> None:
        self._connection = connection
        self._weather = weather
        self._chance = chance

    async def run(
        self,
        function: Callable[Concatenate[sqlite3.Connection, Arguments], Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Run ``function`` some time from now and return its result some time later."""
        await asyncio.sleep(self._chance.delay(self._weather.read_mean_s))
        result = function(self._connection, *args, **kwargs)
        await asyncio.sleep(self._chance.delay(self._weather.read_mean_s))
        return result

    def close(self) -> None:
        """Nothing: the connection belongs to the world."""


class FaultyStore(Reading):
    """``ports.Store`` in a :class:`Weather`.

    ``die`` is called for a crash in the middle of a commit, ``broken`` for an I/O error,
    ``delivered`` after each unit of which the tower has learned.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        publish: Publish,
        *,
        loop: LivesLoop,
        chance: Chance,
        weather: Weather,
        auditor: "Auditor",
        die: Callable[[], None],
        broken: Callable[[], None],
        delivered: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._weather = weather
        self._auditor = auditor
        self._die = die
        self._on_broken = broken
        self._delivered = delivered
        self._scopes = Scopes()
        self._core = Core(SqliteDatabase(connection), self._scopes)
        self._epoch = self._core.epoch
        self._readers = SlowReaders(connection, weather, chance)
        self._queue: deque[Unit | Guard] = deque()
        self._coming: deque[tuple[Unit, Outcome]] = deque()
        self._writing = False
        self._broken = False
        self._cut = chance.happens(0.5)
        self._delivery = Delivery(publish, self._forgive, loop.call_soon, self._core.head)

    @property
    def idle(self) -> bool:
        """Whether everything handed over was written and delivered."""
        return not (self._queue or self._coming or self._writing)

    @property
    def settled(self) -> bool:
        """Whether the tower knows of everything that is committed."""
        return self.idle and not self._broken

    def submit(self, unit: Unit) -> None:
        """Hand a unit over."""
        self._queue.append(unit)
        self._begin()

    def _forgive(self, guard: Guard) -> None:
        self._queue.append(guard)
        self._begin()

    def _begin(self, after_s: float | None = None) -> None:
        if not self._writing and self._queue:
            self._writing = True
            delay_s = self._chance.delay(self._weather.commit_mean_s)
            self._loop.call_later(delay_s if after_s is None else after_s, self._write)

    def _write(self) -> None:
        self._writing = False
        trap, self._weather.trap = self._weather.trap, None
        if trap == "before":
            self._die()
            return
        if self._weather.full or self._weather.tight:
            self._refuse_new_work()
        if self._weather.full:
            self._begin(RETRY_S)
            return
        units = self._group()
        if units:
            self._send(units, self._outcomes(units, trap))
        if trap == "after":
            self._die()
            return
        self._begin()

    def _group(self) -> list[Unit]:
        size = 1024 if self._chance.happens(0.6) else self._chance.number(1, 4)
        units: list[Unit] = []
        while self._queue and len(units) < size:
            entry = self._queue.popleft()
            if isinstance(entry, Unit):
                units.append(entry)
            else:
                self._core.forgive(entry)
        return units

    def _outcomes(self, units: list[Unit], trap: str | None) -> Sequence[Outcome]:
        if self._broken:
            return [StoreFailed("the store has stopped", outcome="rejected") for _ in units]
        if self._chance.happens(self._weather.locked):
            return [StoreFailed("the database is locked", outcome="rejected") for _ in units]
        if trap == "broken_before":
            return self._break(units)
        outcomes = self._core.apply(units)
        for unit, outcome in zip(units, outcomes, strict=True):
            if isinstance(outcome, Commit):
                self._auditor.applied(unit, outcome)
        return self._break(units) if trap == "broken_after" else outcomes

    def _break(self, units: list[Unit]) -> Sequence[Outcome]:
        self._broken = True
        self._on_broken()
        return [StoreFailed("the database failed", outcome="unknown") for _ in units]

    def _refuse_new_work(self) -> None:
        refused = [entry for entry in self._queue if isinstance(entry, Unit) and not entry.critical]
        if refused:
            gone = set(map(id, refused))
            self._queue = deque(entry for entry in self._queue if id(entry) not in gone)
            full = [StoreFailed("full", outcome="rejected", disk_full=True) for _ in refused]
            self._send(refused, full)

    def _send(self, units: Sequence[Unit], outcomes: Sequence[Outcome]) -> None:
        self._coming.extend(zip(units, outcomes, strict=True))
        delay_s = self._chance.delay(self._weather.delivery_mean_s)
        self._loop.call_later(delay_s, self._deliver, len(units))

    def _deliver(self, count: int) -> None:
        """Deliver what came first; under load each unit has a turn of the loop to itself."""
        for left in range(count - 1, -1, -1):
            unit, outcome = self._coming.popleft()
            self._delivery.deliver([unit], [outcome])
            if not self._broken:
                self._delivered()
            if self._cut and left:
                self._loop.call_soon(self._deliver, left)
                return

    async def close(self) -> None:
        """Write and deliver what waits, as the real store does at the end of a drain."""
        while not self.idle and not self._weather.full:
            await asyncio.sleep(0.01)
