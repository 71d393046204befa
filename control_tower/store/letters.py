"""How a letter becomes notifications of PostgreSQL, and these a letter again. A core.

A notification carries fewer than 8 000 bytes of text, so a letter is cut into pieces, each with
who sent it, the letter's number, its own place and how many there are. One sender's pieces arrive
in the order in which they went out, as PostgreSQL keeps it; so whatever does not continue a letter
means that the rest of that one was lost.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

PIECE_BYTES: Final = 5_925
"""Of a letter, in one notification: 7 900 characters, which leaves 99 for what is beside it."""

LETTER_BYTES: Final = 16 << 20
"""The longest letter."""

UNFINISHED_S: Final = 30.0
"""How long the beginning of a letter is kept."""

_MOST_PIECES: Final = -(-LETTER_BYTES // PIECE_BYTES)


class LetterTooLong(ValueError):
    """A letter is longer than :data:`LETTER_BYTES`."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"a letter of {size_bytes} bytes; {LETTER_BYTES} at most")
        self.size_bytes = size_bytes


def pieces(sender: int, number: int, letter: bytes) -> Iterator[str]:
    """Yield the notifications of a letter, in order. ``number`` is its sender's count of letters.

    Raises:
        LetterTooLong: at the first piece.
    """
    if len(letter) > LETTER_BYTES:
        raise LetterTooLong(len(letter))
    count = max(1, -(-len(letter) // PIECE_BYTES))
    for place in range(count):
        part = letter[place * PIECE_BYTES : (place + 1) * PIECE_BYTES]
        yield f"{sender}.{number}.{place}.{count}.{b64encode(part).decode()}"


@dataclass(slots=True)
class _Unfinished:
    number: int
    count: int
    since: float
    parts: list[bytes] = field(default_factory=list)


class Assembly:
    """Puts letters together; holds at most one unfinished letter of each sender.

    ``now`` is in seconds, of any clock that never goes back.
    """

    def __init__(self) -> None:
        self._unfinished: dict[int, _Unfinished] = {}

    def __len__(self) -> int:
        return len(self._unfinished)

    def take(self, notification: str, now: float) -> tuple[int, bytes] | None:
        """Take a piece; return sender and letter if that completes one.

        Raises:
            ValueError: when it is no piece of a letter.
        """
        head = notification.split(".", 4)
        if len(head) != 5:
            raise ValueError("not a piece of a letter")
        sender, number, place, count = map(int, head[:4])
        part = b64decode(head[4], validate=True)
        if not 0 <= place < count <= _MOST_PIECES:
            raise ValueError("a piece out of its letter's bounds")
        if count == 1:
            self._unfinished.pop(sender, None)
            return sender, part
        return self._put(sender, _Unfinished(number, count, now), place, part)

    def _put(
        self, sender: int, whole: _Unfinished, place: int, part: bytes
    ) -> tuple[int, bytes] | None:
        if place == 0:
            self._unfinished[sender] = whole
        found = self._unfinished.get(sender)
        if found is None:
            return None
        if (found.number, found.count, len(found.parts)) != (whole.number, whole.count, place):
            del self._unfinished[sender]
            return None
        found.parts.append(part)
        if len(found.parts) < found.count:
            return None
        del self._unfinished[sender]
        return sender, b"".join(found.parts)

    def forget_old(self, now: float) -> None:
        """Drop letters of which the rest has not come."""
        for sender, found in tuple(self._unfinished.items()):
            if found.since <= now - UNFINISHED_S:
                del self._unfinished[sender]

    def clear(self) -> None:
        """Drop all that is unfinished: the rest was lost."""
        self._unfinished.clear()
