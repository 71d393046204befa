"""What a command works on: the server that holds the data, or the data itself if none does.

While a server runs only it may write. So commands that change the data ask it, and open the store
themselves when nobody serves it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from control_tower.store import ThreadedStore, holder_of
from control_tower.unit import StoreFailed
from events.types import Committed, Ephemeral
from server import logging, parts
from server.client import ClientError
from server.clock import SystemClock
from server.commands.place import Place
from server.commands.rest import Rest
from server.commands.terminal import loaded
from server.settings import Settings

T = TypeVar("T")

COMMAND_URL = "a command"
"""What the lock file says for the moment in which a command holds it: nothing to connect to."""


class _NobodyListens:
    """Where committed events go while no server runs."""

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Drop them: clients will read them from the log."""


def server_or_folder(place: Place) -> tuple[Rest | None, Settings]:
    """Return the server to ask, or None when nobody serves the data; and the settings."""
    settings = loaded({"data_dir": place.data_dir}).settings
    if place.url:
        return Rest(place), settings
    holder = holder_of(settings.data_dir)
    return (None if holder is None else Rest(Place(holder.url, holder.token))), settings


def sqlite_folder(settings: Settings) -> Path:
    """Return the folder of the SQLite file.

    Raises:
        ClientError: if the settings name another database.
    """
    if settings.database_url:
        raise ClientError(
            "unavailable",
            "TOWER_DATABASE_URL names the database, and this command is for the file in the data "
            "folder; use the database's own tools (pg_dump, pg_restore)",
        )
    return settings.data_dir


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
