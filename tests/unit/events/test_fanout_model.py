"""Random histories of the whole fan-out against the oracle of model.py."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import catchup, ticks
from events.frames import payloads
from events.hub import Hub, HubLimits, Subscribed
from events.payloads import MissionFailed, MissionStarted, StepStarted
from events.ring import RingBounds
from events.topics import Filter
from tests.unit.events.fakes import HandTurns, MemoryLog, Sink, delta, scope_of
from tests.unit.events.model import (
    Done,
    Follow,
    Got,
    Item,
    Oracle,
    Ping,
    Subscribe,
    Unsubscribe,
)

SESSIONS = ("s1", "s2")
TOPICS = ("system", "user:u1", "session:s1", "session:s2", "mission:m0", "mission:m1")
GLOBS: tuple[tuple[str, ...], ...] = ((), ("mission.*",), ("step.started",))


@dataclass
class Client:
    """One connection with what it called, and the texts as it would show them."""

    sink: Sink
    subscriber: Any
    calls: list[Item] = field(default_factory=list)
    snapshots: dict[int, dict[str, str]] = field(default_factory=dict)


class Readers:
    """An audience that counts: ``events.audience.Audience``."""

    def __init__(self) -> None:
        self.topics: Counter[str] = Counter()

    def joins(self, topic: str) -> None:
        """Count in."""
        self.topics[topic] += 1

    def leaves(self, topic: str) -> None:
        """Count out."""
        self.topics[topic] -= 1

    async def expects(self, topics: Sequence[str]) -> None:
        """Have nothing to wait for."""


class World:
    """A hub over a log, with clients, all turned by hand."""

    def __init__(self, setup: "Setup", clients: int) -> None:
        bounds = HubLimits(buffer_bytes=setup.bound, ring=RingBounds(events=setup.ring))
        # Under a tiny bound there is no room for the texts so far, and gaps are to be expected.
        self.whole_texts = bounds.buffer_bytes >= 1 << 20
        self.log = MemoryLog()
        self.log.page_limit = setup.page_limit
        self.turns = HandTurns()
        self.turns.step_s = setup.step_s
        self.hub = Hub(self.log, self.turns, bounds, wall=lambda: 0.0)
        self.hub.audience = self.readers = Readers()
        self.texts: dict[str, str] = {}
        self.live = {slot: f"m{slot}" for slot in range(4)}
        self.fresh = 4
        self.clients = [self._client() for _ in range(clients)]

    def _client(self) -> Client:
        sink = Sink()
        subscriber = self.hub.add(sink)
        sink.on_stuck = lambda: self.hub.stuck(subscriber)
        sink.on_drained = lambda: self.hub.drained(subscriber)
        return Client(sink, subscriber)

    def note(self, client: Client, item: Item) -> None:
        """Leave a marker in the client's output."""
        client.calls.append(item)
        body = msgspec.json.encode({"call": len(client.calls) - 1})
        self.hub.say(client.subscriber, body)

    def subscribe(self, client: Client, filters: Sequence[Filter], since: int | None) -> None:
        """Call subscribe; the memory log answers at once."""

        def attached(done: Subscribed) -> None:
            recovered = since if done.recovered else None
            client.snapshots[len(client.calls)] = {
                pid: text
                for pid, text in self.texts.items()
                if any(one.matches("llm.delta", self.scope(pid)) for one in filters)
            }
            for pid, text in client.snapshots[len(client.calls)].items():
                assert (self.hub.partial_text(pid) or "") == text
            self.note(client, Subscribe(tuple(filters), recovered, done.offset))

        call = self.hub.subscribe(client.subscriber, filters, since, None, attached)
        with pytest.raises(StopIteration):
            call.send(None)

    def scope(self, pid: str) -> Any:
        """Return a mission's scope: even ones in the first session, odd ones in the second."""
        return scope_of(SESSIONS[int(pid[1:]) % 2], mission=pid)

    def check_audience(self) -> None:
        """Whoever is there and reads text of a topic is counted, and nobody else."""
        assert +self.readers.topics == Counter(
            "user:u1" if client.subscriber.position.is_implicit(one.topic) else one.topic
            for client in self.clients
            if not client.subscriber.gone
            for one in client.subscriber.position.filters
            if one.accepts("llm.delta", self.scope("m0"))
        )

    def outputs(self, client: Client) -> list[Item]:
        """Read a client's output, and check the texts on the way."""
        items: list[Item] = []
        texts: dict[str, str] = {}
        taken = bytes(client.sink.taken + client.sink.waiting)
        for is_text, body in payloads(taken):
            assert is_text
            message = msgspec.json.decode(body)
            if "call" in message:
                texts |= client.snapshots.get(message["call"], {})
                items.append(client.calls[message["call"]])
                continue
            params = message["params"]
            if params["type"] == "replay.done":
                items.append(Done(tuple(params["data"]["topics"]), params["data"]["offset"]))
            elif params["type"] == "llm.delta":
                pid, piece = params["mission_id"], params["data"]
                before = texts.get(pid, "")
                assert piece["at"] <= len(before) or not self.whole_texts, "a gap in the text"
                texts[pid] = before[: piece["at"]] + piece["text"]
            else:
                items.append(Got(params["offset"]))
        for pid, text in self.texts.items():
            if self.whole_texts and not client.subscriber.gone and self._sees_text(client, pid):
                assert texts.get(pid, "") == text
        return items

    def _sees_text(self, client: Client, pid: str) -> bool:
        filters = client.subscriber.position.filters
        return any(one.matches("llm.delta", self.scope(pid)) for one in filters)


