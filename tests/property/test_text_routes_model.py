"""Whoever reads, comes and goes, and loses Redis: each reader has the whole text in the end."""

from collections import deque
from dataclasses import dataclass, field
from math import ceil
from random import Random

import pytest

from events.bus_messages import Ask, Heard, Interest, Reader, TextSaid, sender_of
from events.interest import LINGER_S
from events.outbox import Outbox
from events.streams import Streams
from events.text_routes import MISSED_SELDOM_S, TextRoutes
from events.topics import SYSTEM
from tests.unit.events.fakes import delta, scope_of

NODES = (1, 2, 3)
MISSIONS = {
    f"m{n}": scope_of(mission=f"m{n}", session=f"s{n % 2}", user=f"u{n % 2}") for n in NODES
}
MISSION_AT = dict(zip(NODES, MISSIONS, strict=True))
TOPICS = ("system", "user:u0", "user:u1", "session:s0", "mission:m1", "mission:m2", "mission:m3")

WEIGHTS = {
    "join": 15,
    "leave": 12,
    "say": 22,
    "hear": 25,
    "drop": 2,
    "send": 12,
    "wait": 5,
    "connect": 4,
    "disconnect": 2,
}
"""How often each thing happens."""


@dataclass(slots=True)
class Node:
    """A node: what its clients read, what they were shown, and its two connections.

    ``times`` counts how often each began to work, ``began`` is what they were when we last told all
    of it: what ``RedisBus`` does, too.
    """

    token: int
    outbox: Outbox
    routes: TextRoutes
    shown: Streams = field(default_factory=Streams)
    readers: list[str] = field(default_factory=list)
    inbox: deque[bytes] = field(default_factory=deque)
    speaks: bool = False
    listens: bool = False
    dropped: int = 0
    times: tuple[int, int] = (0, 0)
    began: tuple[int, int] = (0, 0)

    def connect(self, *, speaks: bool, listens: bool) -> None:
        """Let connections begin to work."""
        if listens and not self.listens:
            self.listens, self.times = True, (self.times[0] + 1, self.times[1])
        if speaks and not self.speaks:
            self.speaks, self.times = True, (self.times[0], self.times[1] + 1)
            self.outbox.open()
        if self.speaks and self.listens and self.times != self.began:
            self.began = self.times
            self.routes.begin()

    def disconnect(self, *, speaks: bool) -> None:
        """Lose one of them, with what was on its way."""
        if speaks:
            self.speaks = False
            self.outbox.close()
        else:
            self.listens = False
            self.inbox.clear()

    def hear(self, *, late: bool = False) -> None:
        """Take the next message in; text that is late is dropped."""
        data = self.inbox.popleft()
        sender, message = sender_of(data), Reader().read(data)
        if message.number:
            self.routes.heard_from(sender, message.interest)
        for item in message.items:
            if isinstance(item, TextSaid) and late:
                self.dropped += 1
            elif isinstance(item, TextSaid):
                self.shown.delta(item.event)
            elif isinstance(item, Interest | Ask | Heard):
                self.routes.take(sender, item)
        self.routes.ask_back(sender)


class World:
    """Three nodes, with a mission at home on each, and what is between them."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self.said = dict.fromkeys(MISSIONS, "")
        self.nodes = {token: self._node(token) for token in NODES}

    def _node(self, token: int) -> Node:
        outbox = Outbox(token, 0, lambda: 0, lambda: routes.number)
        routes = TextRoutes(token, outbox, lambda: None, lambda: 0, lambda: self.now)
        return Node(token, outbox, routes)

    def live(self) -> None:
        """Let things happen, to one node or another."""
        for what in self.random.choices([*WEIGHTS], [*WEIGHTS.values()], k=400):
            getattr(self, what)(self.random.choice([*self.nodes.values()]))

    def join(self, node: Node) -> None:
        """A client attaches a topic, which it may have waited for."""
        topic = self.random.choice(TOPICS)
        if node.outbox.is_open and self.random.random() < 0.5:
            node.routes._own.expect([topic], node.routes._peers.confirmed(self.now))
        node.readers.append(topic)
        node.routes.joins(topic)

    def leave(self, node: Node) -> None:
        """A client lets a topic go."""
        if node.readers:
            node.routes.leaves(node.readers.pop(self.random.randrange(len(node.readers))))

    def say(self, node: Node) -> None:
        """The mission at home here streams a piece of text."""
        mission = MISSION_AT[node.token]
        before = self.said[mission]
        piece = delta(MISSIONS[mission], len(before), f"<{len(before)}>")
        self.said[mission] += f"<{len(before)}>"
        node.routes.send((), [piece])
        node.shown.delta(piece)

    def send(self, node: Node) -> None:
        """What a node has to say leaves it, if anybody carries it."""
        for to, data in node.outbox.take() if node.speaks else ():
            for other in self.nodes.values():
                if other is not node and other.listens and to in {None, other.token}:
                    other.inbox.append(data)

    def hear(self, node: Node) -> None:
        """The next message arrives."""
        if node.inbox:
            node.hear()

    def drop(self, node: Node) -> None:
        """The next message arrives too late."""
        if node.inbox:
            node.hear(late=True)

    def connect(self, node: Node) -> None:
        """A connection comes, or both do."""
        speaks, listens = self.random.choice([(True, False), (False, True), (True, True)])
        node.connect(speaks=speaks, listens=listens)

    def disconnect(self, node: Node) -> None:
        """And goes."""
        node.disconnect(speaks=self.random.random() < 0.5)

    def wait(self, _: Node) -> None:
        """Time passes."""
        self._pass(self.random.choice([0.01, 1.0, LINGER_S / 2, LINGER_S]))

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        for node in self.nodes.values():
            node.routes.missed(node.dropped)
            node.routes.beat()
            node.outbox.beat()

    def settle(self) -> None:
        """Redis is there, and quick, for long enough."""
        for node in self.nodes.values():
            node.connect(speaks=True, listens=True)
        for _ in range(5 + ceil(MISSED_SELDOM_S)):
            self._pass(1.0)
            for _ in range(5):
                for node in self.nodes.values():
                    self.send(node)
                for node in self.nodes.values():
                    while node.inbox:
                        node.hear()

    def check(self) -> None:
        """Everybody knows what everybody wants, and has it."""
        for node in self.nodes.values():
            told = set(node.routes._own._told)
            assert SYSTEM in told or told >= set(node.readers)
            assert not node.routes._unknown
            for other in self.nodes.values():
                assert other is node or set(other.routes._peers.topics_of(node.token)) == told
            for mission, scope in MISSIONS.items():
                if not set(node.readers).isdisjoint(scope.topics) and self.said[mission]:
                    (shown,) = node.shown.of_mission(mission)
                    assert shown.text == self.said[mission]


@pytest.mark.parametrize("histories", [150, pytest.param(5_000, marks=pytest.mark.soak)])
def test_every_reader_has_the_whole_text_in_the_end(histories: int) -> None:
    """Whatever was lost, and however often."""
    for seed in range(histories):
        world = World(seed)
        world.live()
        world.settle()
        world.check()
