"""What may be given to the hub now, when several processes commit to one log.

A core: it is told the time, never awaits, and calls its receiver with everything that is due.

Durable events come from four sides: our own commits, other nodes' messages, pages of the log, and
each look at the log's head, which only says that there are some. The receiver gets every offset
once, in order. What is ahead of a hole waits; a hole that does not close within ``PATIENCE_S`` is
read from the log. So a message that is lost costs some milliseconds, never an event.

Ephemeral events have no offset, and come another way: each only to nodes that want it, before any
later event of its sender. They keep their place in their sender's stream by two numbers:

* ``reached``: the last offset which the sender itself committed before. They wait for it, and are
  given as soon as it was, before anything else is.
* ``fresh``: whatever the sender committed up to here, it had put on its way before. If the log gave
  us the end of a step of the same mission from beyond, they are late: what they belong to may be
  over, and text must not come behind it, so they are dropped.

No event that waits is needed: it is all in the log. So when too much waits, it is forgotten.
Text is in no log, and what is dropped may belong to a stream that goes on: another step's, or the
one outside of all steps. So what was dropped is counted (``missed``, ``short``), for it to be said
again.
"""

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple

import msgspec

from events.bus import Receiver
from events.payloads import TERMINAL_TYPES, StepCompleted, StepFailed
from events.types import Committed, Ephemeral, Scope

PATIENCE_S: Final = 0.02
"""How long a hole is waited for. Messages of one tick arrive within a few milliseconds."""

MOST_WAITING_BYTES: Final = 8 << 20

_ALWAYS_FRESH: Final = sys.maxsize
_FORGET_SOURCE_S: Final = 60.0
_MANY_SOURCES: Final = 64
_MANY_MISSIONS: Final = 4096
_ROOM_OF_EVENT: Final = 200
"""What an event weighs in memory beside its body, about."""

_ENDS: Final = TERMINAL_TYPES | {StepCompleted.TYPE, StepFailed.TYPE}

_ERASED: Final = "log.erased"


def _nobody() -> Scope:
    scope = Scope(None, None)
    msgspec.structs.force_setattr(scope, "topics", ())
    return scope


_NOBODY: Final = _nobody()


def erased(offset: int) -> Committed:
    """Return what stands for an event that has left the log: no topic matches it."""
    return Committed(offset, _ERASED, _NOBODY, b"")


class Stretch(NamedTuple):
    """Of the log: what is behind ``after``, up to and including ``upto``."""

    after: int
    upto: int


@dataclass(slots=True)
class SequenceFigures:
    """For metrics.

    Attributes:
        log_reads: holes that were read from the log.
        log_events: events that came from there.
        late: ephemeral events that were dropped, as what they belong to may be over.
        forgotten: durable events that waited and were dropped, to be read from the log.
        unsaid: ephemeral events that were dropped with them.
    """

    log_reads: int = 0
    log_events: int = 0
    late: int = 0
    forgotten: int = 0
    unsaid: int = 0


@dataclass(slots=True)
class _Waiting:
    """Events of one unit with its ephemeral ones, or ephemeral ones alone.

    ``needs`` is what must have been given before; ``fresh`` is that of the ephemeral ones.
    """

    needs: int
    fresh: int
    events: Sequence[Committed]
    after: Sequence[Ephemeral]

    @property
    def size(self) -> int:
        bodies = chain((each.body for each in self.events), (each.body for each in self.after))
        return sum(_ROOM_OF_EVENT + len(body) for body in bodies)


@dataclass(slots=True, eq=False)
class Source:
    """A sender's stream as far as it has come. What it brings next is behind ``reached``.

    Its ephemeral events are a stream by themselves (``ephemeral``), which waits for the other one.
    """

    ephemeral: bool = False
    number: int = -1
    reached: int = 0
    fresh: int = 0
    heard_at: float = 0.0
    waiting: deque[_Waiting] = field(default_factory=deque)


def _texts_of(source: Source) -> Iterator[Ephemeral]:
    """Return the ephemeral events of a source that wait."""
    return chain.from_iterable(item.after for item in source.waiting)


class _EndsFromLog:
    """Up to where the log gave us ends of a mission's steps, ahead of its node's messages."""

    def __init__(self) -> None:
        self._offsets: dict[str | None, int] = {}
        self._floor = 0

    def __bool__(self) -> bool:
        return bool(self._offsets or self._floor)

    def note(self, event: Committed) -> None:
        if event.type not in _ENDS:
            return
        if len(self._offsets) >= _MANY_MISSIONS:
            # Whose they were is forgotten. It only makes us drop a little more.
            self._floor = max(self._offsets.values())
            self._offsets.clear()
        self._offsets[event.scope.mission_id] = event.offset

    def overtook(self, event: Ephemeral, fresh: int) -> bool:
        return fresh < self._floor or fresh < self._offsets.get(event.scope.mission_id, 0)


