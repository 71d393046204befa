"""The bus between processes, over Redis: what one node commits reaches every node's hub.

A shell around :mod:`events.sequence` (what may be given to the hub), :mod:`events.text_routes` (who
is sent which text), :mod:`events.outbox` (what is to be said) and :mod:`events.redis_links` (the
connections). Events go to all nodes over one channel, text over one of each node's own.

Redis is never the truth. What it loses is found missing and read from the log; while it is gone,
each second's look at the log's head takes its place: events are late by that, and there are no
deltas of other nodes. Whoever is back asks for what streams by then, and so does who had to drop
text that came too late, so that no text keeps a hole.

Our own units need nobody: their completions ran before they come here, and they go on to the hub
at once unless an earlier offset of another node is still to come.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Final

import structlog

from events.bus import Receiver
from events.bus_messages import (
    VERSION,
    Item,
    NotOurs,
    Reader,
    Reply,
    TextSaid,
    UnitSaid,
    sender_of,
)
from events.bus_ports import BusFigures, BusPorts
from events.log import Page
from events.outbox import Outbox
from events.redis_links import Listener, Speaker, connections
from events.sequence import PATIENCE_S, Sequencer, Source, Stretch
from events.text_routes import TextRoutes
from events.types import Committed, Ephemeral

LOOK_EVERY_S: Final = 1.0
REPLIES_WAIT_S: Final = 1.0
"""How long a read from the log waits for replies that should come first, at most."""
FAREWELL_S: Final = 1.0

_RETRY_S: Final = 0.25
_GLANCE_S: Final = 0.005

log = structlog.get_logger(__name__)


class LogAway(Exception):
    """The log can't be read now."""


