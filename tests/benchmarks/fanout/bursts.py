"""The orders of a peer: ``count`` its connections, ``run <rounds> <burst> <gap_ms>`` bursts."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.benchmarks.obey import Orders

Send = Callable[[int], Awaitable[None]]
"""Sends one burst of so many events to everybody."""

Count = Callable[[], int]


def orders_of(send: Send, count: Count) -> Orders:
    """Return the orders; ``run`` sends a burst every ``gap_ms``, or when the last one is out."""

    async def counted() -> int:
        return count()

    async def run(rounds: str, burst: str, gap_ms: str) -> str:
        gap_s = float(gap_ms) / 1000
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(int(rounds)):
            await send(int(burst))
            due += gap_s
            # Never less than a quarter: a server that lags must not get two bursts in one tick.
            await asyncio.sleep(max(gap_s / 4, due - loop.time()))
        return "done"

    return {"count": counted, "run": run}
