"""The store of a data folder that no server holds, for commands that change it by themselves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from control_tower.store import ThreadedStore
from control_tower.unit import StoreFailed
from events.types import Committed, Ephemeral
from server import logging, parts
from server.client import ClientError
from server.clock import SystemClock
from server.settings import Settings

T = TypeVar("T")

COMMAND_URL = "a command"
"""What the lock file says for the moment in which a command holds it: nothing to connect to."""


class _NobodyListens:
    """Where committed events go while no server runs."""

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Drop them: clients will read them from the log."""


@contextlib.asynccontextmanager
async def own_store(settings: Settings) -> AsyncIterator[ThreadedStore]:
    """Take the data folder and open its store.

    Raises:
        DataFolderLocked: when somebody holds it.
        DataFolderUnusable: when it can't be opened.
        SeatTaken: when a server elsewhere serves the database.
        DatabaseUnusable: when that can't be used.
        SchemaTooNew: when a newer version of the program made it.
    """
    failed: list[BaseException] = []
    async with await parts.open_store(
        settings,
        publish=_NobodyListens(),
        clock=SystemClock(),
        url=COMMAND_URL,
        on_fatal=failed.append,
    ) as store:
        try:
            yield store
        except StoreFailed as error:
            raise ClientError("unavailable", f"The store could not take it: {error}.") from error


def with_own_store(settings: Settings, act: Callable[[ThreadedStore], Awaitable[T]]) -> T:
    """Run ``act`` over the store of a data folder that nobody holds."""
    logging.configure("warning", settings.log_format)

    async def run() -> T:
        async with own_store(settings) as store:
            return await act(store)

    return asyncio.run(run())
