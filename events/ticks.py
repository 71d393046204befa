"""Ticks: everything that came about in one turn of the loop leaves with one write a connection.

A tick is flushed in the next turn. If that takes longer than a slice, the rest goes on in the turn
after, and the tick that has begun meanwhile waits: ticks are never mixed. What happens to members
in between (they leave, they are answered) is settled by :class:`events.views.Batch`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from events.subscribers import Subscriber
from events.turns import Turns
from events.views import Batch, View

SLICE_S: Final = 0.002
_CHECK_EVERY: Final = 32


@dataclass(slots=True)
class Written:
    """What was sent, for metrics. ``deliveries`` counts events times their receivers."""

    writes: int = 0
    deliveries: int = 0
    size_bytes: int = 0


@dataclass(slots=True, frozen=True)
class Troubles:
    """What the flush finds and does not decide.

    Attributes:
        slow: the subscriber does not read and is over its bound; it is to be dropped.
        lapsed: the subscriber reads, but this tick alone is over its bound. It is to read it from
            the ring at its own pace, behind ``base`` or its ``firm_at``.
        broken: its outlet raised, which is that outlet's bug; called in the ``except`` clause.
            The subscriber is to be dropped: nobody else's events may wait for it.
    """

    slow: Callable[[Subscriber], None]
    lapsed: Callable[[Subscriber, int], None]
    broken: Callable[[Subscriber], None]


class Ticks:
    """Collects frames of views and own pieces of subscribers, and writes them."""

    _troubles: Troubles
    _ended: Callable[[int], None]

    def __init__(self, turns: Turns, bound_bytes: int, head: int) -> None:
        self._turns = turns
        self._bound = bound_bytes
        self._dirty: list[View] = []
        self._talkers: dict[Subscriber, None] = {}
        self._running: deque[Batch] = deque()
        self._scheduled = False
        self._base = self._head = head
        self.written = Written()

    def report_to(self, troubles: Troubles, ended: Callable[[int], None]) -> None:
        """Say whom to tell of troubles, and up to which offset a tick was written.

        Before anything else.
        """
        self._troubles = troubles
        self._ended = ended

    def publish(self, views: list[View], frame: bytes) -> None:
        """Add a frame to the tick of each of ``views``."""
        for view in views:
            if not view.pending:
                self._dirty.append(view)
            view.pending.append(frame)
        if views:
            self.wake()

    def reach(self, head: int) -> None:
        """The tick now contains everything up to ``head``."""
        self._head = head

    def say(self, subscriber: Subscriber, frames: bytes) -> None:
        """Add own frames of a subscriber to the tick."""
        if not subscriber.gone:
            subscriber.say(frames, self._head)
            self.listen(subscriber)

    def listen(self, subscriber: Subscriber) -> None:
        """See to it that a subscriber's own pieces are written."""
        if subscriber.own and not subscriber.gone:
            self._talkers[subscriber] = None
            self.wake()

    def forget(self, subscriber: Subscriber) -> None:
        """Its own pieces are written, or will never be."""
        self._talkers.pop(subscriber, None)

    def wake(self) -> None:
        """Have the tick end in the next turn."""
        if not self._scheduled:
            self._scheduled = True
            self._turns.soon(self._flush)

    def write(self, subscriber: Subscriber, data: bytes) -> None:
        """Write outside of any view: own pieces and replays. Over the bound only if it reads."""
        if not data:
            return
        self.written.writes += 1
        self.written.size_bytes += len(data)
        try:
            self._put(subscriber, data)
        except Exception:  # noqa: BLE001  reported as broken, with all that was raised
            self._troubles.broken(subscriber)

    def _put(self, subscriber: Subscriber, data: bytes) -> None:
        if not subscriber.stuck:
            subscriber.write(data)
        elif subscriber.outlet.buffered() + len(data) > self._bound:
            self._troubles.slow(subscriber)
        else:
            subscriber.pushed += len(data)
            subscriber.write(data)

    def _flush(self) -> None:
        if not self._running:
            self._begin()
        until = self._turns.now() + SLICE_S
        while self._running:
            if not self._deliver(self._running[0], until):
                self._interrupt()
                return
            self._running.popleft().view.batch = None
        self._scheduled = False
        # Not up to the head: a tick may have begun while this one was being written.
        self._ended(self._base)
        if self._dirty or self._talkers:
            self.wake()

    def _begin(self) -> None:
        base, self._base = self._base, self._head
        dirty, self._dirty = self._dirty, []
        talkers, self._talkers = self._talkers, {}
        for view in dirty:
            self._running.append(Batch(view, base))
        for subscriber in talkers:
            if subscriber.view is None or subscriber.view.batch is None:
                own = subscriber.drain_own()
                subscriber.settle()
                self.write(subscriber, own)

    def _deliver(self, batch: Batch, until: float) -> bool:
        joined, count = batch.joined, 0
        huge = len(joined) > self._bound
        while members := batch.next_members(_CHECK_EVERY):
            for member in members:
                try:
                    if member.plain and not huge:
                        member.write(joined)
                    else:
                        self._serve(member, batch)
                except Exception:  # noqa: BLE001  reported as broken, with all that was raised
                    self._troubles.broken(member)
            count += len(members)
            if self._turns.now() >= until:
                break
        self.written.writes += count
        self.written.deliveries += count * len(batch.frames)
        self.written.size_bytes += count * len(joined)
        return not members

    def _serve(self, member: Subscriber, batch: Batch) -> None:
        """Write to a member that has own pieces, joined late, is stuck, or gets a great deal."""
        if batch.share_of(member) > self._bound and self._may_lapse(member, batch):
            # A reply may say what had been told by then, so that much is told before it.
            firm = batch.firm_share_of(member)
            if firm:
                member.write(firm)
            self._troubles.lapsed(member, batch.base)
            return
        if batch.interrupted:
            # Its own pieces and its skip belong to the next tick already.
            data = batch.joined
        else:
            data = member.merge(batch.frames)
            member.settle()
        self._put(member, data)

    def _may_lapse(self, member: Subscriber, batch: Batch) -> bool:
        # What it was told in the tick that has begun since stands behind all of this one.
        return not member.stuck and not (batch.interrupted and member.own)

    def _interrupt(self) -> None:
        for batch in self._running:
            for special in batch.interrupt():
                self._talkers[special] = None
        self._turns.soon(self._flush)
