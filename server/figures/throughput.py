"""How much happens in a second: the rates of ``tower.status``. A core; it is told the time."""

from collections import deque
from collections.abc import Mapping
from typing import Final

WINDOW_S: Final = 10.0
"""Long enough to be read by people, short enough to show what goes on now."""


class Throughput:
    """Turns counts that only grow into rates over the last seconds.

    Args:
        now: seconds, of the clock that the other methods will be given.
        counts: by name, as they stand now; the later ones have the same names.
    """

    def __init__(self, now: float, counts: Mapping[str, int]) -> None:
        self._notes: deque[tuple[float, Mapping[str, int]]] = deque([(now, counts)])

    def note(self, now: float, counts: Mapping[str, int]) -> None:
        """Remember how the counts stand; to be called every few seconds."""
        self._notes.append((now, counts))
        # The last note from before the window stays: rates reach back to it.
        while len(self._notes) > 1 and self._notes[1][0] <= now - WINDOW_S:
            self._notes.popleft()

    def rates(self, now: float, counts: Mapping[str, int]) -> dict[str, float]:
        """Return ``NAME_per_s`` of each count, to one decimal place."""
        since, before = self._notes[0]
        # At least a second: one event in the first millisecond is not a thousand a second.
        took_s = max(1.0, now - since)
        return {
            f"{name}_per_s": round((count - before[name]) / took_s, 1)
            for name, count in counts.items()
        }
