"""Residents: the users who are at home with this node, with all that they had running in memory.

Nothing is carried out for a user before their missions are here: a session's gate, their queue and
their limits would not know of them. A user who is here stays; homes move only from nodes that are
gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

from control_tower.cluster.ports import Nodes
from control_tower.patience import patiently

Restore = Callable[[Sequence[str]], Awaitable[None]]
"""Brings the live missions of users into memory."""


class Residents:
    """Who is at home here, and restored."""

    def __init__(self, nodes: Nodes, restore: Restore) -> None:
        self._nodes = nodes
        self._restore = restore
        self._here: set[str] = set()
        self._turn = asyncio.Lock()
        self._moving: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._here)

    async def has(self, user_id: str) -> bool:
        """Return whether a user is at home here; their missions are in memory then.

        Raises:
            Unavailable: when the database stays away.
        """
        if user_id in self._here:
            return True
        if await self._nodes.home(user_id) != self._nodes.token:
            return False
        await self.take_in([user_id])
        return True

    async def take_in(self, user_ids: Collection[str]) -> None:
        """Restore users who have just come home; returns once they are here.

        It goes on when the wait is cancelled: half a user must never be here.
        """
        if self._here.issuperset(user_ids):
            return
        moving = asyncio.get_running_loop().create_task(self._take_in(user_ids))
        self._moving.add(moving)
        moving.add_done_callback(self._moving.discard)
        await asyncio.shield(moving)

    async def _take_in(self, user_ids: Collection[str]) -> None:
        # One after another: a command for a user waits while the adoption restores them.
        async with self._turn:
            new = [user_id for user_id in user_ids if user_id not in self._here]
            if new:
                await self._restore(new)
                self._here.update(new)

    async def adopt(self, most: int) -> int:
        """Take over and take in users of nodes that are gone; return how many. 0: nobody is left.

        Waits for a database that is away.
        """
        adopted = await patiently(lambda: self._nodes.adopt(most))
        await self.take_in(adopted)
        return len(adopted)

    async def close(self) -> None:
        """Restore nobody any more."""
        for moving in self._moving:
            moving.cancel()
        await asyncio.gather(*self._moving, return_exceptions=True)
