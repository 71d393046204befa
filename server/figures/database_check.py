"""Readiness of the database: it is read, its schema is the code's, and it can be written.

A write is tried as a unit without rows: it goes the whole way of every other one, through the
writer's thread, the look at the disk and the database's lock, and costs no sync of the disk, so
that probes by the second cost nothing.
"""

import asyncio
from typing import Protocol

from control_tower.store.migrations import SCHEMA
from control_tower.unit import Commit, StoreFailed, Unit, UnitRefused
from server.figures.health import Finding


class Database(Protocol):
    """The store as the check needs it."""

    @property
    def head(self) -> int:
        """The last offset committed."""

    async def schema(self) -> str | None:
        """Return the revision of the schema as the database says it."""

    def submit(self, unit: Unit) -> None:
        """Hand a unit over."""


async def check_database(store: Database) -> Finding:
    """Tell how the database is."""
    schema = await store.schema()
    if schema != SCHEMA:
        return Finding("down", f"its schema is {schema}, not {SCHEMA}")
    refused = await _written(store)
    if refused is None:
        return Finding("up", f"schema {schema}, {store.head} events, written a moment ago")
    if isinstance(refused, StoreFailed) and refused.disk_full:
        return Finding("degraded", "its disk is full: read, but not written")
    return Finding("down", "it takes no writes")


async def _written(store: Database) -> UnitRefused | None:
    """Try a write; return why it was refused, if it was."""
    done: asyncio.Future[UnitRefused | None] = asyncio.get_running_loop().create_future()

    def settle(outcome: Commit | UnitRefused) -> None:
        if not done.done():
            done.set_result(outcome if isinstance(outcome, UnitRefused) else None)

    store.submit(Unit(committed=settle, refused=settle, critical=False))
    return await done
