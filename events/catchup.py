"""Brings connections that are behind to the head, at the pace at which each of them reads.

Those that can go on stand in a line. In its turn each writes about one chunk, then it goes to the
end of the line; a turn of the loop gives the line one slice of time. Who is stuck leaves the line
and comes back when its transport has drained; who needs a page comes back with the page.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from events.log import LogReader
from events.pages import PageKey, Pages
from events.ring import Recent, Ring
from events.subscribers import Subscriber
from events.ticks import SLICE_S, Ticks
from events.turns import Turns

CHUNK_BYTES: Final = 64 << 10
SCAN: Final = 512


@dataclass(slots=True, frozen=True)
class Milestones:
    """What the hub is told.

    Attributes:
        arrived: everything up to the head was written; in this very step it must join its view.
        ended: the mission of an implicit topic ended; the topic was let go.
    """

    arrived: Callable[[Subscriber], None]
    ended: Callable[[Subscriber, str], None]


class CatchUp:
    """The line of connections behind the head."""

    _milestones: Milestones

    def __init__(self, log: LogReader, ring: Ring, ticks: Ticks, turns: Turns) -> None:
        self._ring = ring
        self._ticks = ticks
        self._turns = turns
        self._pages = Pages(log, turns, self._page_arrived)
        self._line: deque[Subscriber] = deque()
        self._waiting: dict[PageKey, list[Subscriber]] = {}
        self._scheduled = False

    def report_to(self, milestones: Milestones) -> None:
        """Say whom to tell. Before anything else."""
        self._milestones = milestones

    @property
    def pages(self) -> Pages:
        """The pages read lately."""
        return self._pages

    def enter(self, subscriber: Subscriber) -> None:
        """Let a subscriber that is behind go on, unless it is in the line or waits already."""
        if not subscriber.waiting and not subscriber.gone:
            subscriber.waiting = True
            self._line.append(subscriber)
            self._wake()

    def _wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._turns.soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        until = self._turns.now() + SLICE_S
        while self._line:
            subscriber = self._line.popleft()
            subscriber.waiting = False
            self._step(subscriber)
            if self._turns.now() >= until:
                break
        if self._line:
            self._wake()

    def _step(self, subscriber: Subscriber) -> None:
        """Write one chunk, or find out what stands in the way."""
        position = subscriber.position
        if subscriber.gone or position.live or subscriber.stuck:
            return
        low = position.lowest(self._ring.head)
        if low < self._ring.head:
            if self._ring.reaches(low):
                self._from_ring(subscriber, low)
            elif not self._from_page(subscriber, low):
                return
        if position.lowest(self._ring.head) >= self._ring.head:
            self._milestones.arrived(subscriber)
        else:
            self.enter(subscriber)

    def _from_ring(self, subscriber: Subscriber, low: int) -> None:
        entries = self._ring.after(low, SCAN)
        self._feed(subscriber, entries, entries[-1].offset)

    def _from_page(self, subscriber: Subscriber, low: int) -> bool:
        """Use the page at hand, or wait for the next; return whether it got on."""
        topics = subscriber.position.behind()
        key = subscriber.page
        page = self._pages.get(key) if key is not None and key[0] == topics else None
        if page is None or key is None or not key[1] <= low < page.upto:
            key = subscriber.page = (topics, low)
            page = self._pages.get(key)
        if page is None:
            self._wait_for(key, subscriber)
            return False
        upto = min(page.upto, subscriber.position.ceiling(self._ring.head))
        if subscriber.position.takes_all():
            data, count, reached = page.chunk(low, upto, CHUNK_BYTES)
            subscriber.position.advance(reached)
            self._send(subscriber, [data], count)
            if not subscriber.stuck and page.upto < self._ring.head:
                # It reads as fast as it is written to: the next page is read meanwhile.
                self._pages.request((topics, page.upto), self._ring.head)
        else:
            self._feed(subscriber, page.between(low, upto), upto)
        return True

    def _feed(self, subscriber: Subscriber, entries: Iterable[Recent], upto: int) -> None:
        """Write what is due of ``entries``, up to a chunk, and advance as far as that was."""
        position, frames, size, reached = subscriber.position, list[bytes](), 0, upto
        for entry in entries:
            if position.due(entry.offset, entry.type, entry.scope):
                frames.append(entry.frame)
                size += len(entry.frame)
            ended = position.ended_by(entry.type, entry.scope)
            if ended is not None:
                position.advance(entry.offset)
                position.detach(ended)
                self._milestones.ended(subscriber, ended)
            if size >= CHUNK_BYTES:
                reached = entry.offset
                break
        position.advance(reached)
        self._send(subscriber, frames, len(frames))

    def _send(self, subscriber: Subscriber, frames: list[bytes], count: int) -> None:
        # Its own pieces came first: the reply to a subscribe precedes what it replays.
        self._ticks.forget(subscriber)
        own = subscriber.drain_own()
        subscriber.settle()
        self._ticks.write(subscriber, own + b"".join(frames))
        self._ticks.written.deliveries += count

    def _wait_for(self, key: PageKey, subscriber: Subscriber) -> None:
        subscriber.waiting = True
        self._waiting.setdefault(key, []).append(subscriber)
        self._pages.request(key, self._ring.head)

    def _page_arrived(self, key: PageKey) -> None:
        for subscriber in self._waiting.pop(key, ()):
            subscriber.waiting = False
            self.enter(subscriber)
