"""The hub: every event, once, to every connection that it is for.

For the server. Everything here runs on the event loop, and nothing blocks it. ::

    hub = Hub(log, LoopTurns(), limits)      # after the store is open: takes log.head as it is
    hub.start()                              # the sweep: pings, stalled and silent connections
    bridge = Bridge(LocalBus(hub))           # the writer's Publish, the kernel's Publisher
    ...
    await hub.close()

A connection brings an :class:`~events.subscribers.Outlet` (its way out) and gets a
:class:`~events.subscribers.Subscriber` (its place here)::

    subscriber = hub.add(outlet)
    hub.say(subscriber, body)                # a reply: JSON text in UTF-8, framed here
    await hub.subscribe(subscriber, filters, since, epoch, attached)
    hub.unsubscribe(subscriber, topics); hub.topics(subscriber)
    hub.follow(subscriber, mission_id, user_id)  # implicit, until that mission's terminal event
    hub.offset(subscriber)                   # for ping
    hub.stuck(subscriber), hub.drained(subscriber), hub.heard(subscriber)   # from its transport
    hub.finish(subscriber)                   # before closing it: what is pending goes out
    hub.remove(subscriber)                   # it is lost; idempotent

* Replies and events share one ordered output: what is said stands behind what was published to
  that connection so far and before everything that is published later. So a command's reply, said
  in its unit's ``committed`` (where ``follow`` belongs too), precedes the events of the unit.
* ``subscribe`` calls ``attached`` in the very step in which it takes effect; say the reply there.
  A snapshot taken there is exact as of ``Subscribed.offset``, ``partial_text`` included.
* ``follow`` only a mission that has not ended: a mission's end is what ends it.
* Where other processes write the same log, set ``others``: awaited before a place beyond our
  head is refused and before a mission's topic is attached, it returns once all is published that
  they have committed by then. So a mission that is not active here then has ended. And set
  ``audience`` before anybody connects: text of theirs comes here as far as it is told to want it.
* After an erasure call ``forget_recent``, so that replays read the log and not this memory.
* For server-sent events and the like, write an Outlet that splits frames with
  :func:`events.frames.payloads`.

How a tick works is in ``ticks.py`` and ``views.py``; how nothing is lost or doubled while a
connection is behind, in ``replay.py``.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import structlog

from events.audience import Audience
from events.catchup import CatchUp, Milestones
from events.errors import OutOfOrder, TooManyTopics
from events.frames import text_frame
from events.liveness import Liveness, LivenessLimits
from events.log import LogReader
from events.payloads import LlmDelta, ReplayDone, TowerDraining
from events.places import Places
from events.ring import Ring, RingBounds, recent
from events.streams import StreamBounds, Streams, StreamText
from events.subscribers import Outlet, Subscriber
from events.ticks import Ticks, Troubles, Written
from events.topics import Filter
from events.turns import Turns
from events.types import Committed, Ephemeral, Scope, ephemeral

SLOW: Final = 4413
_NOWHERE: Final = Scope(None, None)

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class HubLimits:
    """Bounds of the fan-out. ``buffer_bytes`` is what may wait for one connection."""

    buffer_bytes: int = 1 << 20
    max_topics: int = 100
    liveness: LivenessLimits = field(default_factory=LivenessLimits)
    ring: RingBounds = field(default_factory=RingBounds)
    streams: StreamBounds = field(default_factory=StreamBounds)


class Subscribed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What came of a subscribe. ``topics`` are all that the connection has now."""

    topics: list[str]
    epoch: str
    offset: int
    recovered: bool
    reason: str | None = None
    floor: int | None = None


@dataclass(slots=True)
class HubFigures:
    """For metrics."""

    connections: int
    views: int
    behind: int
    slow_closed: int
    dead_aborted: int
    ring_bytes: int
    page_bytes: int
    stream_bytes: int
    written: Written


