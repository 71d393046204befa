"""The hub, turned by hand: what is written to whom, when, and how often."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from events import ticks
from events.bridge import Bridge
from events.bus import LocalBus
from events.errors import OutOfOrder, TooManyTopics
from events.hub import Hub, HubLimits, Subscribed
from events.payloads import MissionCompleted, MissionStarted, StepStarted, TowerDraining
from events.ring import RingBounds
from events.subscribers import Subscriber
from events.topics import Filter
from events.types import Committed, EventData, Scope, ephemeral
from tests.unit.events.fakes import HandTurns, MemoryLog, Sink, delta, scope_of

M1 = scope_of(mission="m1")
STARTED = MissionStarted(attempt=1, node="n")
ENDED = MissionCompleted(result=1, usage={}, duration_ms=1.0)


class Rig:
    """A hub with its log and its loop."""

    def __init__(self, limits: HubLimits | None = None, past: int = 0) -> None:
        self.log = MemoryLog()
        for _ in range(past):
            self.log.commit(STARTED, M1)
        self.turns = HandTurns()
        self.hub = Hub(self.log, self.turns, limits, wall=lambda: 0.0)

    def connect(self) -> tuple[Sink, Subscriber]:
        """Add a client that reads everything at once."""
        sink = Sink()
        subscriber = self.hub.add(sink)
        sink.on_stuck = lambda: self.hub.stuck(subscriber)
        sink.on_drained = lambda: self.hub.drained(subscriber)
        return sink, subscriber

    def watch(self, *topics: str, since: int | None = None) -> tuple[Sink, Subscriber]:
        """Add a client with topics."""
        sink, subscriber = self.connect()
        self.subscribe(subscriber, [Filter(topic) for topic in topics], since)
        self.turns.run()
        return sink, subscriber

    def subscribe(
        self,
        subscriber: Subscriber,
        filters: Sequence[Filter],
        since: int | None = None,
        epoch: str | None = None,
        reply: Callable[[Subscribed], None] = lambda _: None,
    ) -> Subscribed:
        """Call subscribe; the log answers at once."""
        done: list[Subscribed] = []

        def attached(result: Subscribed) -> None:
            done.append(result)
            reply(result)

        call = self.hub.subscribe(subscriber, filters, since, epoch, attached)
        try:
            call.send(None)
        except StopIteration:
            return done[0]
        raise AssertionError("the log did not answer at once")

    def publish(self, data: EventData = STARTED, scope: Scope = M1, count: int = 1) -> Committed:
        """Commit and publish units of one event."""
        for _ in range(count):
            event = self.log.commit(data, scope)
            self.hub.publish([event])
        return event

    def reply(self, subscriber: Subscriber, text: str) -> None:
        """Say something of its own."""
        self.hub.say(subscriber, msgspec.json.encode({"reply": text}))


def _kinds(sink: Sink) -> list[Any]:
    """Return replies by their text and events by their offset or type, in order."""
    return [
        one["reply"] if "reply" in one else one["params"].get("offset", one["params"]["type"])
        for one in sink.messages()
    ]


def test_a_tick_is_one_write_for_each_connection() -> None:
    """However many events and replies came about in one turn."""
    rig = Rig()
    clients = [rig.watch("system") for _ in range(3)]
    rig.publish(count=5)
    rig.reply(clients[0][1], "a")
    rig.publish(count=5)
    rig.turns.run()
    assert [sink.writes for sink, _ in clients] == [1, 1, 1]
    assert _kinds(clients[0][0]) == [1, 2, 3, 4, 5, "a", 6, 7, 8, 9, 10]
    assert clients[1][0].offsets() == list(range(1, 11))


def test_connections_with_equal_subscriptions_share_a_view() -> None:
    """In whatever order, and through however many calls they came to them."""
    rig = Rig()
    _, first = rig.watch("user:u1", "session:s1")
    _, second = rig.watch("session:s1")
    rig.subscribe(second, [Filter("user:u1")])
    assert first.view is second.view
    assert rig.hub.figures().views == 1
    rig.hub.unsubscribe(second, ["user:u1"])
    assert first.view is not second.view
    rig.hub.remove(second)
    rig.hub.remove(first)
    assert rig.hub.figures().views == 0


def test_an_event_that_several_topics_match_comes_once() -> None:
    """Session, user, mission and system are all about it."""
    rig = Rig()
    sink, _ = rig.watch("user:u1", "session:s1", "mission:m1", "system")
    rig.publish(count=2)
    rig.turns.run()
    assert sink.offsets() == [1, 2]


def test_a_reply_said_at_commit_precedes_the_events_of_the_unit() -> None:
    """And follow takes effect for them."""
    rig = Rig()
    sink, subscriber = rig.connect()
    event = rig.log.commit(STARTED, M1)
    rig.reply(subscriber, "submitted")
    rig.hub.follow(subscriber, "m1", "u1")
    rig.hub.publish([event])
    rig.turns.run()
    assert _kinds(sink) == ["submitted", 1]


def test_following_ends_with_the_mission() -> None:
    """The terminal event is the last; the connection keeps what it asked for itself."""
    rig = Rig()
    sink, subscriber = rig.watch("session:s2")
    rig.hub.follow(subscriber, "m1", "u1")
    rig.publish()
    rig.publish(ENDED)
    rig.turns.run()
    rig.publish(scope=scope_of("s2", mission="m2"))
    rig.publish(scope=scope_of(mission="m3"))
    rig.turns.run()
    assert sink.offsets() == [1, 2, 3]
    assert rig.hub.topics(subscriber) == ["session:s2"]
    assert "mission:m1" not in subscriber.position


def test_followed_missions_do_not_count_and_do_not_show() -> None:
    """A hundred topics and any number of missions."""
    rig = Rig()
    _, subscriber = rig.connect()
    for number in range(150):
        rig.hub.follow(subscriber, f"m{number}", "u1")
    rig.subscribe(subscriber, [Filter(f"session:s{number}") for number in range(100)])
    assert len(rig.hub.topics(subscriber)) == 100
    with pytest.raises(TooManyTopics):
        rig.subscribe(subscriber, [Filter("system")])
    assert "system" not in subscriber.position


def test_following_again_what_was_asked_for_changes_nothing() -> None:
    """An explicit topic does not end with the mission."""
    rig = Rig()
    sink, subscriber = rig.watch("mission:m1")
    rig.hub.follow(subscriber, "m1", "u1")
    rig.publish(ENDED)
    rig.turns.run()
    assert rig.hub.topics(subscriber) == ["mission:m1"]
    assert sink.offsets() == [1]


def test_asking_for_a_followed_mission_makes_it_stay() -> None:
    """Subscribed to, it does not end by itself any more."""
    rig = Rig()
    _, subscriber = rig.connect()
    rig.hub.follow(subscriber, "m1", "u1")
    rig.subscribe(subscriber, [Filter("mission:m1")])
    rig.publish(ENDED)
    rig.turns.run()
    assert rig.hub.topics(subscriber) == ["mission:m1"]


def test_what_is_older_comes_first_and_then_replay_done() -> None:
    """The reply, the retained events in order, the end of the replay, then what is new."""
    rig = Rig(past=5)
    sink, subscriber = rig.connect()
    done = rig.subscribe(
        subscriber, [Filter("session:s1")], 2, reply=lambda _: rig.reply(subscriber, "attached")
    )
    rig.publish()
    rig.turns.run()
    rig.publish()
    rig.turns.run()
    assert (done.recovered, done.offset, done.epoch) == (True, 5, "e1")
    assert _kinds(sink) == ["attached", 3, 4, 5, 6, "replay.done", 7]
    finished = next(one for one in sink.events() if one["type"] == "replay.done")
    assert finished["data"] == {"topics": ["session:s1"], "offset": 6}


def test_a_replay_of_nothing_is_done_at_once() -> None:
    """``since`` the head: nothing is older."""
    rig = Rig(past=3)
    sink, _ = rig.watch("system", since=3)
    assert _kinds(sink) == ["replay.done"]


def test_now_is_not_a_replay() -> None:
    """Only what is published from then on, and no replay.done."""
    rig = Rig(past=3)
    sink, _ = rig.watch("system")
    rig.publish()
    rig.turns.run()
    assert _kinds(sink) == [4]


def test_a_later_topic_from_further_back_sends_the_older_ones_first() -> None:
    """Those that the first topic had brought do not come again."""
    rig = Rig()
    other = scope_of("s2", mission="m2")
    rig.publish(count=2)
    rig.publish(scope=other, count=2)
    sink, subscriber = rig.watch("session:s1", since=0)
    rig.publish()
    rig.turns.run()
    rig.subscribe(subscriber, [Filter("user:u1")], 0)
    rig.turns.run()
    rig.publish(scope=other)
    rig.turns.run()
    assert sink.offsets() == [1, 2, 5, 3, 4, 6]


@pytest.mark.parametrize(("since", "epoch"), [(2, "e0"), (9, None), (9, "e1"), (0, "e0")])
def test_another_epoch_can_not_be_resumed(since: int, epoch: str | None) -> None:
    """Nor a place that the log has not got to; the topics are attached at the head then."""
    rig = Rig(past=5)
    sink, subscriber = rig.connect()
    done = rig.subscribe(subscriber, [Filter("system")], since, epoch)
    rig.publish()
    rig.turns.run()
    assert (done.recovered, done.reason, done.floor) == (False, "epoch_changed", None)
    assert _kinds(sink) == [6]


def test_a_place_that_another_process_has_got_to_is_waited_for() -> None:
    """Where others write the same log, a client may have seen there what is yet to come here."""
    rig = Rig(past=5)

    async def others() -> None:
        rig.publish(count=2)

    rig.hub.others = others
    sink, subscriber = rig.connect()
    done = rig.subscribe(subscriber, [Filter("system")], 6)
    rig.turns.run()
    assert (done.recovered, done.offset, done.reason) == (True, 7, None)
    assert _kinds(sink)[0] == 7
    late = rig.subscribe(subscriber, [Filter("user:u1")], 12)
    assert (late.recovered, late.reason) == (False, "epoch_changed")


@pytest.mark.parametrize("since", [None, 0, 5])
def test_a_missions_topic_waits_for_what_another_process_committed(since: int | None) -> None:
    """Who misses a mission in the snapshot believes that it has ended; others need not wait."""
    rig = Rig(past=5)
    asked: list[int] = []

    async def others() -> None:
        asked.append(rig.hub.head)
        rig.publish(scope=scope_of(mission="m2"))

    rig.hub.others = others
    _, subscriber = rig.connect()
    done = rig.subscribe(subscriber, [Filter("session:s1"), Filter("mission:m2")], since)
    assert (done.recovered, done.offset) == (True, 6)
    rig.subscribe(subscriber, [Filter("user:u1")], since)
    assert asked == [5]


def test_a_gap_in_history_is_named_with_its_floor() -> None:
    """What retention removed can't be replayed; from the floor on it can."""
    rig = Rig(past=5)
    rig.log.floors = {"session:s1": 3}
    _, subscriber = rig.connect()
    gap = rig.subscribe(subscriber, [Filter("session:s1")], 2)
    assert (gap.recovered, gap.reason, gap.floor) == (False, "history_gap", 3)
    again = rig.subscribe(subscriber, [Filter("session:s1")], 3)
    assert (again.recovered, again.reason, again.floor) == (True, None, None)


