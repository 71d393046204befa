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
        self._coming: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._here)

    def __contains__(self, user_id: str | None) -> bool:
        """Whether a user is here, as far as that is known without a look."""
        return user_id in self._here

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

        Whoever asks for one that is on the way waits for the same coming. It goes on when the wait
        is cancelled: half a user must never be here.
        """
        if self._here.issuperset(user_ids):
            return
        new = [each for each in user_ids if each not in self._here and each not in self._coming]
        if new:
            coming = asyncio.get_running_loop().create_task(self._move_in(new))
            self._coming.update(dict.fromkeys(new, coming))
        for coming in {self._coming[each] for each in user_ids if each in self._coming}:
            await asyncio.shield(coming)

    async def _move_in(self, user_ids: Sequence[str]) -> None:
        try:
            await self._restore(user_ids)
            self._here.update(user_ids)
        finally:
            for user_id in user_ids:
                del self._coming[user_id]

    async def adopt(self, most: int) -> int:
        """Take over and take in users of nodes that are gone; return how many. 0: nobody is left.

        Waits for a database that is away.
        """
        adopted = await patiently(lambda: self._nodes.adopt(most))
        await self.take_in(adopted)
        return len(adopted)

    async def take_in_left_out(self) -> int:
        """Take in users who are at home here and were not restored; return how many.

        Their home has moved and the answer was lost, or whoever had it moved is gone, or their
        restoring failed. Each alone: one who can't be restored keeps out nobody else.

        Raises:
            ExceptionGroup: why some could not be restored; the others are here.
        """
        left_out = await patiently(lambda: self._nodes.left_out(self._here))
        failures: list[Exception] = []
        for user_id in left_out:
            try:
                await self.take_in([user_id])
            except Exception as error:  # noqa: BLE001  # raised behind the last of them
                failures.append(error)
        if failures:
            raise ExceptionGroup("some users could not be restored", failures)
        return len(left_out)

    async def close(self) -> None:
        """Restore nobody any more."""
        coming = set(self._coming.values())
        for each in coming:
            each.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