steps = st.one_of(
    st.tuples(st.just("event"), st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.just("delta"), st.integers(0, 3), st.sampled_from(["a", "bc", "déf"])),
    st.tuples(st.just("end"), st.integers(0, 3)),
    st.tuples(
        st.just("subscribe"),
        st.integers(0, 2),
        st.lists(st.sampled_from(TOPICS), min_size=1, max_size=3, unique=True),
        st.one_of(st.none(), st.floats(0, 1)),
        st.sampled_from(GLOBS),
    ),
    st.tuples(st.just("unsubscribe"), st.integers(0, 2), st.sampled_from(TOPICS)),
    st.tuples(st.just("follow"), st.integers(0, 2), st.integers(0, 3)),
    st.tuples(st.just("ping"), st.integers(0, 2)),
    st.tuples(st.just("room"), st.integers(0, 2), st.sampled_from([0, 100, 700, 5_000, None])),
    st.tuples(st.just("turn"), st.integers(1, 3)),
    st.tuples(st.just("overlap"), st.integers(0, 3), st.integers(0, 3), st.integers(1, 20)),
    st.tuples(st.just("rest")),
    st.tuples(st.just("forget")),
)


class Actions:
    """What a history may do to a world, by the names that the steps have."""

    def __init__(self, world: World) -> None:
        self.world = world

    def event(self, slot: int, count: int) -> None:
        """Publish a unit of ``count`` events of a mission."""
        world = self.world
        scope = world.scope(world.live[slot])
        started = MissionStarted(attempt=1, node="n")
        step = StepStarted(step="9", kind="tool", name="t", input=None, attempt=1)
        both = (started, step)
        unit = [world.log.commit(both[(index + slot) % 2], scope) for index in range(count)]
        world.hub.publish(unit)

    def delta(self, slot: int, text: str) -> None:
        """Stream a piece of a mission's text."""
        world = self.world
        pid = world.live[slot]
        before = world.texts.get(pid, "")
        world.texts[pid] = before + text
        world.hub.publish_ephemeral(delta(world.scope(pid), len(before), text))

    def end(self, slot: int) -> None:
        """End a mission; another takes its slot."""
        world = self.world
        pid = world.live[slot]
        world.texts.pop(pid, None)
        end = MissionFailed(usage={}, duration_ms=1.0)
        world.hub.publish([world.log.commit(end, world.scope(pid))])
        world.live[slot], world.fresh = f"m{world.fresh}", world.fresh + 1

    def subscribe(
        self, who: int, topics: list[str], place: float | None, globs: tuple[str, ...]
    ) -> None:
        """Attach topics, from some place in the log."""
        client = self.world.clients[who]
        since = None if place is None else math.floor(place * self.world.hub.head)
        if not client.subscriber.gone:
            self.world.subscribe(client, [Filter(topic, globs) for topic in topics], since)

    def unsubscribe(self, who: int, topic: str) -> None:
        """Let a topic go."""
        client = self.world.clients[who]
        if not client.subscriber.gone:
            self.world.hub.unsubscribe(client.subscriber, [topic])
            self.world.note(client, Unsubscribe((topic,)))

    def follow(self, who: int, slot: int) -> None:
        """Follow a mission to its end."""
        world, client = self.world, self.world.clients[who]
        if client.subscriber.gone:
            return
        pid = world.live[slot]
        world.hub.follow(client.subscriber, pid, "u1")
        if pid in world.texts:
            client.snapshots[len(client.calls)] = {pid: world.texts[pid]}
        world.note(client, Follow(pid, world.hub.head))

    def ping(self, who: int) -> None:
        """Ask how far it is."""
        client = self.world.clients[who]
        if not client.subscriber.gone:
            self.world.note(client, Ping(self.world.hub.offset(client.subscriber)))

    def room(self, who: int, size: int | None) -> None:
        """Let a client read so much, or everything from now on."""
        if not self.world.clients[who].subscriber.gone:
            self.world.clients[who].sink.drain(size)

    def turn(self, count: int) -> None:
        """Turn the loop."""
        for _ in range(count):
            self.world.turns.turn()

    def overlap(self, first: int, second: int, count: int) -> None:
        """A mission ends in a tick that begins while the one before is still being written."""
        usual, self.world.turns.step_s = self.world.turns.step_s, 2 * ticks.SLICE_S
        self.event(first, 1)
        self.turn(1)
        self.world.turns.step_s = usual
        self.event(second, count)
        self.end(second)

    def rest(self) -> None:
        """Turn the loop until it rests."""
        self.world.turns.run()

    def forget(self) -> None:
        """Something was erased."""
        self.world.hub.forget_recent()


