"""The most recent durable events with their frames, so that nobody near the head reads the log."""

from dataclasses import dataclass

import msgspec

from events.frames import text_frame
from events.types import Committed, Scope


class Recent(msgspec.Struct, frozen=True, gc=False):
    """A durable event that is ready to be sent."""

    offset: int
    type: str
    scope: Scope
    frame: bytes


def recent(event: Committed) -> Recent:
    """Return ``event`` with its frame built."""
    return Recent(event.offset, event.type, event.scope, text_frame(event.body))


@dataclass(slots=True, frozen=True)
class RingBounds:
    """How much the ring keeps at most."""

    events: int = 8192
    size_bytes: int = 16 << 20


class Ring:
    """A gapless stretch of the log that ends at its head.

    A list that is cut in front now and then, not a deque: a cursor starts anywhere in it.
    """

    __slots__ = ("_base", "_bounds", "_entries", "_size")

    def __init__(self, head: int, bounds: RingBounds | None = None) -> None:
        self._bounds = bounds or RingBounds()
        self._base = head
        self._entries: list[Recent] = []
        self._size = 0

    @property
    def head(self) -> int:
        """The last offset, in the ring or before it."""
        return self._base + len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Bytes of all frames kept."""
        return self._size

    def reaches(self, after: int) -> bool:
        """Whether every event behind ``after`` is here."""
        return after >= self._base

    def append(self, entry: Recent) -> None:
        """Add the event behind the head; the caller has checked that it is."""
        self._entries.append(entry)
        self._size += len(entry.frame)
        # A quarter over the bound before a cut, which moves the whole list.
        if len(self._entries) > self._bounds.events * 5 // 4:
            self._cut(len(self._entries) - self._bounds.events)
        elif self._size > self._bounds.size_bytes * 5 // 4:
            self._cut_to_size()

    def after(self, offset: int, limit: int) -> list[Recent]:
        """Return up to ``limit`` events behind ``offset``, which the ring must reach."""
        start = offset - self._base
        return self._entries[start : start + limit]

    def forget(self) -> None:
        """Drop everything: what follows is read from the log, which may have erased some of it."""
        self._cut(len(self._entries))

    def _cut_to_size(self) -> None:
        count, size = 0, self._size
        while size > self._bounds.size_bytes:
            size -= len(self._entries[count].frame)
            count += 1
        self._cut(count)

    def _cut(self, count: int) -> None:
        self._size -= sum(len(entry.frame) for entry in self._entries[:count])
        del self._entries[:count]
        self._base += count
