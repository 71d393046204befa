"""The outbox of a node: what it has to say to the others, in order and bounded.

A core. What is put in within one tick leaves as one message, in pieces if it is large. Nothing in
here is needed by anybody: the others find in the log what is dropped, and replies go another way,
too. So it keeps nothing while there is nobody to carry it, and little while that one is slow.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from events.bus_messages import PIECE_BYTES, Writing
from events.types import Committed, Ephemeral

MOST_BYTES: Final = 8 << 20
LARGEST_BYTES: Final = 4 << 20
"""Of one event. A larger one is read from the log by whoever needs it."""


class Outbox:
    """Collects what is said, and gives it out as messages.

    Args:
        sender: our token.
        reached: the last offset that we committed, or that was there before we came.
        fresh: returns the offset up to which all of our commits have been put in here.
        most_bytes: what may wait.

    Attributes:
        is_open: whether anybody carries messages away. Nothing is kept when not.
        dropped: durable events that were not kept.
    """

    def __init__(
        self, sender: int, reached: int, fresh: Callable[[], int], most_bytes: int = MOST_BYTES
    ) -> None:
        self.is_open = False
        self.dropped = 0
        self._sender = sender
        self._reached = reached
        self._fresh = fresh
        self._most_bytes = most_bytes
        self._number = 0
        self._pieces: deque[Writing] = deque()
        # The last piece takes no more: what follows does not follow from it.
        self._closed = True
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces)

    @property
    def size_bytes(self) -> int:
        """What waits, about."""
        return self._size

    def unit(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Put the events of one unit in, then its ephemeral ones."""
        size = _size(events) + _size(after)
        if size <= PIECE_BYTES:
            self._put(events, after, size)
            return
        for part in _parts(events):
            self._put(part, (), _size(part))
        for each in after:
            self._put((), (each,), len(each.body))

    def reply(self, to: int, call: str, body: bytes) -> None:
        """Put a reply in."""
        if self._has_room(len(body)):
            piece = self._piece()
            before = piece.size_bytes
            piece.reply(to, call, body)
            self._grow(piece, before)

    def ask(self) -> None:
        """Put in that we have missed something."""
        if self.is_open:
            self._piece().ask()

    def beat(self) -> None:
        """See to it that there is a message, if an empty one."""
        if self.is_open and not self._pieces:
            self._piece()

    def take(self) -> bytes | None:
        """Return the next message; None: there is none."""
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        self._size -= piece.size_bytes
        self._number += 1
        return piece.finish(self._sender, self._number)

    def open(self) -> None:
        """Begin to keep what is put in."""
        self.is_open = True

    def close(self) -> None:
        """Drop everything, and keep nothing from now on."""
        self.is_open = False
        self.dropped += sum(piece.durable for piece in self._pieces)
        self._pieces.clear()
        self._closed = True
        self._size = 0

    def _put(self, events: Sequence[Committed], after: Sequence[Ephemeral], size: int) -> None:
        if self._has_room(size):
            piece = self._piece()
            before = piece.size_bytes
            piece.unit(events, after)
            self._grow(piece, before)
        else:
            self.dropped += len(events)
            # A message says once, in front, what its sender has reached. That is now more.
            self._closed = True
        if events:
            self._reached = events[-1].offset

    def _has_room(self, size: int) -> bool:
        return self.is_open and size <= LARGEST_BYTES and self._size + size <= self._most_bytes

    def _piece(self) -> Writing:
        if not self._pieces or self._closed:
            self._pieces.append(Writing(self._reached, max(self._fresh(), self._reached)))
            self._closed = False
        return self._pieces[-1]

    def _grow(self, piece: Writing, before: int) -> None:
        self._size += piece.size_bytes - before
        self._closed = piece.size_bytes >= PIECE_BYTES


def _size(events: Sequence[Committed | Ephemeral]) -> int:
    size = 0
    for each in events:
        size += len(each.body)
    return size


def _parts(events: Sequence[Committed]) -> Iterator[Sequence[Committed]]:
    """Cut a unit into parts of a piece's size."""
    start = size = 0
    for at, event in enumerate(events):
        if size and size + len(event.body) > PIECE_BYTES:
            yield events[start:at]
            start, size = at, 0
        size += len(event.body)
    if events:
        yield events[start:] if start else events
