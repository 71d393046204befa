"""The ways of text between nodes: each delta goes to the nodes with somebody who reads it.

What a node wants is in :mod:`events.interest`. A topic that a node begins to want is answered with
what streams in it by then, each text as one delta from its beginning, in its place among the
others; so is a node's whole interest when it has missed something, or had to drop it. So a client
that attaches in the middle of a text gets all of it, on whichever node it is.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from events.bus_messages import Ask, Heard, Interest
from events.interest import OwnInterest, PeerInterests
from events.outbox import Outbox
from events.own_texts import OwnTexts
from events.types import Committed, Ephemeral

EXPECT_S: Final = 0.25
"""How long is waited for other nodes until what they stream is known here: a hundred times what it
takes. Who attaches then has the text from there on, and all of it once they have answered."""

RESTATE_EVERY_S: Final = 1.0
MISSED_EVERY_S: Final = 1.0
MISSED_SELDOM_S: Final = 8.0
"""How often a node that drops text has it said again: at first, and while it drops that, too. What
carries text too slowly is not made faster by more of it."""

GLANCE_S: Final = 0.002

EVERYBODY: Final = 0


class TextRoutes:
    """Sends text where it is wanted, and says what is wanted here: an ``events.audience.Audience``.

    Args:
        token: ours.
        outbox: takes what is said to other nodes.
        wake: to be called when something was put in there.
        seen: returns the last offset that the hub was given.
        clock: in seconds.
    """

    def __init__(
        self,
        token: int,
        outbox: Outbox,
        wake: Callable[[], None],
        seen: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._token = token
        self._outbox = outbox
        self._wake = wake
        self._seen = seen
        self._clock = clock
        self._texts = OwnTexts()
        self._own = OwnInterest(self._say, clock)
        self._peers = PeerInterests()
        self._restated_at = -RESTATE_EVERY_S
        self._restate = False
        self._missed = 0
        self._missed_from, self._missed_pause_s = 0.0, MISSED_EVERY_S
        # Whose interest we don't know, and whether we have asked for it.
        self._unknown: dict[int, bool] = {}

    @property
    def number(self) -> int:
        """Of the last change of our interest."""
        return self._own.number

    # What we send.

    def send(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Send the ephemeral events of a unit that has been put into the outbox."""
        self._texts.note(events, after)
        for each in after:
            wanting = self._peers.wanting(each.scope)
            if wanting:
                self._outbox.text(wanting, each)
                self._wake()

    # What is wanted here.

    def joins(self, topic: str) -> None:
        """See ``Audience``."""
        self._own.joins(topic)

    def leaves(self, topic: str) -> None:
        """See ``Audience``."""
        self._own.leaves(topic)

    async def expects(self, topics: Sequence[str]) -> None:
        """See ``Audience``."""
        if not topics or not self._outbox.is_open:
            return
        number = self._own.expect(topics, self._peers.confirmed(self._clock()))
        until = self._clock() + EXPECT_S
        # Polled: an answer takes a few milliseconds, and the hub tells nobody of each event.
        while not self._is_here(number) and self._clock() < until:  # noqa: ASYNC110
            await asyncio.sleep(GLANCE_S)

    # What others say.

    def heard_from(self, sender: int, number: int) -> None:
        """Take the head of a message to all: how many changes its sender had told before it."""
        if self._peers.hear(sender, number, self._clock()):
            self._unknown.pop(sender, None)
        else:
            self._unknown.setdefault(sender, False)

    def take(self, sender: int, item: Interest | Ask | Heard) -> None:
        """Take what a node says of what it wants, or knows that we want."""
        if isinstance(item, Interest):
            self._change(sender, item)
        elif isinstance(item, Heard):
            self._peers.confirm(sender, item)
        elif item.of in (self._token, EVERYBODY):
            self._restate = True
            self._restate_in_time()

    def ask_back(self, sender: int) -> None:
        """Ask for what a node wants, if its message left us not knowing."""
        if self._unknown.get(sender) is False:
            self._ask(sender)

    # What time brings.

    def beat(self) -> None:
        """Do what is to be done about once a second."""
        self._own.sweep()
        self._peers.forget_silent(self._clock())
        self._restate_in_time()
        self._unknown = {each: True for each in self._unknown if each in self._peers}
        for sender in self._unknown:
            self._ask(sender)
        if self._outbox.short and self._outbox.is_empty:
            token, missions = self._outbox.short.popitem()
            self._say_texts(token, self._texts.so_far(missions))

    def missed(self, count: int) -> None:
        """Take how much was dropped here since the start; to be told about once a second.

        If it is more than before, all that streams is asked for again, ever more seldom while
        that does not help.
        """
        now = self._clock()
        if now < self._missed_from:
            return
        if count == self._missed:
            self._missed_pause_s = MISSED_EVERY_S
            return
        self._missed, self._missed_from = count, now + self._missed_pause_s
        self._missed_pause_s = min(2 * self._missed_pause_s, MISSED_SELDOM_S)
        self._own.tell_all(missed=True)

    def own_texts(self, missions: Iterable[str]) -> Iterable[Ephemeral]:
        """Return what missions of this node, named by their topics, are streaming so far."""
        return self._texts.so_far(missions)

    def begin(self) -> None:
        """Tell what is wanted here, and ask what others want: a connection is a new one.

        We may have missed text, they may have, or we may have missed that they had. So all of it
        is said again, ours and theirs.
        """
        self._own.tell_all(missed=True)
        self._ask(EVERYBODY)
        for token in self._peers:
            self._repeat(token)

    # Inside.

    def _say(self, change: Interest) -> None:
        self._outbox.tell(change)
        self._wake()

    def _ask(self, sender: int) -> None:
        if sender != EVERYBODY:
            self._unknown[sender] = True
        self._outbox.tell(Ask(sender))
        self._wake()

    def _restate_in_time(self) -> None:
        """Say the whole if somebody asked for it, and not too often."""
        now = self._clock()
        if self._restate and now - self._restated_at >= RESTATE_EVERY_S:
            self._restate, self._restated_at = False, now
            self._own.tell_all(missed=False)

    def _change(self, sender: int, change: Interest) -> None:
        known = frozenset(self._peers.topics_of(sender))
        if not self._peers.change(sender, change):
            self._unknown.setdefault(sender, False)
            return
        self._unknown.pop(sender, None)
        if change.missed:
            self._repeat(sender)
        else:
            # What it wanted before, it has.
            new = [topic for topic in change.came if topic not in known]
            self._say_texts(sender, self._texts.so_far(new, known))
        if change.answer:
            self._outbox.heard(sender, change.number)
            self._wake()

    def _repeat(self, token: int) -> None:
        """Say all that streams in what a node wants."""
        self._say_texts(token, self._texts.so_far(self._peers.topics_of(token)))

    def _say_texts(self, token: int, texts: Iterable[Ephemeral]) -> None:
        for text in texts:
            self._outbox.text((token,), text)
        self._wake()

    def _is_here(self, number: int) -> bool:
        """Whether all others have heard of a change of ours, and what they said of it is here."""
        now = self._clock()
        return self._peers.confirmed(now) >= number and self._seen() >= self._peers.reached(now)
