"""A whole tower whose log is fed directly: events without missions, at a rate or without one.

Run as ``python -m tests.benchmarks.log.server <folder>``. Orders:
``fill <count>`` commits so many events, a unit each, as fast as can be, and answers with the
instants of the first submit and the last commit; ``pace <count> <per_s>`` spreads them evenly;
``commits <path>`` writes when each transaction was committed; ``head`` is the last offset.
Instants are seconds of CLOCK_MONOTONIC, which all processes share.
"""

import asyncio
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

import structlog

from control_tower.store.core import Core, Outcome
from control_tower.store.sqlite_store import SqliteStore
from control_tower.unit import Commit, Unit
from events.payloads import StepCompleted
from events.types import Scope, draft
from server import interpreter
from server.app import running
from server.asgi import create_app
from server.settings import Settings
from server.wire.ws_protocol import TowerProtocol
from tests.benchmarks.log.instants import Instants
from tests.benchmarks.obey import Orders, obey_under_uvicorn, run

IN_FLIGHT: Final = 4000
"""Units on their way at once while filling: the writer never waits for the next."""

MOST_CONNECTIONS: Final = 10_100
DRAFT: Final = draft(
    StepCompleted(step="1", kind="tool", name="calculator", output="x" * 100, duration_ms=1.2),
    Scope(None, "local"),
    1.7e9,
)


class Feeder:
    """Submits units, and knows when they were committed."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._commits = Instants()
        self._under_way = 0
        self._moved = asyncio.Event()
        # The instant counts at which the transaction is durable, on the writer's own thread;
        # what the loop makes of it is part of what is measured.
        core: Core = store._writer._core
        self._apply = core.apply
        core.apply = self._timed_apply  # type: ignore[method-assign]
        self._core = core

    def _timed_apply(self, units: Sequence[Unit]) -> list[Outcome]:
        outcomes = self._apply(units)
        self._commits.note(self._core.head, monotonic())
        return outcomes

    def _submit(self) -> None:
        self._under_way += 1
        self._store.submit(Unit(drafts=[DRAFT], committed=self._committed, refused=self._refused))

    def _committed(self, _: Commit) -> None:
        self._under_way -= 1
        self._moved.set()

    @staticmethod
    def _refused(reason: Exception) -> None:
        raise SystemExit(f"refused: {reason!r}")

    async def _until_under(self, count: int) -> None:
        while self._under_way > count:
            self._moved.clear()
            await self._moved.wait()

    async def fill(self, count: str) -> str:
        """Commit so many events as fast as can be."""
        began = monotonic()
        for _ in range(int(count)):
            if self._under_way >= IN_FLIGHT:
                await self._until_under(IN_FLIGHT * 3 // 4)
            self._submit()
        await self._until_under(0)
        return f"{began} {self._commits.last_at}"

    async def pace(self, count: str, per_s: str) -> int:
        """Commit so many events, ``per_s`` of them a second."""
        began, sent = monotonic(), 0
        while sent < int(count):
            due = min(int(count), int((monotonic() - began) * float(per_s)) + 1)
            for _ in range(due - sent):
                self._submit()
            sent = due
            await asyncio.sleep(0.001)
        await self._until_under(0)
        return self._core.head

    async def commits(self, path: str) -> str:
        """Write the instants of the commits since the last time."""
        commits, self._commits = self._commits, Instants()
        commits.write(Path(path))
        return "written"

    async def head(self) -> int:
        """Return the last offset."""
        return self._core.head


async def serve(folder: Path) -> None:
    """Serve until the end of input."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    settings = Settings(data_dir=folder, rate_limits=False, max_connections=MOST_CONNECTIONS)
    async with running(settings, url="http://bench", on_fatal=_fatal) as tower:
        store = tower.services.store
        assert isinstance(store, SqliteStore)
        feeder = Feeder(store)
        orders: Orders = {
            "fill": feeder.fill,
            "pace": feeder.pace,
            "commits": feeder.commits,
            "head": feeder.head,
        }
        app = create_app(tower)
        interpreter.settle()
        await obey_under_uvicorn(app, TowerProtocol, orders)


def _fatal(error: BaseException) -> None:
    raise SystemExit(f"the store failed: {error!r}")


if __name__ == "__main__":
    run(lambda: serve(Path(sys.argv[1])))
