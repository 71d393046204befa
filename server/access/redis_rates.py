"""Submit rates over all nodes: each user's bucket is in Redis, filled by Redis's own clock.

While Redis is away each node counts for itself, so a user may submit at most as many times as much
as there are nodes; it is asked again a second later.
"""

import asyncio
from typing import Final

import structlog

from control_tower.keyed_locks import KeyedLocks
from server.access.limits import FULL_AFTER_S, SubmitRates, too_many
from server.access.shared_redis import RedisAway, SharedRedis

WITHIN_S: Final = 0.25
"""A submit waits so long for Redis, and no longer."""
LEFT_ALONE_S: Final = 1.0

_TAKE: Final = f"""
local most = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local kept = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(kept[1] or most)
local at = tonumber(kept[2] or now)
left = math.min(most, left + math.max(0, now - at) * most / 60)
local wait_ms = 0
if left < 1 then
  wait_ms = math.ceil((1 - left) * 60000 / most)
else
  left = left - 1
end
redis.call('HSET', KEYS[1], 'left', string.format('%.9f', left), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], {FULL_AFTER_S * 1000})
return wait_ms
"""

log = structlog.get_logger(__name__)


class RedisRates:
    """A :class:`~server.access.rates.Rates` that all nodes share.

    Args:
        redis: where the buckets are.
        per_min: how many missions a minute each user may submit, all at once if they like.
        own: the buckets of this node, for when Redis is away.
    """

    def __init__(self, redis: SharedRedis, per_min: int, own: SubmitRates) -> None:
        self._redis = redis
        self._per_min = per_min
        self._own = own
        self._away_until: float | None = None
        self._turns = KeyedLocks()

    async def take(self, user_id: str, now: float) -> None:
        """Count one submit.

        Raises:
            RateLimited: if there is none left; says when there will be.
        """
        # One after the other: what a user submits in order is taken in that order.
        async with self._turns.of(user_id):
            await self._take(user_id, now)

    async def _take(self, user_id: str, now: float) -> None:
        clock = asyncio.get_running_loop().time
        if self._away_until is None or clock() >= self._away_until:
            try:
                wait_ms = int(
                    await self._redis.run(
                        _TAKE, f"rate:{user_id}", self._per_min, within_s=WITHIN_S
                    )
                )
            except RedisAway:
                if self._away_until is None:
                    log.warning("rates.counted_alone", reason="redis is away")
                self._away_until = clock() + LEFT_ALONE_S
            else:
                self._away_until = None
                if wait_ms:
                    raise too_many(self._per_min, wait_ms / 1000)
                return
        self._own.take(user_id, now)
