"""What our own missions are streaming, in full, for nodes that missed a part of it.

Deltas are sent once and kept by nobody. A node that begins to want them, or comes back after its
Redis was away, would show text with a hole until the step ends: it is told the text so far instead,
as a delta that begins at 0, in its place among the others.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from events.payloads import LlmDelta
from events.streams import StreamBounds, Streams
from events.topics import Filter
from events.types import Committed, Ephemeral, ephemeral

_BOUNDS: Final = StreamBounds(total_bytes=16 << 20)


class OwnTexts:
    """Follows what this node sends."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._streams = Streams(_BOUNDS)
        self._wall = wall

    def note(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Take note of a unit that is sent, or of ephemeral events."""
        for event in events:
            self._streams.durable(event)
        for late in after:
            if late.type == LlmDelta.TYPE:
                self._streams.delta(late)

    def so_far(
        self, topics: Iterable[str], without: frozenset[str] = frozenset()
    ) -> Iterator[Ephemeral]:
        """Return a delta with the whole text of each stream of these topics that goes on.

        Args:
            topics: of which streams are returned.
            without: topics of which none are.
        """
        for text in self._streams.wanted_by(map(Filter, topics)):
            if without.isdisjoint(text.scope.topics):
                whole = LlmDelta(step=text.step, attempt=text.attempt, at=0, text=text.text)
                yield ephemeral(whole, text.scope, self._wall())
