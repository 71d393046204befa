"""The present of a node among others: everything published here that all have committed by now."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

CATCH_UP_S: Final = 5.0
"""How long a client waits for what others have committed; then it is told what is known here."""

GLANCE_S: Final = 0.002


class Newest(Protocol):
    """The store, as far as it is needed here."""

    async def newest_offset(self) -> int:
        """Return the last offset that was committed by anybody, asked for now."""


class Present:
    """Waits until this node has published what was committed before it was asked.

    Whoever asks while a look at the log is under way shares the next one with all who do, as the
    one under way may miss what they know of. So a crowd that comes back at once costs the database
    one query at a time.

    Args:
        log: is looked at.
        note_head: is told what was found, so that what is missing here is fetched.
        published: returns the last offset published here.
    """

    def __init__(
        self, log: Newest, note_head: Callable[[int], None], published: Callable[[], int]
    ) -> None:
        self._log = log
        self._note_head = note_head
        self._published = published
        self._looking = asyncio.Lock()
        self._next: asyncio.Task[None] | None = None

    async def reached(self) -> None:
        """Return once it is so, or after :data:`CATCH_UP_S`.

        Raises:
            Unavailable: when the database stays away.
        """
        if self._next is None:
            self._next = asyncio.get_running_loop().create_task(self._look())
        await asyncio.shield(self._next)

    async def _look(self) -> None:
        async with self._looking:
            self._next = None
            head = await self._log.newest_offset()
        self._note_head(head)
        loop = asyncio.get_running_loop()
        until = loop.time() + CATCH_UP_S
        # Polled: a hub tells nobody of each event, and most find everything here at once.
        while self._published() < head and loop.time() < until:  # noqa: ASYNC110
            await asyncio.sleep(GLANCE_S)
