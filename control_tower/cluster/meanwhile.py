"""What is said of missions while a page of their rows is read, to be said again behind the rows.

A row is as of the moment at which the store looked, and is taken in later. Whether an event came
before that moment or after nobody knows; so all are kept, in their order, and taken in twice.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from events.types import Committed

MOST_BYTES: Final = 8 << 20
"""More is not kept, as when a database hangs while others commit: the page is read again."""

ROOM_OF_EVENT: Final = 200
"""What an event weighs in memory beside its body, about."""


class Meanwhile:
    """Events since the read of a page began.

    Attributes:
        too_much: there were more than may be kept, and none are.
    """

    def __init__(self) -> None:
        self.too_much = False
        self._bytes = 0
        self._events: defaultdict[str, list[Committed]] = defaultdict(list)

    def keep(self, pid: str, event: Committed) -> None:
        """Keep an event of a mission."""
        if self.too_much:
            return
        self._events[pid].append(event)
        self._bytes += ROOM_OF_EVENT + len(event.body)
        if self._bytes > MOST_BYTES:
            self.too_much = True
            self._events.clear()

    def of(self, pid: str) -> Sequence[Committed]:
        """Return what was said of a mission, in order."""
        return self._events.get(pid, ())
