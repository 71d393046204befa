"""Interest: whose text which node wants; what a node tells the others, and what it knows of them.

Two cores, which are told the time and say nothing by themselves but through what they are given.

A node's interest is a set of topics. It tells the others each change of it; the changes are
numbered from 1, and each message to all says in its head how many there were before it. So whoever
has missed one knows that, and asks for the whole. Nothing depends on it but text: who is believed
to want too much is sent too much, and who is believed to want too little is sent the text so far
as soon as it is known.

A topic is given up some time after its last reader has left, since readers come back, and a mission
that is followed is followed by the next.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from events.bus_messages import Heard, Interest
from events.topics import SYSTEM
from events.types import Scope

LINGER_S: Final = 2.0
"""How long a topic is still wanted after its last reader has left."""

MOST_TOPICS: Final = 20_000
"""A node that wants more topics than this wants everything."""

SILENT_S: Final = 3.0
"""Everybody says something each second. Who does not is not waited for."""

_FORGET_S: Final = 10.0
_NOBODY: Final = frozenset[int]()


class OwnInterest:
    """What this node wants: an ``events.audience.Audience`` but for the waiting.

    Args:
        say: tells all other nodes of a change.
        clock: in seconds.

    Attributes:
        number: of the last change.
    """

    def __init__(
        self,
        say: Callable[[Interest], None],
        clock: Callable[[], float],
        most_topics: int = MOST_TOPICS,
    ) -> None:
        self.number = 0
        self._say = say
        self._clock = clock
        self._most_topics = most_topics
        self._readers: dict[str, int] = {}
        # By topic, the number of the change with which it was told.
        self._told: dict[str, int] = {}
        # In the order in which the last reader left.
        self._left: dict[str, float] = {}

    def joins(self, topic: str) -> None:
        """Count a reader in."""
        self._readers[topic] = self._readers.get(topic, 0) + 1
        self._left.pop(topic, None)
        if not self._is_told(topic):
            self._want([topic], answer=False)

    def leaves(self, topic: str) -> None:
        """Count a reader out."""
        left = self._readers[topic] - 1
        if left:
            self._readers[topic] = left
        else:
            del self._readers[topic]
            self._linger(topic)

    def expect(self, topics: Sequence[str], confirmed: int) -> int:
        """Want topics for ``LINGER_S`` at least.

        Args:
            topics: each of them.
            confirmed: the change that all others have heard of.

        Returns:
            The number of the change that all others must have heard of, so that their text comes.
            If they have not yet, they are asked to say when they have.
        """
        for topic in topics:
            self._linger(topic)
        new = [topic for topic in topics if not self._is_told(topic)]
        if new:
            self._want(new, answer=True)
            return self.number
        told = max((self._told_with(topic) for topic in topics), default=0)
        if told <= confirmed:
            return told
        self._change(answer=True)
        return self.number

    def sweep(self) -> None:
        """Give up what nobody has read for ``LINGER_S``. To be called about once a second."""
        until = self._clock() - LINGER_S
        gone = list(takewhile(lambda topic: self._left[topic] <= until, self._left))
        for topic in gone:
            del self._left[topic]
        if SYSTEM in gone and len(self._readers) + len(self._left) > self._most_topics:
            gone.remove(SYSTEM)
            self._linger(SYSTEM)
        went = [topic for topic in gone if self._told.pop(topic, None) is not None]
        came = self._untold() if SYSTEM in went else []
        self._told.update(dict.fromkeys(came, self.number + 1))
        if went:
            self._change(came, went)

    def tell_all(self, *, missed: bool) -> None:
        """Say the whole of it; ``missed``: and that its text was missed, and is wanted again."""
        self._change(list(self._told), whole=True, missed=missed, answer=True)

    def _linger(self, topic: str) -> None:
        """Want a topic for a while that nobody reads; the latest goes last."""
        if topic not in self._readers:
            self._left.pop(topic, None)
            self._left[topic] = self._clock()

    def _is_told(self, topic: str) -> bool:
        return topic in self._told or SYSTEM in self._told

    def _told_with(self, topic: str) -> int:
        return min(self._told[one] for one in (topic, SYSTEM) if one in self._told)

    def _untold(self) -> list[str]:
        """Return what is wanted and was not told, as everything was."""
        return [topic for topic in (*self._readers, *self._left) if topic not in self._told]

    def _want(self, topics: list[str], *, answer: bool) -> None:
        """Tell of topics; of everything, if they become too many."""
        if len(self._told) + len(topics) > self._most_topics:
            topics = [SYSTEM]
            self._linger(SYSTEM)
        self._told.update(dict.fromkeys(topics, self.number + 1))
        self._change(topics, answer=answer)

    def _change(
        self,
        came: list[str] | None = None,
        went: list[str] | None = None,
        *,
        whole: bool = False,
        missed: bool = False,
        answer: bool = False,
    ) -> None:
        number = self.number + 1
        self._say(
            Interest(number, came or [], went or [], whole=whole, missed=missed, answer=answer)
        )
        self.number = number  # only now: the message says how many there were before


@dataclass(slots=True)
class _Peer:
    """Another node.

    Attributes:
        heard_at: when it last said anything.
        number: of the last change of its interest that we know of; ``topics`` is the interest.
        confirmed: the last change of ours that it has heard of; with the events up to ``reached``
            what it said of that is here.
    """

    heard_at: float
    number: int = 0
    topics: dict[str, None] = field(default_factory=dict)
    confirmed: int = 0
    reached: int = 0


class PeerInterests:
    """What the other nodes want."""

    def __init__(self) -> None:
        self._peers: dict[int, _Peer] = {}
        self._by_topic: dict[str, set[int]] = {}
        self._latest: tuple[Scope, Collection[int]] | None = None

    def __iter__(self) -> Iterator[int]:
        return iter(self._peers)

    def hear(self, token: int, number: int, now: float) -> bool:
        """Take note of a message to all; return whether every change before it is known."""
        peer = self._peers.get(token)
        if peer is None:
            peer = self._peers[token] = _Peer(now)
        peer.heard_at = now
        return peer.number == number

    def change(self, token: int, change: Interest) -> bool:
        """Take a change; return whether it could be: one before it may be missing."""
        peer = self._peers[token]
        if change.whole:
            self._drop(token, list(peer.topics))
        elif change.number != peer.number + 1:
            return False
        peer.number = change.number
        for topic in change.came:
            peer.topics[topic] = None
            self._by_topic.setdefault(topic, set()).add(token)
        self._drop(token, change.went)
        self._latest = None
        return True

    def topics_of(self, token: int) -> Collection[str]:
        """Return what a node wants, as far as is known."""
        peer = self._peers.get(token)
        return peer.topics if peer is not None else ()

    def wanting(self, scope: Scope) -> Collection[int]:
        """Return the nodes that want text of a scope.

        A mission's deltas come in rows, so the latest answer is kept.
        """
        if self._latest is not None and self._latest[0] is scope:
            return self._latest[1]
        found: set[int] = set()
        for topic in scope.topics:
            found |= self._by_topic.get(topic, _NOBODY)
        self._latest = scope, found
        return found

    def confirm(self, token: int, heard: Heard) -> None:
        """Take note that a node has heard of our changes."""
        peer = self._peers.get(token)
        if peer is not None and heard.number >= peer.confirmed:
            peer.confirmed, peer.reached = heard.number, heard.reached

    def confirmed(self, now: float) -> int:
        """Return up to which change all others have heard of us; all of them if there are none."""
        return min((one.confirmed for one in self._present(now)), default=sys.maxsize)

    def reached(self, now: float) -> int:
        """Return the offset with which all is here that they said of it."""
        return max((one.reached for one in self._present(now)), default=0)

    def forget_silent(self, now: float) -> None:
        """Let go of nodes that are gone."""
        for token, peer in list(self._peers.items()):
            if now - peer.heard_at > _FORGET_S:
                self._drop(token, list(peer.topics))
                del self._peers[token]

    def _present(self, now: float) -> Iterator[_Peer]:
        return (one for one in self._peers.values() if now - one.heard_at < SILENT_S)

    def _drop(self, token: int, topics: Iterable[str]) -> None:
        self._latest = None
        wanted = self._peers[token].topics
        for topic in topics:
            if topic in wanted:
                del wanted[topic]
                row = self._by_topic[topic]
                row.discard(token)
                if not row:
                    del self._by_topic[topic]
