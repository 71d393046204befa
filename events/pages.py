"""Pages of the log, read once for all who are at the same place.

After an outage thousands of connections come back to the same offset. What one of them has read
is kept for a while for the others, within a bound of bytes; a page that was dropped before
somebody was through with it is simply read again. So a connection that reads slowly holds nothing.
"""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import accumulate, chain
from operator import add
from typing import Final, TypeAlias

import structlog

from events.frames import frame_head
from events.log import LogReader, Page
from events.ring import Recent
from events.turns import Turns

PageKey: TypeAlias = tuple[tuple[str, ...], int]
"""Topics, and the offset that the page begins behind."""

RETRY_S: Final = 1.0
PAGE_EVENTS: Final = 1024
"""Of a page at most: with half as many, what a page costs beside its events was a fifth of all."""

_log = structlog.get_logger(__name__)


class ReadPage:
    """A page as the bytes that go out. Complete for its topics up to and including ``upto``.

    Its frames lie end to end, since most who read it want all of it: a stretch is one slice.
    """

    __slots__ = ("_ends", "_joined", "_offsets", "_scopes", "_types", "upto")

    def __init__(self, page: Page) -> None:
        bodies = [event.body for event in page.events]
        heads = [frame_head(len(body)) for body in bodies]
        self.upto = page.upto
        self._joined = b"".join(chain.from_iterable(zip(heads, bodies, strict=True)))
        self._ends = [0, *accumulate(map(add, map(len, heads), map(len, bodies)))]
        self._offsets = [event.offset for event in page.events]
        self._types = [event.type for event in page.events]
        self._scopes = [event.scope for event in page.events]

    @property
    def size_bytes(self) -> int:
        """The length of all frames."""
        return len(self._joined)

    def between(self, after: int, upto: int) -> Iterator[Recent]:
        """Yield the events with ``after < offset <= upto``."""
        start, end = bisect_right(self._offsets, after), bisect_right(self._offsets, upto)
        for at in range(start, end):
            frame = self._joined[self._ends[at] : self._ends[at + 1]]
            yield Recent(self._offsets[at], self._types[at], self._scopes[at], frame)

    def chunk(self, after: int, upto: int, size_bytes: int) -> tuple[bytes, int, int]:
        """Return frames behind ``after``, about ``size_bytes``, their count, and how far."""
        start, end = bisect_right(self._offsets, after), bisect_right(self._offsets, upto)
        first = self._ends[start]
        cut = min(end, bisect_left(self._ends, first + size_bytes, start))
        reached = upto if cut >= end else self._offsets[cut - 1]
        return self._joined[first : self._ends[cut]], cut - start, reached


class Pages:
    """Reads pages, a few at a time, and keeps the latest."""

    def __init__(
        self,
        log: LogReader,
        turns: Turns,
        arrived: Callable[[PageKey], None],
        *,
        keep_bytes: int = 32 << 20,
        at_once: int = 4,
    ) -> None:
        self._log = log
        self._turns = turns
        self._arrived = arrived
        self._keep_bytes = keep_bytes
        self._at_once = at_once
        self._kept: OrderedDict[PageKey, ReadPage] = OrderedDict()
        self._size = 0
        self._wanted: OrderedDict[PageKey, int] = OrderedDict()
        self._reading: set[PageKey] = set()
        self._erasures = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of the pages kept."""
        return self._size

    def get(self, key: PageKey) -> ReadPage | None:
        """Return a page if it is there."""
        page = self._kept.get(key)
        if page is not None:
            self._kept.move_to_end(key)
        return page

    def request(self, key: PageKey, upto: int) -> None:
        """Have a page read, unless it is kept.

        ``arrived`` is called when it is there, or is to be asked for again.
        """
        if key not in self._kept and key not in self._reading and key not in self._wanted:
            self._wanted[key] = upto
            self._start()

    def forget(self) -> None:
        """Drop all pages, those on their way too: some of what they hold was erased."""
        self._erasures += 1
        self._kept.clear()
        self._size = 0

    def _start(self) -> None:
        while self._wanted and len(self._reading) < self._at_once:
            key, upto = self._wanted.popitem(last=False)
            self._reading.add(key)
            self._turns.spawn(self._read(key, upto))

    async def _read(self, key: PageKey, upto: int) -> None:
        topics, after = key
        erasures = self._erasures
        try:
            page = await self._log.read(topics, after, upto, PAGE_EVENTS)
            if page.upto <= after:
                raise ValueError(f"a page behind {after} that reaches {page.upto}")
        except Exception:  # noqa: BLE001  whatever a store raises, who waits must not hang
            _log.exception("page_read_failed", topics=topics, after=after)
            self._reading.discard(key)
            self._turns.later(RETRY_S, lambda: self._arrived(key))
        else:
            self._reading.discard(key)
            if erasures == self._erasures:
                self._keep(key, ReadPage(page))
            self._arrived(key)
        self._start()

    def _keep(self, key: PageKey, page: ReadPage) -> None:
        self._kept[key] = page
        self._size += page.size_bytes
        while self._size > self._keep_bytes and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= dropped.size_bytes
