"""Readiness of Redis: it answers, and the bus carries. Never a reason not to be ready.

Without it everything is served; what other nodes commit is seen later.
"""

from typing import Protocol

from server.access.shared_redis import RedisAway, SharedRedis
from server.figures.health import Finding


class Link(Protocol):
    """The bus, as the check needs it."""

    @property
    def connected(self) -> bool:
        """Whether messages go out and come in."""


async def check_redis(redis: SharedRedis, bus: Link) -> Finding:
    """Tell how Redis is."""
    try:
        await redis.ping()
    except RedisAway:
        return Finding(
            "degraded", "away: events of other nodes come a second late, and no deltas of theirs"
        )
    if not bus.connected:
        return Finding("degraded", "it answers, but the bus is not connected yet")
    return Finding("up", "it answers, and the bus is connected")
