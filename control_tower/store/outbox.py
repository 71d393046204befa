"""The outbox of the post: letters that wait for the database, and the pieces that go next.

Bounded in bytes, and each letter in time: an old letter could ask for what its sender has long
given up. Put on the event loop and taken by the post's thread, without a lock: each number that is
counted here is written by one of the two.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Final, TypeAlias

import structlog

from control_tower.store.letters import LETTER_BYTES, LetterTooLong, pieces

LIFE_S: Final = 5.0
"""How long a letter may wait for the database."""

WAITING_BYTES: Final = 64 << 20
"""What may wait for the database in all; letters beyond that are lost."""

_BATCH_CHARACTERS: Final = 1 << 20
_BATCH_PIECES: Final = 1_000

Piece: TypeAlias = tuple[int | None, str]
"""To whom, None being all, and the notification."""

log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class _Waiting:
    to: int | None
    letter: bytes
    until: float


class Outbox:
    """What waits to be sent by ``token``."""

    def __init__(self, token: int) -> None:
        self._token = token
        self._waiting: deque[_Waiting] = deque()
        self._put_bytes = 0
        self._taken_bytes = 0
        self._number = 0
        self._cut: Iterator[Piece] = iter(())

    def put(self, to: int | None, letter: bytes) -> None:
        """Let a letter wait; it is lost when there is no room.

        Raises:
            LetterTooLong: it does not wait.
        """
        if len(letter) > LETTER_BYTES:
            raise LetterTooLong(len(letter))
        if self._put_bytes - self._taken_bytes + len(letter) > WAITING_BYTES:
            log.warning("post.full", size_bytes=len(letter))
            return
        self._put_bytes += len(letter)
        self._waiting.append(_Waiting(to, letter, monotonic() + LIFE_S))

    def batch(self) -> list[Piece]:
        """Take what goes in the next transaction; empty: nothing waits."""
        taken: list[Piece] = []
        characters = 0
        while len(taken) < _BATCH_PIECES and characters < _BATCH_CHARACTERS:
            piece = next(self._cut, None) or self._next_letter()
            if piece is None:
                break
            taken.append(piece)
            characters += len(piece[1])
        return taken

    def _next_letter(self) -> Piece | None:
        """Begin with the next letter: return its first piece."""
        self._drop_old()
        if not self._waiting:
            return None
        one = self._waiting.popleft()
        self._taken_bytes += len(one.letter)
        self._number += 1
        to = one.to
        self._cut = ((to, text) for text in pieces(self._token, self._number, one.letter))
        return next(self._cut)

    def _drop_old(self) -> None:
        now, lost = monotonic(), 0
        while self._waiting and self._waiting[0].until < now:
            self._taken_bytes += len(self._waiting.popleft().letter)
            lost += 1
        if lost:
            log.warning("post.letters_lost", letters=lost)

    def drop_rest(self) -> None:
        """Drop what is left of the letter that is being sent: a part of it was lost."""
        self._cut = iter(())
