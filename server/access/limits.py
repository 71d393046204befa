"""How often a user may submit: a bucket a user, filled evenly.

A core: synchronous, and told the time.
"""

from dataclasses import dataclass

from control_tower.errors import RateLimited

MAX_IDLE_USERS = 10_000
"""Users are forgotten once their bucket is full again; looked for when there are this many."""

FULL_AFTER_S = 60
"""An empty bucket is full after so long: it holds a minute's submits."""


def too_many(per_min: int, wait_s: float) -> RateLimited:
    """Return what is said to a user who may submit again in ``wait_s``."""
    return RateLimited(f"At most {per_min} missions a minute.", retry_after_s=wait_s)


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class SubmitRates:
    """Lets each user submit ``per_min`` missions a minute, all at once if they like.

    Args:
        per_min: None is no limit.
    """

    def __init__(self, per_min: int | None) -> None:
        self._per_min = per_min
        self._buckets: dict[str, _Bucket] = {}

    def take(self, user_id: str, now: float) -> None:
        """Count one submit.

        Raises:
            RateLimited: if there is none left; says when there will be.
        """
        if self._per_min is None:
            return
        per_s = self._per_min / 60
        bucket = self._buckets.get(user_id)
        if bucket is None:
            self._forget_idle(now)
            bucket = self._buckets[user_id] = _Bucket(self._per_min, now)
        bucket.left = min(self._per_min, bucket.left + max(0.0, now - bucket.at) * per_s)
        bucket.at = now
        if bucket.left < 1:
            raise too_many(self._per_min, round((1 - bucket.left) / per_s, 3))
        bucket.left -= 1

    def _forget_idle(self, now: float) -> None:
        if len(self._buckets) < MAX_IDLE_USERS:
            return
        self._buckets = {
            user: bucket for user, bucket in self._buckets.items() if now - bucket.at < FULL_AFTER_S
        }
