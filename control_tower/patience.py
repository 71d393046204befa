"""Patience: reads that the kernel cannot do without, and so repeats while the database is away."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from control_tower.errors import Unavailable

T = TypeVar("T")

RETRY_S = 1.0


async def patiently(read: Callable[[], Awaitable[T]]) -> T:
    """Return what ``read`` returns, however long the store can't answer."""
    while True:
        try:
            return await read()
        except Unavailable:
            await asyncio.sleep(RETRY_S)
