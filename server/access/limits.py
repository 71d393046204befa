"""How often a user may submit: a bucket a user, filled evenly.

A core: synchronous, and told the time.
"""

from dataclasses import dataclass

from control_tower.errors import RateLimited

MAX_IDLE_USERS = 10_000
"""Users are forgotten once their bucket is full again; looked for when there are this many."""


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
            wait_s = (1 - bucket.left) / per_s
            raise RateLimited(
                f"At most {self._per_min} missions a minute.", retry_after_s=round(wait_s, 3)
            )
        bucket.left -= 1

    def _forget_idle(self, now: float) -> None:
        if len(self._buckets) < MAX_IDLE_USERS:
            return
        full_after_s = 60.0
        self._buckets = {
            user: bucket for user, bucket in self._buckets.items() if now - bucket.at < full_after_s
        }
