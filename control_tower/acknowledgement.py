"""The promise made to a caller: a result at the commit, or the reason why there is none."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from control_tower.unit import Commit, StoreFailed, UnitRefused

T = TypeVar("T")

PATIENCE_S = 30.0
"""How long a caller waits for a commit: a disk without room, or a database that is away, may take
longer, and who asked would rather know that nobody knows."""


class Acknowledgement(Generic[T]):
    """A result that is known once a unit is committed.

    ``ack`` gets it on the event loop at that moment, before the unit's events are published;
    not, if the wait for it is over.
    """

    def __init__(self, ack: Callable[[T], None] | None) -> None:
        self._ack = ack
        self._done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def committed(self, result: Callable[[Commit], T], commit: Commit) -> None:
        """Keep the promise. A caller who went away does not matter: it is committed."""
        if self._done.done():  # gone, or told that nobody knows: that was the one answer
            return
        value = result(commit)
        if self._ack is not None:
            self._ack(value)
        self._done.set_result(value)

    def refused(self, reason: UnitRefused) -> None:
        """The store did not take it."""
        self.failed(reason)

    def failed(self, error: Exception) -> None:
        """Break the promise, saying why."""
        if not self._done.done():
            self._done.set_exception(error)

    async def result(self) -> T:
        """Return the result. Neither cancelling the wait nor its end withdraws the command.

        Raises:
            UnitRefused: if the store did not take it, or has not said so within
                :data:`PATIENCE_S`.
            Refusal: if it was not carried out.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._done
        except TimeoutError:
            late = "the store has not answered yet"
            raise StoreFailed(late, outcome="unknown") from None
