"""The store without threads: the same core, for simulations and tests of the kernel.

Nothing happens by itself: units wait until :meth:`InlineStore.step`, or, with ``auto``, until the
loop's next turn. What a crash would lose is exactly what was not stepped.
"""

import asyncio
import math
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Self

from control_tower.store import migrations
from control_tower.store.core import Core, Outcome
from control_tower.store.database import DatabaseBroken, DatabaseBusy, DiskFull, SqliteDatabase
from control_tower.store.delivery import Delivery
from control_tower.store.engine import checkpoint, connect_writer
from control_tower.store.readers import InlineReaders
from control_tower.store.reading import Reading
from control_tower.store.scopes import Scopes
from control_tower.store.writer import RETRY_S
from control_tower.unit import StoreFailed, Unit
from events.log import Publish

MEMORY = ":memory:"


@cache
def _empty_database() -> bytes:
    """Return a database with every table: a simulation opens thousands, and migrates once."""
    connection = sqlite3.connect(MEMORY, isolation_level=None)
    migrations.upgrade(connection)
    image = connection.serialize()
    connection.close()
    return image


def _ignore_fatal(_: BaseException) -> None:
    """The default: a test that breaks the database looks at the refusals."""


class InlineStore(Reading):
    """``ports.Store`` and ``events.log.LogReader`` on the caller's own thread.

    Attributes:
        pending: units submitted and not yet applied.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        publish: Publish,
        *,
        auto: bool = True,
        on_fatal: Callable[[BaseException], None] = _ignore_fatal,
    ) -> None:
        """Serve a prepared database; see :meth:`open`."""
        self.pending: list[Unit] = []
        self._connection = connection
        self._publish = publish
        self._auto = auto
        self._on_fatal = on_fatal
        self._scheduled = False
        self._scopes = Scopes()
        self._core = Core(SqliteDatabase(connection), self._scopes)
        self._epoch = self._core.epoch
        self._readers = InlineReaders(connection)
        self._delivery = Delivery(
            publish, self._core.forgive, self._never, self._core.head, slice_s=math.inf
        )

    @classmethod
    def open(
        cls,
        path: Path | str = MEMORY,
        *,
        publish: Publish,
        epoch: str = "epoch-1",
        auto: bool = True,
        connection_type: type[sqlite3.Connection] = sqlite3.Connection,
        on_fatal: Callable[[BaseException], None] = _ignore_fatal,
    ) -> Self:
        """Open a database, by default a fresh one in memory.

        With ``auto``, submitted units are applied together in the loop's next turn; without it
        only by :meth:`step`. ``connection_type`` lets a simulation make the disk fail.
        """
        connection = connect_writer(path, connection_type)
        if path == MEMORY:
            connection.deserialize(_empty_database())
        migrations.prepare(connection, epoch)
        return cls(connection, publish, auto=auto, on_fatal=on_fatal)

    def submit(self, unit: Unit) -> None:
        """Hand a unit over."""
        self.pending.append(unit)
        if self._auto and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self.step)

    def step(self) -> None:
        """Apply what is pending as one group, run the completions and publish.

        On a full disk units that are not critical are refused and the others stay pending, first
        in line; with ``auto`` they are tried again after a second.
        """
        self._scheduled = False
        units, self.pending = self.pending, []
        if not units:
            return
        try:
            outcomes = self._apply(units)
        except DiskFull:
            self.pending = [unit for unit in units if unit.critical]
            units = [unit for unit in units if not unit.critical]
            outcomes = [StoreFailed("full", outcome="rejected", disk_full=True) for _ in units]
            if self._auto and self.pending:
                self._scheduled = True
                asyncio.get_running_loop().call_later(RETRY_S, self.step)
        self._delivery.deliver(units, outcomes)

    def _apply(self, units: list[Unit]) -> list[Outcome]:
        try:
            return self._core.apply(units)
        except DatabaseBusy:
            return [StoreFailed("locked", outcome="rejected") for _ in units]
        except DatabaseBroken as error:
            self._on_fatal(error)
            return [StoreFailed("broken", outcome="unknown") for _ in units]

    def _never(self, _: Callable[[], None]) -> None:
        raise AssertionError("a delivery without a time slice is never cut")

    def crash(self, publish: Publish) -> Self:
        """Return a new store over the same database, as after a crash.

        What is pending is lost, and this store must not be used any more.
        """
        self.pending.clear()
        return type(self)(self._connection, publish, auto=self._auto, on_fatal=self._on_fatal)

    async def empty_log(self) -> bool:
        """Leave nothing in the WAL's file; return whether that was possible just now."""
        return checkpoint(self._connection, "TRUNCATE")

    async def close(self) -> None:
        """Apply what is pending and close the database."""
        self.step()
        self._connection.close()
