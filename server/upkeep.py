"""The store's upkeep while a tower runs: erasing what people want gone, and what is old.

For ``app.py``::

    async with upkeep(settings, store, clock, tower, forget=hub.forget_recent) as eraser:
        ...                      # before the tower starts: what a kill interrupted is erased by now

A node of many is given its ``turn``: then one of them removes what is old, and what a kill
interrupted is finished by :mod:`control_tower.cluster.stewardship`, at its users' homes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Protocol

import structlog

from control_tower.erasure import Eraser, cancel_all
from control_tower.errors import Unavailable
from control_tower.ports import Clock
from control_tower.retention import DAY_S, Kept, Retention
from control_tower.store import ThreadedStore
from control_tower.tasks import end
from control_tower.tower import Tower
from control_tower.unit import StoreFailed
from events.payloads import JsonObject
from server.access.auth import LOCAL
from server.settings import Settings

REASON = "its session is erased"

RETRY_S = 1.0

log = structlog.get_logger(__name__)


class Finishing(Protocol):
    """What brings interrupted erasures to their ends."""

    async def finish(self) -> None:
        """Finish them; one that was cut short is gone on with by the next call."""


async def finished(eraser: Finishing) -> None:
    """Finish interrupted erasures, however often the store can't take a piece of them."""
    while True:
        try:
            return await eraser.finish()
        except (StoreFailed, Unavailable) as error:
            log.warning("upkeep.waits", error=str(error))
        await asyncio.sleep(RETRY_S)


@contextlib.asynccontextmanager
async def upkeep(
    settings: Settings,
    store: ThreadedStore,
    clock: Clock,
    tower: Tower,
    *,
    forget: Callable[[], None],
    turn: Callable[[], bool] | None = None,
) -> AsyncIterator[Eraser]:
    """Finish interrupted erasures, then keep the store tidy until the block ends.

    Args:
        settings: say how long what is kept.
        store: the store.
        clock: tells the time.
        tower: cancels the missions of what is erased.
        forget: drops what memory holds of the recent log, on every node.
        turn: on a node of many, whether the upkeep of them all is ours.
    """

    async def cancel(pid: str) -> JsonObject:
        return await tower.cancel(LOCAL, pid, REASON)

    eraser = Eraser(store, clock, stop=partial(cancel_all, store, cancel), forget=forget)
    kept = Kept(settings.retain_events_days * DAY_S, settings.retain_keys_days * DAY_S)
    try:
        if turn is None:
            await finished(eraser)
            retention = Retention(store, clock, kept)
        else:
            retention = Retention(store, clock, kept, turn=turn)
        rounds = asyncio.create_task(retention.run())
        try:
            yield eraser
        finally:
            await end(rounds)
    finally:
        await eraser.close()
