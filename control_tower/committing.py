"""Handing a unit to the store and waiting for what became of it.

For commands that are about rows, not about a mission in memory: those go through the kernel.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from control_tower.unit import Commit, Unit, UnitRefused


class Committer(Protocol):
    """Where units are handed in; a store."""

    def submit(self, unit: Unit) -> None:
        """Hand a unit over. Never blocks; exactly one of its completions comes on the loop."""


async def committed(
    store: Committer, unit: Unit, then: Callable[[Commit], None] | None = None
) -> Commit:
    """Return a unit's commit. ``then`` is called in the very step of it, before its events.

    A cancelled wait ends only with the unit's outcome: what was handed over can't be withdrawn,
    and whoever holds a lock around this must hold it until then.

    Raises:
        UnitRefused: if it was not committed.
    """
    done: asyncio.Future[Commit] = asyncio.get_running_loop().create_future()

    def kept(commit: Commit) -> None:
        done.set_result(commit)
        if then is not None:
            then(commit)

    def refused(reason: UnitRefused) -> None:
        done.set_exception(reason)

    unit.committed, unit.refused = kept, refused
    store.submit(unit)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        if not done.cancelled():
            done.exception()  # looked at, so that nobody is warned of it
        raise
