"""What nodes share in Redis besides the bus: short calls, each within a bound of time.

A call that is given up, by its bound or because its caller went away, takes its connection with
it: the answer that may still come on it is never read as somebody else's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from redis.asyncio import Redis

from events.redis_links import LOST, connections

MOST_CONNECTIONS: Final = 8
PING_S: Final = 1.0


class RedisAway(Exception):
    """Redis did not answer. Whether it did what it was asked for is not known."""


class SharedRedis:
    """A client of the Redis that all nodes use.

    Args:
        url: of it; it need not be there.
        space: in front of every key, so that clusters that share a Redis share nothing else.
    """

    def __init__(self, url: str, space: str) -> None:
        self._space = space
        self._client = Redis(connection_pool=connections(url, MOST_CONNECTIONS))
        self._scripts: dict[str, Any] = {}

    async def close(self) -> None:
        """Let go of it."""
        await self._client.aclose()
        await self._client.connection_pool.disconnect()

    async def ping(self) -> None:
        """Ask whether it is there.

        Raises:
            RedisAway: if not.
        """
        async with _answered(PING_S):
            await self._client.ping()

    async def put(self, key: str, value: bytes, for_s: float) -> None:
        """Keep a value for a time.

        Raises:
            RedisAway: if it does not answer.
        """
        async with _answered():
            await self._client.set(self._name(key), value, px=int(for_s * 1000))

    async def take(self, key: str) -> bytes | None:
        """Remove a value and return it; of all who ask, one gets it.

        Raises:
            RedisAway: if it does not answer.
        """
        async with _answered():
            found = await self._client.getdel(self._name(key))
        return found if isinstance(found, bytes) else None

    async def run(self, script: str, key: str, *args: float, within_s: float) -> Any:
        """Run a script in Lua over one key; nothing else happens in between.

        Raises:
            RedisAway: if it does not answer in time.
        """
        registered = self._scripts.get(script)
        if registered is None:
            registered = self._scripts[script] = self._client.register_script(script)
        async with _answered(within_s):
            return await registered(keys=[self._name(key)], args=list(args))

    def _name(self, key: str) -> str:
        return f"{self._space}:{key}"


@contextlib.asynccontextmanager
async def _answered(within_s: float | None = None) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within_s):
            yield
    except LOST as error:
        raise RedisAway from error