class Hub:
    """Fans events out; see the head of this file."""

    def __init__(
        self,
        log: LogReader,
        turns: Turns,
        limits: HubLimits | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._turns = turns
        self._limits = limits or HubLimits()
        self.wall = wall
        self.others: Callable[[], Awaitable[None]] | None = None
        self.audience: Audience | None = None
        self._ring = Ring(log.head, self._limits.ring)
        self._streams = Streams(self._limits.streams)
        self._subscribers: dict[Subscriber, None] = {}
        self._slow_closed = 0
        self._dead_aborted = 0
        self._ticks = Ticks(turns, self._limits.buffer_bytes, self._ring.head)
        self._catchup = CatchUp(log, self._ring, self._ticks, turns)
        self._places = Places(self._ring, self._ticks, self._catchup.enter, self._greet)
        self._ticks.report_to(
            Troubles(slow=self._close_slow, lapsed=self._places.lapse, broken=self._drop_broken),
            self._places.tick_ended,
        )
        self._catchup.report_to(Milestones(arrived=self._places.settle, ended=self._places.ended))
        self._liveness = Liveness(
            turns, self._ticks, self._limits.liveness, lambda: self._subscribers, self._abort_dead
        )

    @property
    def head(self) -> int:
        """The last offset published."""
        return self._ring.head

    @property
    def epoch(self) -> str:
        """The log's epoch."""
        return self._log.epoch

    def figures(self) -> HubFigures:
        """Return counts for metrics; takes time in proportion to the connections."""
        return HubFigures(
            connections=len(self._subscribers),
            views=len(self._places),
            behind=sum(not one.position.live for one in self._subscribers),
            slow_closed=self._slow_closed,
            dead_aborted=self._dead_aborted,
            ring_bytes=self._ring.size_bytes,
            page_bytes=self._catchup.pages.size_bytes,
            stream_bytes=self._streams.size_bytes,
            written=self._ticks.written,
        )

    def start(self) -> None:
        """Begin to sweep."""
        self._liveness.start()

    async def close(self) -> None:
        """Stop sweeping and reading. Connections are their owners' to close."""
        await self._turns.close()

    # Events in.

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral] = ()) -> None:
        """Fan the events of one unit out, then its ephemeral ones.

        Raises:
            OutOfOrder: if they do not follow the last one published.
        """
        for event in events:
            if event.offset != self._ring.head + 1:
                raise OutOfOrder(self._ring.head + 1, event.offset)
            entry = recent(event)
            self._ring.append(entry)
            self._streams.durable(event)
            self._ticks.publish(self._places.matching(event.type, event.scope), entry.frame)
            self._places.note(event)
        self._ticks.reach(self._ring.head)
        for late in after:
            self.publish_ephemeral(late)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Fan an ephemeral event out; ``tower.draining`` goes to every connection."""
        frame = text_frame(event.body)
        if event.type == TowerDraining.TYPE:
            for subscriber in self._subscribers:
                self._ticks.say(subscriber, frame)
            return
        if event.type == LlmDelta.TYPE:
            self._streams.delta(event)
        self._ticks.publish(self._places.matching(event.type, event.scope), frame)

    def forget_recent(self) -> None:
        """Drop what is held of the recent log: some of it was erased."""
        self._ring.forget()
        self._catchup.pages.forget()

    # Connections.

    def add(self, outlet: Outlet) -> Subscriber:
        """Take a connection in. It gets nothing until it subscribes."""
        subscriber = Subscriber(outlet, self._turns.now(), self.audience)
        self._subscribers[subscriber] = None
        return subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """Forget a connection; a second time does nothing."""
        if subscriber.gone:
            return
        subscriber.gone = True
        del self._subscribers[subscriber]
        self._places.remove(subscriber)
        self._ticks.forget(subscriber)

    def finish(self, subscriber: Subscriber) -> None:
        """Write what is pending for a connection that is about to be closed, and forget it."""
        if subscriber.gone:
            return
        self._places.remove(subscriber)
        self._ticks.write(subscriber, subscriber.drain_own())
        self.remove(subscriber)

    def say(self, subscriber: Subscriber, body: bytes) -> None:
        """Send a message to one connection, behind what was published to it so far."""
        self._ticks.say(subscriber, text_frame(body))

    def stuck(self, subscriber: Subscriber) -> None:
        """Its transport has begun to hold bytes."""
        subscriber.stuck = True
        subscriber.plain = False
        subscriber.pushed = subscriber.outlet.buffered()
        subscriber.taken = 0
        subscriber.moved_at = self._turns.now()

    def drained(self, subscriber: Subscriber) -> None:
        """Its transport holds nothing any more."""
        subscriber.stuck = False
        subscriber.plain = not (subscriber.skip or subscriber.own)
        # Bytes that moved are life: the pong to a ping may have waited behind them.
        subscriber.heard_at = self._turns.now()
        if not subscriber.position.live:
            self._catchup.enter(subscriber)

    def heard(self, subscriber: Subscriber) -> None:
        """It sent something, whatever it was."""
        subscriber.heard_at = self._turns.now()

    # Subscriptions.

    def topics(self, subscriber: Subscriber) -> list[str]:
        """Return its topics, implicit ones left out."""
        return subscriber.position.topics

    def hears(self, subscriber: Subscriber) -> bool:
        """Return whether it has any topic, implicit ones too."""
        return bool(subscriber.position.filters)

    def offset(self, subscriber: Subscriber) -> int:
        """Return the offset up to which all of its topics precede what is said to it now."""
        return subscriber.position.lowest(self._ring.head)

    async def present(self) -> int:
        """Return the last offset published, others' events of until now among them."""
        if self.others is not None:
            await self.others()
        return self._ring.head

    async def _is_beyond(self, since: int) -> bool:
        return since > self._ring.head and since > await self.present()

    async def subscribe(
        self,
        subscriber: Subscriber,
        filters: Sequence[Filter],
        since: int | None,
        epoch: str | None,
        attached: Callable[[Subscribed], None],
    ) -> None:
        """Attach topics. ``since`` None is "now", 0 is "start".

        ``attached`` is called once, in the step in which the topics are attached; what follows
        ``since``, or the head, comes behind whatever it says. Cancelled before that, the
        connection has what it had.

        Raises:
            TooManyTopics: if the connection would have more than it may.
        """
        self._check_count(subscriber, filters)
        if self.audience is not None:
            await self.audience.expects([one.topic for one in filters if one.wants_text])
        if any(one.is_of_mission for one in filters):
            # Who asks takes a mission that is not active here for ended, not for unknown as yet.
            await self.present()
        reason = floor = None
        if since is not None:
            if epoch not in {None, self._log.epoch} or await self._is_beyond(since):
                reason = "epoch_changed"
            elif since < self._ring.head:
                floor = await self._log.floor([one.topic for one in filters])
                reason = "history_gap" if since < floor else None
        self._check_count(subscriber, filters)
        if subscriber.gone:
            return
        self._places.attach(subscriber, filters, None if reason else since)
        attached(
            Subscribed(
                topics=subscriber.position.topics,
                epoch=self._log.epoch,
                offset=self._ring.head,
                recovered=reason is None,
                reason=reason,
                floor=floor if reason == "history_gap" else None,
            )
        )
        self._places.settle(subscriber)

    def unsubscribe(self, subscriber: Subscriber, topics: Sequence[str]) -> list[str]:
        """Let topics go, implicit ones too; return those that remain."""
        self._places.detach(subscriber, topics)
        return subscriber.position.topics

    def follow(self, subscriber: Subscriber, mission_id: str, user_id: str) -> None:
        """Give it a user's mission's events until the terminal one; then that ends by itself."""
        if not subscriber.gone:
            self._places.follow(subscriber, mission_id, user_id)

    # What streams.

    def streams_of(self, mission_id: str) -> list[StreamText]:
        """Return the texts that a mission is streaming, the one that moved last at the end."""
        return self._streams.of_mission(mission_id)

    def partial_text(self, mission_id: str) -> str | None:
        """Return the text so far of the stream of a mission that moved last."""
        streams = self._streams.of_mission(mission_id)
        return streams[-1].text if streams else None

    # Inside.

    def _check_count(self, subscriber: Subscriber, filters: Sequence[Filter]) -> None:
        topics = set(subscriber.position.topics) | {one.topic for one in filters}
        if len(topics) > self._limits.max_topics:
            raise TooManyTopics(self._limits.max_topics)

    def _greet(self, subscriber: Subscriber, was_behind: bool) -> None:
        """It is live: say which replays are done, and the texts of which it missed a part."""
        calls, subscriber.calls = subscriber.calls, []
        for topics in calls:
            self._say_done(subscriber, topics)
        if calls or was_behind:
            self._say_texts(subscriber)

    def _say_done(self, subscriber: Subscriber, topics: list[str]) -> None:
        done = ReplayDone(topics=topics, offset=self.head)
        self.say(subscriber, ephemeral(done, _NOWHERE, self.wall()).body)

    def _say_texts(self, subscriber: Subscriber) -> None:
        """Say what its missions are streaming so far, within half of what may wait for it."""
        room = self._limits.buffer_bytes // 2
        for text in self._streams.wanted_by(subscriber.position.filters):
            delta = LlmDelta(step=text.step, attempt=text.attempt, at=0, text=text.text)
            body = ephemeral(delta, text.scope, self.wall()).body
            if len(body) <= room:
                room -= len(body)
                self.say(subscriber, body)

    def _close_slow(self, subscriber: Subscriber) -> None:
        self._slow_closed += 1
        self.remove(subscriber)
        subscriber.outlet.close(SLOW, "reading too slowly")

    def _drop_broken(self, subscriber: Subscriber) -> None:
        _log.exception("outlet_broken", outlet=type(subscriber.outlet).__name__)
        self.remove(subscriber)
        subscriber.outlet.abort()

    def _abort_dead(self, subscriber: Subscriber) -> None:
        self._dead_aborted += 1
        self.remove(subscriber)
        subscriber.outlet.abort()
