"""A witness of tool calls: what the executor really called, kept apart from the journal.

The journal says what was called; this says what was seen to be called. An audit holds the two
against each other, which it could not if both came from the same place.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

KEPT = 1_000


@dataclass(slots=True, frozen=True)
class Sighting:
    """One attempt at a tool, noted as it began.

    Attributes:
        asks: whether the plan that ran wanted a person's approval first.
        at: Unix seconds.
    """

    tool: str
    pid: str
    step: str
    attempt: int
    asks: bool
    at: float


class Witness:
    """The newest attempts.

    Attributes:
        total: how many there were since the start.
    """

    def __init__(self, most: int = KEPT) -> None:
        self.total = 0
        self._seen: deque[Sighting] = deque(maxlen=most)

    def saw(self, sighting: Sighting) -> None:
        """Note an attempt."""
        self.total += 1
        self._seen.append(sighting)

    def __iter__(self) -> Iterator[Sighting]:
        """Yield what was seen, oldest first, from a copy."""
        return iter(list(self._seen))
