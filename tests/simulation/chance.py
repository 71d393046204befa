"""Seeded chance, in independent streams."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """One stream of random decisions; ``of`` derives others that do not disturb it."""

    def __init__(self, *key: object) -> None:
        self._key = key
        self.random = random.Random(repr(key))  # a text is hashed the same in every process

    def of(self, *key: object) -> "Chance":
        """Return the stream of this name, the same whenever it is asked for."""
        return Chance(*self._key, *key)

    def happens(self, probability: float) -> bool:
        """Decide with a probability."""
        return self.random.random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Choose one of equals."""
        return choices[int(self.random.random() * len(choices))]

    def weighed(self, weights: Mapping[T, float]) -> T:
        """Choose one by weight."""
        return self.random.choices(list(weights), list(weights.values()))[0]

    def number(self, low: int, high: int) -> int:
        """Return an integer between the two, both included."""
        return self.random.randint(low, high)

    def between(self, low: float, high: float) -> float:
        """Return a real number between the two."""
        return self.random.uniform(low, high)

    def delay(self, mean_s: float) -> float:
        """Return a time to wait: often none at all, seldom many times the mean."""
        if self.random.random() < 0.25 or not mean_s:
            return 0.0
        return min(self.random.expovariate(1 / mean_s), 20 * mean_s)