def test_the_text_so_far_follows_replay_done() -> None:
    """One delta at 0 for each stream; the next one goes on behind it."""
    rig = Rig(past=2)
    for at, piece in enumerate("Hé!"):
        rig.hub.publish_ephemeral(delta(M1, at, piece))
    sink, _ = rig.watch("session:s1", since=0)
    rig.hub.publish_ephemeral(delta(M1, 3, "…"))
    rig.turns.run()
    texts = [(one["data"]["at"], one["data"]["text"]) for one in sink.events()[3:]]
    assert _kinds(sink) == [1, 2, "replay.done", "llm.delta", "llm.delta"]
    assert texts == [(0, "Hé!"), (3, "…")]
    assert rig.hub.partial_text("m1") == "Hé!…"
    assert rig.hub.partial_text("m2") is None


def test_who_wants_no_deltas_is_told_no_text() -> None:
    """Neither live nor at the end of a replay."""
    rig = Rig(past=1)
    rig.hub.publish_ephemeral(delta(M1, 0, "abc"))
    sink, subscriber = rig.connect()
    rig.subscribe(subscriber, [Filter("system", deltas=False)], 0)
    rig.turns.run()
    rig.hub.publish_ephemeral(delta(M1, 3, "d"))
    rig.turns.run()
    assert _kinds(sink) == [1, "replay.done"]


