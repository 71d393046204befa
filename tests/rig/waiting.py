"""Waiting for what nobody tells a test of."""

import asyncio
from collections.abc import Callable


async def until(holds: Callable[[], object], within_s: float) -> None:
    """Wait until something holds; fail if it does not within so long."""
    async with asyncio.timeout(within_s):
        while not holds():
            await asyncio.sleep(0.01)