class Sequencer:
    """Gives a receiver every durable event once, in order; see the head of this file.

    Args:
        receiver: called at once, from within these methods.
        head: the last offset that the receiver has.
        patience_s: how long a hole is waited for.
        most_bytes: what may wait.

    Attributes:
        seen: the last offset given.
        short: the missions of ours of which some text was forgotten, as topics.
    """

    def __init__(
        self,
        receiver: Receiver,
        head: int,
        patience_s: float = PATIENCE_S,
        most_bytes: int = MOST_WAITING_BYTES,
    ) -> None:
        self.seen = head
        self.short: set[str] = set()
        self.figures = SequenceFigures()
        self._receiver = receiver
        self._patience_s = patience_s
        self._most_bytes = most_bytes
        # What is said to exist, and what is known to: the log's own word, or our own commits.
        self._known = self._confirmed = head
        self._own = Source(reached=head, fresh=_ALWAYS_FRESH)
        self._sources: dict[int, Source] = {}
        self._texts: dict[int, Source] = {}
        self._crowd: dict[Source, None] = {}
        self._crowd_of_texts: dict[Source, None] = {}
        self._ends = _EndsFromLog()
        self._size = 0
        self._asked: int | None = None
        self._hole_since: float | None = None
        self._hole_at = head

    @property
    def waiting_bytes(self) -> int:
        """What waits for a hole to close, about."""
        return self._size

    @property
    def missed(self) -> int:
        """How many ephemeral events were dropped so far."""
        return self.figures.late + self.figures.unsaid

    @property
    def reached(self) -> int:
        """The last offset of our own commits."""
        return self._own.reached

    @property
    def fresh(self) -> int:
        """The offset up to which all of our own commits came through here."""
        return max(self.seen, self._own.reached)

    # What comes in.

    def send(self, events: Sequence[Committed], after: Sequence[Ephemeral], now: float) -> None:
        """Take a unit that this process committed."""
        if events:
            self._confirmed = max(self._confirmed, events[-1].offset)
        self.unit(self._own, events, after, now)

    def send_ephemeral(self, event: Ephemeral, now: float) -> None:
        """Take an ephemeral event of this process."""
        self.unit(self._own, (), (event,), now)

    def begin(self, token: int, number: int, reached: int, fresh: int, now: float) -> Source | None:
        """Take the head of another node's message; return what its content is handed in with.

        None: it came before, and nothing in it counts. A node that starts again has a new token.
        """
        source = self._sources.get(token)
        if source is None:
            self._forget_silent(now)
            source = self._sources[token] = Source()
        if number <= source.number:
            return None
        source.number, source.reached, source.heard_at = number, reached, now
        source.fresh = max(fresh, reached)
        self._known = max(self._known, source.fresh)
        self._settle(now)
        return source

    def unit(
        self,
        source: Source,
        events: Sequence[Committed],
        after: Sequence[Ephemeral],
        now: float,
    ) -> None:
        """Take a unit, or only ephemeral events, of a source's stream, in its order."""
        if events:
            needs, last = events[0].offset - 1, events[-1].offset
            source.reached = max(source.reached, last)
            source.fresh = max(source.fresh, last)
            self._known = max(self._known, last)
        else:
            needs = source.reached
        if needs <= self.seen and not source.waiting:
            self._give(events, after, source.fresh)
            self._run()
        else:
            self._hold(source, _Waiting(needs, source.fresh, events, after))
        self._settle(now)

    def text(self, token: int, reached: int, fresh: int, event: Ephemeral, now: float) -> None:
        """Take an ephemeral event of another node."""
        source = self._texts.get(token)
        if source is None:
            source = self._texts[token] = Source(ephemeral=True)
        source.reached, source.fresh = reached, max(fresh, reached)
        self._known = max(self._known, source.fresh)
        self.unit(source, (), (event,), now)

    def looked(self, head: int, now: float) -> None:
        """Take the log's head, as looked up."""
        self._confirmed = max(self._confirmed, head)
        self._known = max(self._known, head)
        self._settle(now)

    # What is to be read from the log.

    def due(self) -> float | None:
        """Return when to ask for :meth:`missing`; None: not before something comes in."""
        if self._asked is not None or self._hole_since is None:
            return None
        return self._hole_since + self._patience_s

    def missing(self, now: float) -> Stretch | None:
        """Return what is to be read from the log now; the :meth:`page` of it must follow."""
        due = self.due()
        if due is None or now < due:
            return None
        self.figures.log_reads += 1
        self._asked = self._known
        return Stretch(self.seen, self._known)

    def page(self, events: Iterable[Committed], upto: int, now: float) -> Stretch | None:
        """Take a page that was asked for, with all that the log has up to ``upto``.

        Returns:
            what is to be read next; None: that was all.
        """
        for event in events:
            self._fill(event.offset - 1)
            if event.offset == self.seen + 1:
                self._take(event)
        # Behind the last one there may be nothing yet, unless the log says that there was.
        self._fill(min(upto, self._confirmed))
        asked = self._asked or 0
        reached = max(upto, self.seen)
        if reached < asked:
            return Stretch(reached, asked)
        self._asked = None
        if self.seen < asked:
            self._disbelieve()
        self._settle(now)
        return None

    def failed(self, now: float) -> None:
        """Take note that the log could not be read."""
        self._asked = self._hole_since = None
        self._settle(now)

    # Inside.

    def _give(self, events: Sequence[Committed], after: Sequence[Ephemeral], fresh: int) -> None:
        if after and self._ends:
            kept = [each for each in after if not self._ends.overtook(each, fresh)]
            self.figures.late += len(after) - len(kept)
            after = kept
        if events and events[0].offset <= self.seen:
            events = events[self.seen + 1 - events[0].offset :]
        if events:
            self.seen = events[-1].offset
            self._receiver.publish(events, after)
        else:
            for each in after:
                self._receiver.publish_ephemeral(each)

    def _take(self, event: Committed) -> None:
        """Give an event that the log brought, and what has waited for it."""
        self._ends.note(event)
        self.figures.log_events += 1
        self._give((event,), (), _ALWAYS_FRESH)
        self._run()

    def _fill(self, upto: int) -> None:
        """Stand in for what has left the log; some of it may still be here."""
        while self.seen < upto:
            self._give((erased(self.seen + 1),), (), _ALWAYS_FRESH)
            self._run()

    def _hold(self, source: Source, item: _Waiting) -> None:
        source.waiting.append(item)
        self._crowd_of(source)[source] = None
        self._size += item.size
        if self._size > self._most_bytes:
            self._forget_waiting()

    def _crowd_of(self, source: Source) -> dict[Source, None]:
        return self._crowd_of_texts if source.ephemeral else self._crowd

    def _run(self) -> None:
        """Give whatever waits and is due; after each event the texts that waited for it."""
        moved = bool(self._crowd or self._crowd_of_texts)
        while moved:
            moved = any(map(self._flow, (*self._crowd_of_texts, *self._crowd)))

    def _flow(self, source: Source) -> bool:
        """Give the next of a source, if it is due."""
        if source.waiting[0].needs > self.seen:
            return False
        item = source.waiting.popleft()
        self._size -= item.size
        if not source.waiting:
            del self._crowd_of(source)[source]
        self._give(item.events, item.after, item.fresh)
        return True

    def _settle(self, now: float) -> None:
        """Note since when the hole is there that is there now."""
        if self._known <= self.seen:
            self._hole_since = None
        elif self._hole_since is None or self._hole_at != self.seen:
            self._hole_since, self._hole_at = now, self.seen

    def _forget_waiting(self) -> None:
        self.short.update(f"mission:{each.scope.mission_id}" for each in _texts_of(self._own))
        for source in (*self._crowd, *self._crowd_of_texts):
            self.figures.forgotten += sum(len(item.events) for item in source.waiting)
            self.figures.unsaid += sum(1 for _ in _texts_of(source))
            source.waiting.clear()
        self._crowd.clear()
        self._crowd_of_texts.clear()
        self._size = 0

    def _disbelieve(self) -> None:
        """Forget offsets of which somebody told and the log knows nothing."""
        self._forget_waiting()
        self._known = max(self.seen, self._confirmed)

    def _forget_silent(self, now: float) -> None:
        if len(self._sources) < _MANY_SOURCES:
            return
        self._sources = {
            token: source
            for token, source in self._sources.items()
            if source.waiting or now - source.heard_at < _FORGET_SOURCE_S
        }
        self._texts = {
            token: source
            for token, source in self._texts.items()
            if source.waiting or token in self._sources
        }