def test_a_client_that_does_not_read_is_closed_at_its_bound() -> None:
    """4413, holding no more than the bound; who reads beside it notices nothing."""
    rig = Rig(HubLimits(buffer_bytes=10_000))
    slow, gone = rig.watch("system")
    fine, _ = rig.watch("system")
    slow.room = 0
    for _ in range(100):
        rig.publish()
        rig.turns.run()
    assert slow.closed == (4413, "reading too slowly")
    assert slow.buffered() <= 10_000
    assert gone.gone
    assert fine.offsets() == list(range(1, 101))
    assert rig.hub.figures().slow_closed == 1


def test_a_tick_larger_than_the_bound_is_read_at_the_clients_pace() -> None:
    """It was not slow: it gets the tick from the ring, in chunks, and is live again."""
    rig = Rig(HubLimits(buffer_bytes=100_000))
    sink, subscriber = rig.watch("system")
    sink.room = 0
    rig.publish(count=1_000)
    rig.turns.run()
    assert rig.hub.figures().behind == 1
    assert sink.buffered() <= 100_000
    while sink.buffered():
        sink.drain(30_000)
        rig.turns.run()
        assert sink.buffered() <= 100_000
    assert sink.offsets() == list(range(1, 1_001))
    assert subscriber.position.live
    assert sink.closed is None


