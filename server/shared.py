"""Work that costs something, done once for all who ask for it at the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Shared(Generic[Found]):
    """Does one piece of work at a time; whoever asks meanwhile shares the next.

    So a crowd costs no more than one who asks again and again, and nobody is given what was begun
    before they asked. Cancelling one who asks leaves the others what they wait for.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._begun = 0
        self._number = 0
        self._found: Found | None = None

    async def __call__(self, work: Callable[[], Awaitable[Found]]) -> Found:
        """Return what ``work`` returned for somebody since this was called, or does so now.

        Args:
            work: the same for everybody.
        """
        before = self._begun
        async with self._turn:
            if self._found is not None and self._number > before:
                return self._found
            self._begun += 1
            number = self._begun
            self._found = await work()
            self._number = number
            return self._found
