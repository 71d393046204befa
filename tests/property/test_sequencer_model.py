"""Whatever nodes commit, say, lose and repeat, a hub sees every offset once, in order."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events.bus_messages import Reader, TextSaid, UnitSaid
from events.outbox import Outbox
from events.sequence import PATIENCE_S, Sequencer, Stretch
from events.types import Committed, Ephemeral, Scope

US = "us"
OTHERS = ["a", "b"]
nodes = st.sampled_from([US, *OTHERS])
others = st.sampled_from(OTHERS)
few = st.integers(0, 3)
END = "step.completed"
kinds = st.sampled_from([END, END, END, "step.started"])


@dataclass(slots=True)
class Unit:
    """What was committed together."""

    events: list[Committed]
    after: list[Ephemeral]


@dataclass(slots=True)
class Sender:
    """A node: what it committed and has not yet said, and its messages that are on their way.

    ``sure`` is what it may claim: up to there it said everything.
    """

    token: int
    outbox: Outbox
    committed: deque[Unit] = field(default_factory=deque)
    stream: deque[bytes] = field(default_factory=deque)
    sure: int = 0
    reached: int = 0


class Hub:
    """Checks what it is given."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.head = 0
        self.last_of: dict[str | None, int] = {}
        self.deltas: set[bytes] = set()

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Take durable events: the next ones, as they were committed."""
        for event in events:
            assert event.offset == self.head + 1
            self.head = event.offset
            if event != self.world.committed[event.offset - 1]:
                assert self.world.log[event.offset - 1] is None
                assert not event.scope.topics
            if event.type == END:
                self.last_of[event.scope.mission_id] = event.offset
        for each in after:
            self.publish_ephemeral(each)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Take a delta: once, behind what its node committed before, ahead of a later end."""
        assert event.body not in self.deltas
        self.deltas.add(event.body)
        reached, ends = self.world.bounds[event.body], self.world.ends_behind[event.body]
        assert self.head >= reached
        later = [offset for offset in ends if offset > reached]
        assert not later or self.last_of.get(event.scope.mission_id, 0) < later[0]


