"""Who counts submits: this process alone, or all nodes together."""

from typing import Protocol

from server.access.limits import SubmitRates


class Rates(Protocol):
    """Lets each user submit so many missions a minute. Submits of a user keep their order."""

    async def take(self, user_id: str, now: float) -> None:
        """Count one submit.

        Raises:
            RateLimited: if there is none left; says when there will be.
        """


class OwnRates:
    """The count of a process that is alone."""

    def __init__(self, buckets: SubmitRates) -> None:
        self._buckets = buckets

    async def take(self, user_id: str, now: float) -> None:
        """Count one submit.

        Raises:
            RateLimited: if there is none left; says when there will be.
        """
        self._buckets.take(user_id, now)
