"""What a connection must and may receive, told from its output alone.

The oracle reads a connection's output from the front: events and the markers of the calls it made,
in the one order in which they were written. It keeps, for each topic, the set of offsets that the
client was given while the topic was attached and matched, and from that it knows

* which events are still owed for each topic (none may be, at a quiet end, or up to a ping);
* whether a second copy of an event is a double: it is, if any attached topic was given it.

Nothing here knows of positions, views, rings or pages.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from events.topics import Filter
from events.types import Committed


@dataclass
class Duty:
    """A topic owes the events of ``(after, upto]`` that match all of ``filters``."""

    filters: tuple[Filter, ...]
    after: int
    upto: int | None


@dataclass
class Kept:
    """A topic of the client.

    Attributes:
        given: offsets that it was given, or passed because another topic had brought them; they
            must not come again.
        maybe: offsets that came for another topic. Whether this one had passed them, under a
            filter that it has no more, can't be told from the output; so they are not owed, and
            may come again once the other topic is gone.
        replaced: its filter was replaced, at a place that can't be told from the output.
    """

    filter: Filter
    after: int
    duties: list[Duty]
    given: set[int] = field(default_factory=set)
    maybe: set[int] = field(default_factory=set)
    replaced: bool = False


@dataclass(frozen=True)
class Subscribe:
    """Topics were attached, at ``head``."""

    filters: tuple[Filter, ...]
    since: int | None
    head: int


@dataclass(frozen=True)
class Follow:
    """A mission is followed to its end, from ``head`` on."""

    mission: str
    head: int


@dataclass(frozen=True)
class Unsubscribe:
    """Topics were let go."""

    topics: tuple[str, ...]


@dataclass(frozen=True)
class Ping:
    """Everything up to ``offset`` was said to have been written."""

    offset: int


@dataclass(frozen=True)
class Done:
    """A replay of ``topics`` was said to be over, up to ``offset``."""

    topics: tuple[str, ...]
    offset: int


@dataclass(frozen=True)
class Got:
    """An event arrived."""

    offset: int


Item = Subscribe | Follow | Unsubscribe | Ping | Done | Got


def matches(filters: Sequence[Filter], event: Committed) -> bool:
    """Whether all of ``filters`` match."""
    return all(one.matches(event.type, event.scope) for one in filters)


class Oracle:
    """Reads one connection's output; any assertion that fails is a fault of the fan-out."""

    def __init__(self, events: Sequence[Committed]) -> None:
        self.events = events
        self.kept: dict[str, Kept] = {}
        self.implicit: set[str] = set()
        self.last = 0

    def read(self, items: Sequence[Item], head: int | None) -> None:
        """Check a whole output; with ``head``, that nothing up to there is owed at its end."""
        for item in items:
            match item:
                case Subscribe():
                    self._subscribe(item)
                case Follow():
                    self._follow(item)
                case Unsubscribe():
                    for topic in item.topics:
                        self._detach(topic)
                case Ping():
                    self._nothing_owed(item.offset, self.kept)
                    self._passed(item.offset)
                case Done():
                    self._nothing_owed(item.offset, item.topics)
                    self._passed(item.offset)
                case Got():
                    self._got(self.events[item.offset - 1])
        if head is not None:
            self._nothing_owed(head, self.kept)

    def _subscribe(self, call: Subscribe) -> None:
        if call.since is not None and call.since < call.head:
            self.last = 0
        for one in call.filters:
            start = call.head if call.since is None else call.since
            self.implicit.discard(one.topic)
            old = self.kept.get(one.topic)
            if old is None:
                self.kept[one.topic] = Kept(one, start, [Duty((one,), start, None)])
                continue
            old.maybe |= self._brought(old)
            if call.since is None:
                before = [
                    Duty((*duty.filters, one), duty.after, min(duty.upto or call.head, call.head))
                    for duty in old.duties
                ]
                old.duties = [*before, Duty((one,), call.head, None)]
                old.replaced = old.replaced or old.filter != one
            else:
                old.duties = [Duty((one,), start, None)]
                old.after = start
                old.replaced = False
            old.filter = one

    def _follow(self, call: Follow) -> None:
        topic = f"mission:{call.mission}"
        if topic not in self.kept:
            wanted = Filter(topic)
            self.kept[topic] = Kept(wanted, call.head, [Duty((wanted,), call.head, None)])
            self.implicit.add(topic)

    def _detach(self, topic: str) -> None:
        self.implicit.discard(topic)
        gone = self.kept.pop(topic, None)
        if gone is None:
            return
        for other in self.kept.values():
            self._credit(other, self._matched_by(other, gone.given))

    def _passed(self, offset: int) -> None:
        """All topics have got to ``offset``: what others had brought, each has passed."""
        for one in self.kept.values():
            self._credit(one, {passed for passed in self._brought(one) if passed <= offset})

    def _brought(self, one: Kept) -> set[int]:
        """Return what any topic brought that ``one`` matches."""
        given = set[int]().union(*(other.given for other in self.kept.values()))
        return self._matched_by(one, given)

    def _matched_by(self, one: Kept, offsets: set[int]) -> set[int]:
        return {
            offset
            for offset in offsets
            if offset > one.after and matches((one.filter,), self.events[offset - 1])
        }

    def _credit(self, one: Kept, offsets: set[int]) -> None:
        if one.replaced:
            one.maybe |= offsets
        else:
            one.given |= offsets

    def _got(self, event: Committed) -> None:
        wanting = [
            one
            for one in self.kept.values()
            if event.offset > one.after and matches((one.filter,), event)
        ]
        assert wanting, f"{event.offset} was not asked for"
        assert not any(event.offset in one.given for one in self.kept.values()), (
            f"{event.offset} came twice"
        )
        assert event.offset > self.last, f"{event.offset} came behind {self.last}"
        self.last = event.offset
        for one in wanting:
            one.given.add(event.offset)
        topic = f"mission:{event.scope.mission_id}"
        if event.type == "mission.failed" and topic in self.implicit:
            self._detach(topic)

    def _nothing_owed(self, upto: int, topics: Iterable[str]) -> None:
        given = set[int]().union(*(one.given | one.maybe for one in self.kept.values()))
        for topic in topics:
            for duty in self.kept[topic].duties:
                end = upto if duty.upto is None else min(upto, duty.upto)
                owed = [
                    event.offset
                    for event in self.events[duty.after : end]
                    if matches(duty.filters, event) and event.offset not in given
                ]
                assert not owed, f"{topic} is owed {owed}"
