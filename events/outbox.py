"""The outbox of a node: what it has to say to the others, in order and bounded.

A core. What is put in within one tick leaves in one round: a message to each node that wants text,
and one to all. What is larger leaves in pieces, over several rounds. Text goes first, all of it. It
says which events it follows, and is kept by who gets it until they are there; so it is never behind
an event that it came before.

Nothing in here is needed by anybody: the others find in the log what is dropped, replies go another
way, too, and who got too little text is told it again. So it keeps nothing while there is nobody to
carry it, and little while that one is slow.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

from events.bus_messages import PIECE_BYTES, Ask, Heard, Interest, Reply, Writing
from events.types import Committed, Ephemeral

MOST_BYTES: Final = 8 << 20
LARGEST_BYTES: Final = 4 << 20
"""Of one event. A larger one is read from the log by whoever needs it."""

ROUND_BYTES: Final = 1 << 20
"""About how much leaves at once: what a connection takes in a moment."""


class Letter(NamedTuple):
    """A message on its way. ``to`` None is to all."""

    to: int | None
    data: bytes


class _Pieces:
    """Messages that are being written to the same nodes; the first is the next to go.

    Attributes:
        closed: the last piece takes no more: what follows does not follow from it.
    """

    def __init__(self, begin: Callable[[], Writing]) -> None:
        self.closed = False
        self._begin = begin
        self._waiting: deque[Writing] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def durable(self) -> int:
        """How many durable events are in them."""
        return sum(piece.durable for piece in self._waiting)

    def last(self) -> Writing:
        """Return the piece to write in."""
        if not self._waiting or self.closed:
            self._waiting.append(self._begin())
            self.closed = False
        return self._waiting[-1]

    def first(self) -> Writing:
        """Take the next piece out."""
        return self._waiting.popleft()


def _to_one() -> _Pieces:
    return _Pieces(lambda: Writing(0, 0, 0))


class Outbox:
    """Collects what is said, and gives it out as messages.

    Args:
        sender: our token.
        reached: the last offset that we committed, or that was there before we came.
        fresh: returns the offset up to which all of our commits have been put in here.
        interest: returns the number of the last change of our interest.
        most_bytes: what may wait.

    Attributes:
        is_open: whether anybody carries messages away. Nothing is kept when not.
        dropped: durable events that were not kept.
        short: the missions of which some text was not kept, as topics, by the node that wants it.
    """

    def __init__(
        self,
        sender: int,
        reached: int,
        fresh: Callable[[], int],
        interest: Callable[[], int],
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.is_open = False
        self.dropped = 0
        self.short: defaultdict[int, set[str]] = defaultdict(set)
        self._sender = sender
        self._reached = reached
        self._fresh = fresh
        self._interest = interest
        self._most_bytes = most_bytes
        self._number = 0
        self._to_all = _Pieces(self._begin)
        self._to_one: defaultdict[int, _Pieces] = defaultdict(_to_one)
        self._size = 0

    @property
    def size_bytes(self) -> int:
        """What waits, about."""
        return self._size

    @property
    def is_empty(self) -> bool:
        """Whether all has gone out."""
        return not self._to_all and not self._to_one

    # To all.

    def unit(self, events: Sequence[Committed]) -> None:
        """Put the events of one unit in."""
        if not events:
            return
        size = _size(events)
        if size <= PIECE_BYTES:
            self._put(events, size)
            return
        for part in _parts(events):
            self._put(part, _size(part))

    def reply(self, to: int, call: str, body: bytes) -> None:
        """Put a reply in."""
        if self._has_room(len(body)):
            self._add(self._to_all, Reply(to, call, body))

    def tell(self, item: Ask | Interest) -> None:
        """Put in what we want text of, or that we don't know what others want."""
        if self.is_open:
            self._add(self._to_all, item)

    def beat(self) -> None:
        """See to it that there is a message, if an empty one."""
        if self.is_open:
            self._to_all.last()

    # To one.

    def text(self, to: Collection[int], event: Ephemeral) -> None:
        """Put an ephemeral event in."""
        fresh = max(self._fresh(), self._reached)
        for token in to:
            if self._has_room(len(event.body)):
                pieces = self._to_one[token]
                piece = pieces.last()
                before = piece.size_bytes
                piece.text(self._reached, fresh, event)
                self._grow(pieces, piece, before)
            else:
                self.short[token].add(f"mission:{event.scope.mission_id}")

    def heard(self, to: int, number: int) -> None:
        """Put in that we have heard of a node's change of interest, behind the text so far.

        Who was not told all of that is not told this.
        """
        if self.is_open and to not in self.short:
            self._add(self._to_one[to], Heard(number, self._reached))

    # Out.

    def take(self) -> list[Letter]:
        """Return what goes out next, together and in this order."""
        letters: list[Letter] = []
        size = 0
        while self._to_one and size < ROUND_BYTES:
            to, pieces = next(iter(self._to_one.items()))
            letters.append(Letter(to, self._finish(pieces.first(), 0)))
            size += len(letters[-1].data)
            if not pieces:
                del self._to_one[to]
        if self._to_all and not self._to_one:
            self._number += 1
            letters.append(Letter(None, self._finish(self._to_all.first(), self._number)))
        return letters

    def open(self) -> None:
        """Begin to keep what is put in."""
        self.is_open = True

    def close(self) -> None:
        """Drop everything, and keep nothing from now on."""
        self.is_open = False
        self.dropped += self._to_all.durable
        self._to_all = _Pieces(self._begin)
        self._to_one.clear()
        self.short.clear()
        self._size = 0

    def _put(self, events: Sequence[Committed], size: int) -> None:
        if self._has_room(size):
            piece = self._to_all.last()
            before = piece.size_bytes
            piece.unit(events)
            self._grow(self._to_all, piece, before)
        else:
            self.dropped += len(events)
            # A message says once, in front, what its sender has reached. That is now more.
            self._to_all.closed = True
        self._reached = events[-1].offset

    def _add(self, pieces: _Pieces, item: Reply | Ask | Interest | Heard) -> None:
        piece = pieces.last()
        before = piece.size_bytes
        piece.add(item)
        self._grow(pieces, piece, before)

    def _begin(self) -> Writing:
        return Writing(self._reached, max(self._fresh(), self._reached), self._interest())

    def _has_room(self, size: int) -> bool:
        return self.is_open and size <= LARGEST_BYTES and self._size + size <= self._most_bytes

    def _grow(self, pieces: _Pieces, piece: Writing, before: int) -> None:
        self._size += piece.size_bytes - before
        pieces.closed = piece.size_bytes >= PIECE_BYTES

    def _finish(self, piece: Writing, number: int) -> bytes:
        self._size -= piece.size_bytes
        return piece.finish(self._sender, number)


def _size(events: Sequence[Committed]) -> int:
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
    yield events[start:] if start else events