class RedisBus:
    """An ``events.bus.Bus``, and the way of replies between nodes.

    Args:
        url: of Redis, which need not be there.
        token: ours: no other node has it, and no earlier start of this one had.
        receiver: the hub, or what stands before it.
        seen: the hub's head.
        ports: see there.
        patience_s: how long an earlier offset is waited for before the log is read.

    Attributes:
        routes: of text: the hub's audience.
    """

    def __init__(
        self,
        url: str,
        *,
        token: int,
        receiver: Receiver,
        seen: int,
        ports: BusPorts,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._token = token
        self._ports = ports
        self._pool = connections(url)
        self._sequencer = Sequencer(receiver, seen, patience_s)
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(
            token, seen, lambda: self._sequencer.fresh, lambda: self.routes.number
        )
        channel = f"tower:{ports.log.epoch}"
        self._look_now = asyncio.Event()
        works = self._look_now.set
        self._speaker = Speaker(self._pool, works, channel, self._outbox)
        self._listener = Listener(self._pool, works, (channel, f"{channel}:{token}"), self._heard)
        self._reader = Reader()
        self.routes = TextRoutes(
            token,
            self._outbox,
            wake=self._speaker.wake,
            seen=lambda: self._sequencer.seen,
            clock=self._loop.time,
        )
        self._began, self._begin_at = (0, 0), 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._hole = asyncio.Event()
        self._ignored = 0
        self._told_of: set[object] = set()

    async def start(self) -> None:
        """Begin to send and receive. Does not wait for Redis."""
        for work in (self._speaker.run, self._listener.run, self._look, self._mend):
            self._tasks.append(self._loop.create_task(_for_ever(work)))

    async def close(self) -> None:
        """Say what is still to be said, within ``FAREWELL_S``, and let go of Redis."""
        with contextlib.suppress(TimeoutError):  # nobody takes it; the others read the log
            async with asyncio.timeout(FAREWELL_S):
                await self._speaker.idle()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        if self._timer is not None:
            self._timer.cancel()
        await self._pool.aclose()

    @property
    def connected(self) -> bool:
        """Whether messages go out and come in, as far as is known."""
        return self._speaker.connected and self._listener.connected

    def figures(self) -> BusFigures:
        """Return counts for metrics."""
        sequence = self._sequencer.figures
        return BusFigures(
            connected=self.connected,
            lost=self._speaker.lost + self._listener.lost,
            sent=self._speaker.sent,
            sent_bytes=self._speaker.sent_bytes,
            received=self._listener.received,
            received_bytes=self._listener.received_bytes,
            ignored=self._ignored,
            dropped=self._outbox.dropped,
            log_reads=sequence.log_reads,
            log_events=sequence.log_events,
            late=sequence.late,
            waiting_bytes=self._sequencer.waiting_bytes + self._outbox.size_bytes,
        )

    # Out.

    def send(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Send the events of a unit to all nodes, its ephemeral ones to those that want them."""
        self._outbox.unit(events)
        self.routes.send(events, after)
        self._speaker.wake()
        self._sequencer.send(events, after, self._loop.time())
        self._watch()

    def send_ephemeral(self, event: Ephemeral) -> None:
        """Send an ephemeral event, here and to the nodes that want it."""
        self.routes.send((), (event,))
        self._sequencer.send_ephemeral(event, self._loop.time())
        self._watch()

    def reply(self, to: int, call: str, body: bytes) -> None:
        """Send a reply to a node, in front of whatever events this node sends from now on."""
        if to == self._token:
            self._ports.on_reply(call, body)
            return
        self._outbox.reply(to, call, body)
        self._speaker.wake()

    def note_head(self, head: int) -> None:
        """Take note of the log's head, from whoever has looked it up."""
        self._sequencer.looked(head, self._loop.time())
        self._watch()

    # In.

    def _heard(self, data: bytes) -> None:
        try:
            sender = sender_of(data)
            if sender == self._token:
                return  # our own; that it came back is what the listener wanted to know
            message = self._reader.read(data)
        except NotOurs as error:
            self._ignore(error)
            return
        now, source = self._loop.time(), None
        if message.number:
            source = self._sequencer.begin(
                sender, message.number, message.reached, message.fresh, now
            )
            if source is None:
                return
            self.routes.heard_from(sender, message.interest)
        for item in message.items:
            self._take(sender, source, item, now)
        self.routes.ask_back(sender)
        self._watch()

    def _take(self, sender: int, source: Source | None, item: Item, now: float) -> None:
        try:
            if isinstance(item, TextSaid):
                self._sequencer.text(sender, item.reached, item.fresh, item.event, now)
            elif isinstance(item, UnitSaid):
                if source is not None:
                    self._sequencer.unit(source, item.events, (), now)
            elif not isinstance(item, Reply):
                self.routes.take(sender, item)
            elif item.to == self._token:
                self._ports.on_reply(item.call, item.body)
        except Exception:  # a bug of who is told; it must not keep others from what follows
            log.exception("bus.receiver_failed")

    def _ignore(self, error: NotOurs) -> None:
        self._ignored += 1
        if error.version not in self._told_of:
            self._told_of.add(error.version)
            log.warning("bus.message_ignored", version=error.version, ours=VERSION)

    # Holes.

    async def _look(self) -> None:
        while True:
            self._look_now.clear()
            self.note_head(self._ports.head())
            self._begin()
            self.routes.missed(self._sequencer.missed)
            self._say_own_again()
            self.routes.beat()
            self._outbox.beat()
            self._speaker.wake()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), LOOK_EVERY_S)

    def _begin(self) -> None:
        """Exchange with the others who wants what, when a connection is a new one.

        Once a second at most, however often one breaks.
        """
        times, now = (self._listener.times, self._speaker.times), self._loop.time()
        if self.connected and times != self._began and now >= self._begin_at:
            self._began, self._begin_at = times, now + LOOK_EVERY_S
            self.routes.begin()

    def _say_own_again(self) -> None:
        """Give our own hub the texts of which some was forgotten here; nobody else has them."""
        if self._sequencer.short and not self._sequencer.waiting_bytes:
            missions, self._sequencer.short = self._sequencer.short, set()
            for text in self.routes.own_texts(missions):
                self._sequencer.send_ephemeral(text, self._loop.time())

    def _watch(self) -> None:
        """See to it that a hole is looked at when its time has come."""
        if self._timer is None:
            due = self._sequencer.due()
            if due is not None:
                self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        due = self._sequencer.due()
        if due is not None and due <= self._loop.time():
            self._hole.set()
        else:
            self._watch()

    async def _mend(self) -> None:
        while True:
            await self._hole.wait()
            self._hole.clear()
            stretch = self._sequencer.missing(self._loop.time())
            if stretch is not None:
                await self._read(stretch)
            self._watch()

    async def _read(self, stretch: Stretch) -> None:
        """Read what is missing, up to what is known to be there."""
        left: Stretch | None = stretch
        try:
            await self._ports.replied(REPLIES_WAIT_S)
            while left is not None:
                page = await self._page(left)
                left = await self._publish(page)
        except LogAway:
            await asyncio.sleep(_RETRY_S)
        finally:
            if left is not None:
                self._sequencer.failed(self._loop.time())

    async def _page(self, left: Stretch) -> Page:
        try:
            return await self._ports.log.read(("system",), left.after, left.upto)
        except Exception as error:  # whatever the store raises while its database is away
            log.warning("bus.log_unread", error=type(error).__name__, after=left.after)
            raise LogAway from error

    async def _publish(self, page: Page) -> Stretch | None:
        """Hand a page on; what our own writer has under way comes from there, not from here."""
        events = page.events
        while (own := self._ports.own_from()) is not None and own <= page.upto:
            before = [event for event in events if event.offset < own]
            if own - 1 > self._sequencer.seen:
                self._sequencer.page(before, own - 1, self._loop.time())
            events = events[len(before) :]
            await _until(lambda own=own: self._ports.own_from() != own, LOOK_EVERY_S)  # type: ignore[misc]
        return self._sequencer.page(events, page.upto, self._loop.time())


async def _until(come: Callable[[], bool], most_s: float) -> None:
    """Wait for what nobody tells of, at most so long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + most_s
    while not come() and loop.time() < until:  # noqa: ASYNC110 - it is rare, and for moments
        await asyncio.sleep(_GLANCE_S)


async def _for_ever(work: Callable[[], Coroutine[None, None, None]]) -> None:
    while True:
        try:
            await work()
        except Exception:  # a bug, ours or a receiver's; the fan-out must not end with it
            log.exception("bus.failed", work=getattr(work, "__qualname__", ""))
        await asyncio.sleep(LOOK_EVERY_S)