def test_a_call_in_the_middle_of_a_large_tick_loses_nothing_of_it() -> None:
    """What the topics before it were told is not told under those behind it."""
    rig = Rig(HubLimits(buffer_bytes=5_000))
    sink, subscriber = rig.watch("system")
    rig.publish(count=50)
    rig.subscribe(subscriber, [Filter("system")])
    rig.publish(count=50)
    rig.turns.run()
    assert sink.offsets() == list(range(1, 101))


def test_a_replay_waits_for_its_reader() -> None:
    """One chunk at a time, and it is never a reason to close."""
    rig = Rig(HubLimits(buffer_bytes=100_000, ring=RingBounds(events=8)), past=5_000)
    sink, subscriber = rig.connect()
    sink.room = 0
    rig.subscribe(subscriber, [Filter("system")], 0)
    rig.turns.run()
    reads = len(rig.log.reads)
    rig.turns.run()
    assert sink.buffered() <= 70_000
    assert len(rig.log.reads) == reads
    while sink.buffered():
        sink.drain(20_000)
        rig.turns.run()
    sink.drain(None)
    rig.turns.run()
    assert sink.offsets() == list(range(1, 5_001))
    assert _kinds(sink)[-1] == "replay.done"


def test_a_crowd_that_comes_back_reads_the_log_once() -> None:
    """A hundred connections at the same place share their pages."""
    rig = Rig(HubLimits(ring=RingBounds(events=1)), past=2_000)
    crowd = [rig.connect() for _ in range(100)]
    for _, subscriber in crowd:
        rig.subscribe(subscriber, [Filter("session:s1")], 0)
    rig.turns.run()
    assert all(sink.offsets() == list(range(1, 2_001)) for sink, _ in crowd)
    assert len(rig.log.reads) == 4


def test_the_next_page_is_read_while_this_one_is_written() -> None:
    """For who reads as fast as it is written to; who does not gets its page when it is there."""
    rig = Rig(HubLimits(ring=RingBounds(events=1)), past=2_000)
    rig.log.page_limit = 1_024
    rig.turns.step_s = 0.003
    quick, subscriber = rig.connect()
    rig.subscribe(subscriber, [Filter("system")], 0)
    while not quick.taken:
        rig.turns.turn()
    rig.turns.turn()
    assert quick.offsets()[-1] < 1_024
    assert [after for _, after in rig.log.reads] == [0, 1_024]
    rig.turns.run()

    rig = Rig(HubLimits(ring=RingBounds(events=1)), past=2_000)
    slow, subscriber = rig.connect()
    slow.room = 0
    rig.subscribe(subscriber, [Filter("system")], 0)
    rig.turns.run()
    assert [after for _, after in rig.log.reads] == [0]


def test_the_recent_past_is_not_read_from_the_log() -> None:
    """It is in the ring."""
    rig = Rig()
    rig.publish(count=50)
    sink, _ = rig.watch("system", since=0)
    assert sink.offsets() == list(range(1, 51))
    assert rig.log.reads == []


