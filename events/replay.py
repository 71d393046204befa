"""Where a connection stands in the log: the rule by which every event reaches it exactly once.

The problem. A connection has topics. They were attached at different times, each from an offset
of its own choice (``since``), and they overlap: one event may be about several of them. While an
older stretch is replayed for one topic, the log grows for all of them, and further calls attach,
replace and detach topics. Still each durable event that is due must be written once, none left
out, and those of one stretch in the order of their offsets.

The state. Every topic *t* has a filter, and two offsets:

* ``after``: where it was attached; it never asks for anything up to there;
* ``at``: how far it has got. Everything in ``(after, at]`` that its filter matches was written.

The stretch ``(after, at]`` with its filter is what *t* **was told**. The whole position of a
connection is its lowest ``at``; nothing else is remembered of what was sent, and nothing is kept
to be sent. While all topics are at the head the connection is **live**: it belongs to a view and
the offsets are not even written down, since all of them are the head.

The step. The events behind the lowest ``at``, up to any offset *u*, are looked at in order, and
then every ``at`` below *u* becomes *u*. An event at offset *o* is **due** if

1. some topic with ``at < o`` matches it (it *wants* the event), and
2. no topic that matches it was told it, that is, has ``after < o <= at``.

Then it is written. So an event that several topics want is written once, since all of them pass
*o* in the same step; an event that a topic further ahead had already brought is skipped (rule 2);
and an event that a topic further ahead did *not* bring, because it was attached behind it
(``o <= after``), is written now. Rule 2 is why ``after`` is kept: "a replay skips only what an
attached topic had matched".

In order: the lowest ``at`` only ever falls when a call attaches a topic from further back ("the
older ones first"). Between two such calls it rises, and what is written rises with it.

Live again: when the lowest ``at`` is the head, all of them are, and in that same step the
connection joins its view. Nothing can be published between "is the head" and "joined", since both
happen in one turn of the loop. Nothing has to be buffered either: until then, whatever is
published only moves the head, and is read when the position gets there.

Replacing a topic's filter, or attaching it again from further back, must not forget what it was
told under the old one: that stretch becomes a :class:`Told` of the topic, and rule 2 looks at
those too. Detaching a topic does forget: who attaches it anew wants it anew. But another topic
whose replay is still under way was going to rely on what the detached one had brought; so it
inherits those stretches, as far as both match, and does not bring the same events again.

When reading pages of the log only the topics with the lowest ``at`` are asked for, so a page may
be used up to the next higher ``at`` only (:meth:`Position.ceiling`): behind that, another topic
wants events that the page does not have. The ring has every event and knows no such bound.

A topic that was attached for one mission only (``implicit``) ends when the position passes that
mission's terminal event.
"""

from dataclasses import dataclass
from typing import Final

from events.audience import Audience
from events.payloads import TERMINAL_TYPES
from events.topics import Filter
from events.types import Scope

MAX_TOLD: Final = 64
"""Stretches remembered of one topic, the current one aside. Beyond, the oldest is forgotten: a
client that changed a topic's filter more often than this, and then replays from before, sees
doubles."""


@dataclass(slots=True)
class Attachment:
    """A topic of a connection; see the head of this file.

    ``text`` is the topic as which its text is wanted, None if it is not.
    """

    filter: Filter
    after: int
    at: int
    implicit: bool
    text: str | None


@dataclass(slots=True, frozen=True)
class Told:
    """A stretch that was brought: the events of ``(after, upto]`` that match all of ``filters``."""

    filters: tuple[Filter, ...]
    after: int
    upto: int

    def covers(self, offset: int, event_type: str, scope: Scope) -> bool:
        """Whether the event was brought."""
        if not self.after < offset <= self.upto:
            return False
        return all(one.matches(event_type, scope) for one in self.filters)