class World(RuleBasedStateMachine):
    """A log, three nodes that commit to it, and the messages between them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.committed: list[Committed] = []
        self.log: list[Committed | None] = []
        self.tokens = 0
        self.us = (1,)
        self.told = 0
        self.bounds: dict[bytes, int] = {}
        self.ends_behind: dict[bytes, list[int]] = {}
        self.ends_of: dict[str | None, list[int]] = {}
        self.scopes: dict[str, Scope] = {}
        self.senders = {name: self.born(name) for name in (US, *OTHERS)}
        self.heard: list[bytes] = []
        self.hub = Hub(self)
        self.sequencer = Sequencer(self.hub, 0, most_bytes=6_000)
        self.reader = Reader()
        self.left: Stretch | None = None

    def born(self, name: str) -> Sender:
        """Start a node, under a token that is new, with a mission of its own."""
        self.tokens += 1
        self.scopes[name] = Scope("s", name, (f"{name}{self.tokens}",), "echo", "normal")
        head = len(self.log)
        sender = Sender(self.tokens, Outbox(self.tokens, head, lambda: sender.sure, lambda: 0))
        sender.reached = sender.sure = head
        sender.outbox.open()
        return sender

    def delta(self, sender: Sender, scope: Scope, reached: int) -> Ephemeral:
        """Make a delta, and note between which offsets it belongs."""
        self.told += 1
        body = b"delta %d" % self.told
        self.bounds[body] = reached
        self.ends_behind[body] = self.ends_of.setdefault(scope.mission_id, [])
        return Ephemeral("llm.delta", scope, body)

    @rule(name=nodes, size=st.integers(1, 3), after=few, kind=kinds)
    def commit(self, name: str, size: int, after: int, kind: str) -> None:
        """A node commits a unit; nobody is told yet."""
        sender, scope = self.senders[name], self.scopes[name]
        first = len(self.log) + 1
        events = [
            Committed(offset, kind, scope, b"event %d" % offset)
            for offset in range(first, first + size)
        ]
        self.committed.extend(events)
        self.log.extend(events)
        if kind == END:
            self.ends_of.setdefault(scope.mission_id, []).extend(each.offset for each in events)
        last = events[-1].offset
        sender.committed.append(
            Unit(events, [self.delta(sender, scope, last) for _ in range(after)])
        )

    @rule(name=nodes, deltas=few, sure=st.booleans(), send=st.sampled_from([True, True, False]))
    def say(self, name: str, deltas: int, sure: bool, send: bool = True) -> None:
        """A node says its next unit, then deltas; maybe in one message with what follows."""
        sender = self.senders[name]
        if sure:
            ahead = sender.committed[0].events[0].offset - 1 if sender.committed else None
            sender.sure = len(self.log) if ahead is None else ahead
        if sender.committed:
            unit = sender.committed.popleft()
            sender.reached = unit.events[-1].offset
            sender.outbox.unit(unit.events)
            for event in unit.after:
                sender.outbox.text(self.us, event)
            if name == US:
                self.sequencer.send(unit.events, unit.after, self.now)
        for _ in range(deltas):
            event = self.delta(sender, self.scopes[name], sender.reached)
            sender.outbox.text(self.us, event)
            if name == US:
                self.sequencer.send_ephemeral(event, self.now)
        if send:
            self.send(name)

    def send(self, name: str) -> None:
        """What a node has to say leaves it."""
        sender = self.senders[name]
        sender.outbox.beat()
        while letters := sender.outbox.take():
            if name != US:
                sender.stream.extend(data for _, data in letters)

    @rule(name=others, lost=st.sampled_from([False, False, False, True]))
    def arrive(self, name: str, lost: bool) -> None:
        """The next message of a node arrives, or is lost."""
        if self.senders[name].stream:
            message = self.senders[name].stream.popleft()
            if not lost:
                self.hear(message, self.senders[name].token)

    @rule(pick=st.integers(0, 1_000))
    @precondition(lambda self: self.heard)
    def repeat(self, pick: int) -> None:
        """A message to all arrives again."""
        message = self.heard[pick % len(self.heard)]
        self.hear(message, int.from_bytes(message[1:9], "big"))

    @rule(name=others, received=st.booleans())
    def die(self, name: str, received: bool) -> None:
        """A node is killed and starts again; what was on its way arrives or does not."""
        while self.senders[name].stream and received:
            self.arrive(name, False)
        self.senders[name] = self.born(name)

    @rule(fresh=st.integers(0, 2**62), events=few)
    def lie(self, fresh: int, events: int) -> None:
        """Somebody tells of offsets that nobody committed."""
        self.tokens += 1
        source = self.sequencer.begin(self.tokens, 1, 0, fresh, self.now)
        assert source is not None
        beyond = len(self.log) + 1_000
        said = [Committed(beyond + n, "x", self.scopes[US], b"x") for n in range(events)]
        if said:
            self.sequencer.unit(source, said, (), self.now)

    @rule(pick=st.integers(0, 1_000))
    def erase(self, pick: int) -> None:
        """An event leaves the log, unless its node has not said it yet."""
        unsaid = {
            event.offset
            for sender in self.senders.values()
            for unit in sender.committed
            for event in unit.events
        }
        offset = pick % (len(self.log) + 1)
        if offset > 0 and offset not in unsaid and offset > self.hub.head:
            self.log[offset - 1] = None

    def look(self) -> None:
        """The log's head is looked up."""
        self.sequencer.looked(len(self.log), self.now)

    @rule(pass_s=st.sampled_from([0.001, PATIENCE_S]))
    def wait(self, pass_s: float) -> None:
        """Time passes; what is missing is asked for."""
        self.now += pass_s
        if self.left is None:
            self.left = self.sequencer.missing(self.now)

    @rule(most=st.integers(1, 4))
    def read(self, most: int) -> None:
        """A page of what was asked for arrives, but nothing from where our own unit is to come."""
        if self.left is None:
            return
        upto = min(self.left.upto, self.left.after + most)
        if upto >= len(self.log):
            upto = self.left.upto
        own = self.senders[US].committed
        if own and own[0].events[0].offset <= upto:
            upto = own[0].events[0].offset - 1
            if upto <= self.sequencer.seen:
                return
        page = [each for each in self.log[self.left.after : upto] if each is not None]
        self.left = self.sequencer.page(page, upto, self.now)

    @rule()
    def catch_up(self) -> None:
        """The log is faster than all messages."""
        self.look()
        self.wait(PATIENCE_S)
        self.read(10)

    @rule(name=others)
    def overtake(self, name: str) -> None:
        """The log brings the end of a step whose last text is still on its way."""
        self.say(name, 1, sure=False)
        self.commit(name, 1, 0, END)
        self.catch_up()

    @rule()
    def fail(self) -> None:
        """The log can't be read."""
        if self.left is not None:
            self.left = None
            self.sequencer.failed(self.now)

    @invariant()
    def nothing_stands_still(self) -> None:
        """What is known to be missing is waited for, or asked for."""
        if self.sequencer.waiting_bytes:
            assert self.left is not None or self.sequencer.due() is not None

    def hear(self, data: bytes, token: int) -> None:
        """Hand a message in."""
        message, source = self.reader.read(data), None
        if message.number:
            self.heard.append(data)
            source = self.sequencer.begin(
                token, message.number, message.reached, message.fresh, self.now
            )
        for item in message.items:
            if isinstance(item, TextSaid):
                self.sequencer.text(token, item.reached, item.fresh, item.event, self.now)
            elif source is not None:
                assert isinstance(item, UnitSaid)
                self.sequencer.unit(source, item.events, (), self.now)

    def teardown(self) -> None:
        """With nothing but looks at the log everything arrives."""
        while self.senders[US].committed:
            self.say(US, 0, True, False)
        self.look()
        for _ in range(2 * len(self.log) + 20):
            self.wait(PATIENCE_S)
            self.read(10)
        assert self.hub.head == self.sequencer.seen == len(self.log)
        assert self.sequencer.waiting_bytes == 0
        assert self.sequencer.due() is None


World.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestSequencer = World.TestCase
