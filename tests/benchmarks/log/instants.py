"""When each stretch of offsets was somewhere: instants of a commit, or of an arrival."""

from array import array
from bisect import bisect_left
from pathlib import Path
from typing import Self


class Instants:
    """Pairs of an offset and the instant by which everything up to it was there, both rising."""

    def __init__(self) -> None:
        self.offsets = array("q")
        self.at = array("d")

    def note(self, offset: int, at: float) -> None:
        """Everything up to ``offset`` is there since ``at``, in seconds."""
        if not self.offsets or offset > self.offsets[-1]:
            self.offsets.append(offset)
            self.at.append(at)

    @property
    def last_at(self) -> float:
        """The last instant."""
        return self.at[-1]

    def of(self, offset: int) -> float:
        """Return since when an offset is there.

        Raises:
            IndexError: if it is not.
        """
        return self.at[bisect_left(self.offsets, offset)]

    def write(self, path: Path) -> None:
        """Write them to a file."""
        with path.open("wb") as file:
            self.offsets.tofile(file)
            self.at.tofile(file)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what :meth:`write` wrote."""
        instants = cls()
        data = path.read_bytes()
        half = len(data) // 2
        instants.offsets.frombytes(data[:half])
        instants.at.frombytes(data[half:])
        return instants


def delays_ms(before: Instants, after: Instants) -> list[float]:
    """Return, sorted, how long each offset took from ``before`` to ``after``, in ms.

    Offsets that ``before`` has as one stretch were there at once, so each counts.
    """
    first = before.offsets[0]
    return sorted(
        (after.of(offset) - before.of(offset)) * 1000
        for offset in range(first, before.offsets[-1] + 1)
    )
