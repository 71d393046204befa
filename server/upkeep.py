"""The store's upkeep while a tower runs: erasing what people want gone, and what is old.

For ``app.py``::

    async with upkeep(settings, store, clock, tower, hub) as eraser:
        ...                      # before the tower starts: what a kill interrupted is erased by now
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from control_tower.erasure import Eraser, cancel_all
from control_tower.ports import Clock
from control_tower.retention import DAY_S, Kept, Retention
from control_tower.store import ThreadedStore
from control_tower.tower import Tower
from events.hub import Hub
from events.payloads import JsonObject
from server.access.auth import LOCAL
from server.settings import Settings

REASON = "its session is erased"


@contextlib.asynccontextmanager
async def upkeep(
    settings: Settings, store: ThreadedStore, clock: Clock, tower: Tower, hub: Hub
) -> AsyncIterator[Eraser]:
    """Finish interrupted erasures, then keep the store tidy until the block ends."""

    async def cancel(pid: str) -> JsonObject:
        return await tower.cancel(LOCAL, pid, REASON)

    eraser = Eraser(store, clock, stop=partial(cancel_all, store, cancel), forget=hub.forget_recent)
    kept = Kept(settings.retain_events_days * DAY_S, settings.retain_keys_days * DAY_S)
    try:
        await eraser.finish()
        rounds = asyncio.create_task(Retention(store, clock, kept).run())
        try:
            yield eraser
        finally:
            rounds.cancel()
            await asyncio.wait({rounds})
    finally:
        await eraser.close()