def test_after_an_erasure_replays_read_the_log() -> None:
    """What was erased there must not come out of memory."""
    rig = Rig()
    rig.publish(count=5)
    rig.hub.forget_recent()
    sink, _ = rig.watch("system", since=0)
    assert sink.offsets() == [1, 2, 3, 4, 5]
    assert rig.log.reads


async def test_a_page_on_its_way_while_something_is_erased_is_read_again() -> None:
    """It was read before the erasure, perhaps."""
    rig = Rig(HubLimits(ring=RingBounds(events=1)), past=10)
    sink, subscriber = rig.connect()
    rig.subscribe(subscriber, [Filter("system")], 0)
    rig.log.close_gate()
    while not rig.log.reads:
        rig.turns.turn()
    rig.hub.forget_recent()
    rig.log.open_gate()
    rig.turns.soon(rig.turns._step)
    rig.turns.run()
    assert len(rig.log.reads) == 2
    assert sink.offsets() == list(range(1, 11))


def test_a_page_that_could_not_be_read_is_asked_for_again() -> None:
    """The store's trouble delays a replay and loses nothing."""
    rig = Rig(HubLimits(ring=RingBounds(events=1)), past=10)
    rig.log.failures = 2
    sink, _ = rig.watch("system", since=0)
    assert sink.offsets() == []
    rig.turns.advance(5)
    assert sink.offsets() == list(range(1, 11))


def test_a_long_flush_goes_on_in_the_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks stay in order, and who leaves or is answered in between gets its part."""
    monkeypatch.setattr(ticks, "_CHECK_EVERY", 1)
    rig = Rig()
    clients = [rig.watch("system") for _ in range(6)]
    rig.turns.step_s = 0.0015
    rig.publish()
    rig.turns.turn()
    served = [bool(sink.writes) for sink, _ in clients]
    assert any(served)
    assert not all(served)
    rig.publish()
    for number, (_, subscriber) in enumerate(clients):
        rig.reply(subscriber, f"r{number}")
    rig.hub.unsubscribe(clients[5][1], ["system"])
    rig.hub.unsubscribe(clients[0][1], ["system"])
    rig.publish()
    rig.turns.run()
    assert _kinds(clients[0][0]) == [1, 2, "r0"]
    assert _kinds(clients[5][0]) == [1, 2, "r5"]
    assert all(_kinds(clients[n][0]) == [1, 2, f"r{n}", 3] for n in range(1, 5))


def test_an_outlet_that_raises_is_dropped_and_nobody_else_notices() -> None:
    """Whether it is written to with its view or on its own."""
    rig = Rig()
    broken = [rig.watch("system") for _ in range(2)]
    fine, _ = rig.watch("system")
    for sink, subscriber in broken:
        sink.closed = (1000, "")
        assert subscriber.view is not None
    rig.reply(broken[1][1], "x")
    rig.publish()
    rig.turns.run()
    rig.publish()
    rig.turns.run()
    assert fine.offsets() == [1, 2]
    assert all(sink.aborted and subscriber.gone for sink, subscriber in broken)


def test_a_reply_in_the_middle_of_a_large_flush_stands_behind_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may speak for the tick, so that tick is not left to be read later."""
    monkeypatch.setattr(ticks, "_CHECK_EVERY", 1)
    rig = Rig(HubLimits(buffer_bytes=5_000))
    clients = [rig.watch("system") for _ in range(6)]
    rig.publish(count=50)
    rig.turns.step_s = 0.0015
    rig.turns.turn()
    rig.turns.step_s = 0.0
    late = [number for number, (_, one) in enumerate(clients) if one.position.live]
    assert 0 < len(late) < 6
    for number in late:
        rig.reply(clients[number][1], f"up to {rig.hub.offset(clients[number][1])}")
    rig.turns.run()
    for number in late:
        assert _kinds(clients[number][0]) == [*range(1, 51), "up to 50"]
    assert all(sink.offsets() == list(range(1, 51)) for sink, _ in clients)


