"""The promise made to a caller: a result at the commit, or the reason why there is none."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from control_tower.unit import Commit, UnitRefused

T = TypeVar("T")


class Acknowledgement(Generic[T]):
    """A result that is known once a unit is committed.

    ``ack`` gets it on the event loop at that moment, before the unit's events are published.
    """

    def __init__(self, ack: Callable[[T], None] | None) -> None:
        self._ack = ack
        self._done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def committed(self, result: Callable[[Commit], T], commit: Commit) -> None:
        """Keep the promise. A caller who went away does not matter: it is committed."""
        value = result(commit)
        if self._ack is not None:
            self._ack(value)
        if not self._done.done():
            self._done.set_result(value)

    def refused(self, reason: UnitRefused) -> None:
        """The store did not take it."""
        self.failed(reason)

    def failed(self, error: Exception) -> None:
        """Break the promise, saying why."""
        if not self._done.done():
            self._done.set_exception(error)

    async def result(self) -> T:
        """Return the result. Cancelling the wait does not withdraw the command.

        Raises:
            UnitRefused: if the store did not take it.
            Refusal: if it was not carried out.
        """
        return await self._done