class Position:
    """Where a connection stands. All methods that look at ``at`` want the position not live.

    Args:
        audience: told of the topics whose text is wanted.
    """

    __slots__ = ("_attachments", "_audience", "_former", "_implicit", "live")

    def __init__(self, audience: Audience | None = None) -> None:
        self._audience = audience
        self._attachments: dict[str, Attachment] = {}
        self._implicit = 0
        self._former: dict[str, list[Told]] = {}
        self.live = True

    def __contains__(self, topic: str) -> bool:
        return topic in self._attachments

    @property
    def filters(self) -> frozenset[Filter]:
        """The filters of all topics: the name of the view that it belongs to when live."""
        return frozenset(attachment.filter for attachment in self._attachments.values())

    @property
    def topics(self) -> list[str]:
        """The topics that were asked for, in the order of asking; implicit ones are left out."""
        return [topic for topic, one in self._attachments.items() if not one.implicit]

    @property
    def has_implicit(self) -> bool:
        """Whether any topic ends by itself."""
        return self._implicit > 0

    @property
    def implicit_topics(self) -> list[str]:
        """The topics that end by themselves."""
        return [topic for topic, one in self._attachments.items() if one.implicit]

    def is_implicit(self, topic: str) -> bool:
        """Whether the topic is attached and ends by itself."""
        attachment = self._attachments.get(topic)
        return attachment is not None and attachment.implicit

    def lowest(self, head: int) -> int:
        """Return the offset up to which all topics have everything."""
        if self.live or not self._attachments:
            return head
        return min(one.at for one in self._attachments.values())

    def behind(self) -> tuple[str, ...]:
        """Return the topics at the lowest offset, sorted: whose events a page must have."""
        low = min(one.at for one in self._attachments.values())
        return tuple(sorted(topic for topic, one in self._attachments.items() if one.at == low))

    def ceiling(self, head: int) -> int:
        """Return how far a page of the topics :meth:`behind` may be used."""
        low = self.lowest(head)
        return min((one.at for one in self._attachments.values() if one.at > low), default=head)

    def freeze(self, head: int) -> None:
        """Stop being live: from now on the offsets are written down."""
        if self.live:
            self.live = False
            for one in self._attachments.values():
                one.at = head

    def rewind(self, to: int) -> None:
        """Freeze a live position at ``to``, before which everything was written."""
        self.live = False
        for one in self._attachments.values():
            one.at = max(to, one.after)

    def thaw(self, head: int) -> bool:
        """Become live if everything up to ``head`` was told; return whether it is."""
        if not self.live and self.lowest(head) >= head:
            self.live = True
            self._prune()
        return self.live

    def attach(self, wanted: Filter, since: int | None, head: int) -> None:
        """Attach a topic, or replace its filter.

        ``since`` None is "now"; a topic whose replay is under way then keeps its place. The
        position must be frozen if ``since`` is below ``head``.
        """
        self._attach(wanted, since, head, wanted.topic if wanted.wants_text else None)

    def follow(self, mission_id: str, user_id: str, head: int) -> None:
        """Attach a mission's topic, which is not attached, until it ends.

        Its text is wanted as its user's: the next mission is the same user's, and who sends text
        need not be told of each.
        """
        topic = f"mission:{mission_id}"
        self._attach(Filter(topic), None, head, f"user:{user_id}", implicit=True)

    def _attach(
        self,
        wanted: Filter,
        since: int | None,
        head: int,
        text: str | None,
        *,
        implicit: bool = False,
    ) -> None:
        old = self._attachments.get(wanted.topic)
        if old is None:
            start = head if since is None else since
        else:
            reached = head if self.live else old.at
            self._retire(old, reached)
            self._implicit -= old.implicit
            start = reached if since is None else since
        self._implicit += implicit
        self._attachments[wanted.topic] = Attachment(wanted, start, start, implicit, text)
        self._count(text, old.text if old is not None else None)

    def detach(self, topic: str) -> None:
        """Let a topic go. What it was told still counts for the replays under way."""
        gone = self._attachments.pop(topic, None)
        if gone is None:
            return
        self._count(None, gone.text)
        self._implicit -= gone.implicit
        told = self._former.pop(topic, [])
        if self.live:
            return
        told.append(Told((gone.filter,), gone.after, gone.at))
        for heir, one in self._attachments.items():
            shared = [
                Told((*stretch.filters, one.filter), max(stretch.after, one.after), stretch.upto)
                for stretch in told
                if stretch.upto > max(one.after, one.at)
            ]
            if shared:
                self._former[heir] = (self._former.get(heir, []) + shared)[-MAX_TOLD:]

    def close(self) -> None:
        """Nobody reads here any more."""
        for one in self._attachments.values():
            self._count(None, one.text)
        self._audience = None

    def due(self, offset: int, event_type: str, scope: Scope) -> bool:
        """Whether the event must be written: rules 1 and 2 above."""
        wanted = False
        for topic in scope.topics:
            one = self._attachments.get(topic)
            if one is None or offset <= one.after:
                continue
            if not one.filter.accepts(event_type, scope):
                continue
            if offset <= one.at:
                return False
            wanted = True
        if not wanted or not self._former:
            return wanted
        return not any(
            stretch.covers(offset, event_type, scope)
            for topic in scope.topics
            for stretch in self._former.get(topic, ())
        )

    def takes_all(self) -> bool:
        """Whether every event of a page of the topics :meth:`behind` is due, unseen."""
        if self._former or self._implicit:
            return False
        ones = list(self._attachments.values())
        return all(one.at == ones[0].at and one.filter.plain for one in ones)

    def ended_by(self, event_type: str, scope: Scope) -> str | None:
        """Return the implicit topic that ends with this event, if one does."""
        if event_type not in TERMINAL_TYPES or scope.mission_id is None:
            return None
        topic = f"mission:{scope.mission_id}"
        return topic if self.is_implicit(topic) else None

    def advance(self, upto: int) -> None:
        """Everything up to ``upto`` was looked at."""
        for one in self._attachments.values():
            one.at = max(one.at, upto)

    def at_of(self, topic: str, head: int) -> int | None:
        """Return how far a topic has got, None if it is not attached."""
        one = self._attachments.get(topic)
        if one is None:
            return None
        return head if self.live else one.at

    def _count(self, new: str | None, old: str | None) -> None:
        """Tell the audience, the newcomer first: so nothing is let go that is still wanted."""
        if self._audience is None:
            return
        if new is not None:
            self._audience.joins(new)
        if old is not None:
            self._audience.leaves(old)

    def _retire(self, old: Attachment, reached: int) -> None:
        """Remember what a topic was told under a filter that is replaced."""
        if reached > old.after:
            told = self._former.get(old.filter.topic, [])
            told = _joined(told, Told((old.filter,), old.after, reached))
            self._former[old.filter.topic] = told[-MAX_TOLD:]

    def _prune(self) -> None:
        """Drop inherited stretches: what they say, the topic was by now told itself."""
        for topic, told in list(self._former.items()):
            one = self._attachments[topic]
            kept = [
                stretch
                for stretch in told
                if len(stretch.filters) == 1
                or stretch.filters[-1] != one.filter
                or stretch.after < one.after
            ]
            if kept:
                self._former[topic] = kept
            else:
                del self._former[topic]


def _joined(told: list[Told], latest: Told) -> list[Told]:
    """Add a stretch; one of the same filter that it touches becomes one with it."""
    last = told[-1] if told else None
    if last and last.filters == latest.filters and last.after <= latest.after <= last.upto:
        return [*told[:-1], Told(latest.filters, last.after, max(last.upto, latest.upto))]
    return [*told, latest]