@pytest.mark.parametrize("others", [0, 1])
def test_a_mission_that_ends_during_a_long_flush_is_told_whole(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """It ends in the tick that has begun meanwhile, which is more than may wait for a follower."""
    monkeypatch.setattr(ticks, "_CHECK_EVERY", 1)
    rig = Rig(HubLimits(buffer_bytes=5_000))
    sink, follower = rig.connect()
    rig.hub.follow(follower, "m1", "u1")
    for number in range(others):
        rig.hub.follow(follower, f"other{number}", "u1")
    crowd = [rig.watch("user:u2")[0] for _ in range(6)]
    rig.publish(scope=scope_of(session="s2", user="u2", mission="m2"))
    rig.turns.step_s = 0.0015
    rig.turns.turn()
    rig.turns.step_s = 0.0
    assert not all(other.writes for other in crowd)
    rig.publish(count=50)
    rig.publish(ENDED)
    rig.turns.run()
    assert sink.offsets() == list(range(2, 53))
    assert "mission:m1" not in follower.position


def test_draining_is_told_to_every_connection() -> None:
    """With topics or without."""
    rig = Rig()
    sinks = [rig.connect()[0], rig.watch("session:nobody")[0]]
    draining = TowerDraining(node="n", retry_after_ms=500)
    rig.hub.publish_ephemeral(ephemeral(draining, Scope(None, None), 0.0))
    rig.turns.run()
    assert [_kinds(sink) for sink in sinks] == [["tower.draining"], ["tower.draining"]]


def test_what_is_pending_goes_out_before_a_close() -> None:
    """A last reply and the events before it are not lost with the connection."""
    rig = Rig()
    sink, subscriber = rig.watch("system")
    rig.publish()
    rig.reply(subscriber, "bye")
    rig.hub.finish(subscriber)
    rig.publish()
    rig.turns.run()
    assert _kinds(sink) == [1, "bye"]
    rig.hub.finish(subscriber)
    rig.hub.remove(subscriber)
    rig.reply(subscriber, "too late")
    rig.turns.run()
    assert _kinds(sink) == [1, "bye"]


def test_events_out_of_order_are_our_bug() -> None:
    """A gap or a repetition is refused, since nobody could mend it later."""
    rig = Rig(past=3)
    for offset in (3, 5):
        with pytest.raises(OutOfOrder):
            rig.hub.publish([Committed(offset, "x", M1, b"{}")])


def test_ping_speaks_for_what_was_written() -> None:
    """The head when live; in a replay, where it has got to."""
    rig = Rig(HubLimits(ring=RingBounds(events=1)), past=10)
    sink, subscriber = rig.connect()
    assert rig.hub.offset(subscriber) == 10
    rig.log.close_gate()
    rig.log.open_gate()
    sink.room = 0
    rig.subscribe(subscriber, [Filter("system")], 4)
    assert rig.hub.offset(subscriber) == 4
    sink.drain(None)
    rig.turns.run()
    assert rig.hub.offset(subscriber) == 10


async def test_a_connection_lost_while_it_subscribes_is_left_alone() -> None:
    """The log answers too late; nothing is attached and nothing said."""
    import asyncio

    from events.turns import LoopTurns

    log = MemoryLog()
    for _ in range(3):
        log.commit(STARTED, M1)
    hub = Hub(log, LoopTurns())
    sink = Sink()
    subscriber = hub.add(sink)
    said: list[Subscribed] = []
    log.close_gate()
    call = asyncio.create_task(hub.subscribe(subscriber, [Filter("system")], 0, None, said.append))
    await asyncio.sleep(0)
    hub.remove(subscriber)
    log.open_gate()
    await call
    assert said == []
    assert sink.writes == 0
    await hub.close()


def test_the_bridge_hands_units_over_in_order() -> None:
    """Durable events, then what follows them."""
    rig = Rig()
    bridge = Bridge(LocalBus(rig.hub))
    sink, _ = rig.watch("system")
    step = StepStarted(step="1", kind="llm", name="m", input=None, attempt=1)
    bridge.publish([rig.log.commit(STARTED, M1), rig.log.commit(step, M1)], [delta(M1, 0, "a")])
    bridge.publish_ephemeral(delta(M1, 1, "b"))
    bridge.publish([], [])
    rig.turns.run()
    assert _kinds(sink) == [1, 2, "llm.delta", "llm.delta"]


def test_the_figures_count_what_was_sent() -> None:
    """Deliveries are events times receivers."""
    rig = Rig()
    for _ in range(3):
        rig.watch("system")
    rig.publish(count=4)
    rig.turns.run()
    figures = rig.hub.figures()
    assert figures.connections == 3
    assert figures.behind == 0
    assert figures.written.deliveries == 12
    assert figures.written.writes == 3
    assert figures.ring_bytes > 0