def _settle(world: World) -> None:
    """Let everybody read, until nothing moves."""
    for client in world.clients:
        if not client.subscriber.gone:
            client.sink.drain(None)
    world.turns.run()


@dataclass(frozen=True)
class Setup:
    """How small everything is."""

    ring: int
    page_limit: int
    chunk: int
    step_s: float
    bound: int


setups = st.builds(
    Setup,
    ring=st.sampled_from([1, 6, 50]),
    page_limit=st.sampled_from([1, 3, 50]),
    chunk=st.sampled_from([100, 600, 10_000]),
    step_s=st.sampled_from([0.0, 0.0011]),
    bound=st.sampled_from([900, 4_000, 1 << 20]),
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=st.lists(steps, min_size=25, max_size=120), setup=setups)
def test_everybody_gets_every_event_that_is_theirs_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch, history: list[tuple[Any, ...]], setup: Setup
) -> None:
    """Whatever is published, subscribed, dropped, and however slowly it is read."""
    monkeypatch.setattr(catchup, "CHUNK_BYTES", setup.chunk)
    monkeypatch.setattr(catchup, "SCAN", 3)
    monkeypatch.setattr(ticks, "_CHECK_EVERY", 1)
    world = World(setup, clients=3)
    actions = Actions(world)
    for name, *arguments in history:
        getattr(actions, name)(*arguments)
        world.check_audience()
    _settle(world)
    world.check_audience()
    for client in world.clients:
        oracle = Oracle(world.log.events)
        gone = client.subscriber.gone
        oracle.read(world.outputs(client), None if gone else world.hub.head)
        assert gone == (client.sink.closed is not None)
        assert gone or client.subscriber.position.live
