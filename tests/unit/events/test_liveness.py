"""Which connections are given up, and when."""

import pytest

from events.frames import PING
from events.hub import Hub
from events.payloads import NodeJoined
from events.subscribers import Subscriber
from events.topics import Filter
from tests.unit.events.fakes import HandTurns, MemoryLog, Sink, scope_of


class Rig:
    """A hub that sweeps, and one client."""

    def __init__(self) -> None:
        self.log, self.turns, self.sink = MemoryLog(), HandTurns(), Sink()
        self.hub = Hub(self.log, self.turns, wall=lambda: 0.0)
        self.subscriber: Subscriber = self.hub.add(self.sink)
        self.sink.on_stuck = lambda: self.hub.stuck(self.subscriber)
        self.sink.on_drained = lambda: self.hub.drained(self.subscriber)
        self.hub.start()

    def gone(self) -> bool:
        """Whether the client was aborted."""
        return self.sink.aborted

    def publish(self) -> None:
        """Publish an event to it."""
        self.hub.publish([self.log.commit(NodeJoined(node="x" * 500), scope_of())])
        self.turns.run()

    def watch(self) -> None:
        """Subscribe to everything."""
        call = self.hub.subscribe(self.subscriber, [Filter("system")], None, None, lambda _: None)
        with pytest.raises(StopIteration):
            call.send(None)


def test_a_client_that_answers_lives_for_ever() -> None:
    """One ping every 25 s, none more."""
    rig = Rig()
    for number in range(1, 41):
        rig.turns.advance(25.5 if number == 1 else 25)
        assert bytes(rig.sink.taken) == PING * number
        rig.hub.heard(rig.subscriber)
    assert not rig.gone()


def test_a_client_that_says_nothing_is_aborted_10_s_after_a_ping() -> None:
    """Not before: a slow answer is an answer."""
    rig = Rig()
    rig.turns.advance(34)
    assert not rig.gone()
    rig.turns.advance(2)
    assert rig.gone()
    assert rig.hub.figures().dead_aborted == 1
    assert rig.hub.figures().connections == 0


def test_any_frame_is_life() -> None:
    """It need not be the pong."""
    rig = Rig()
    rig.turns.advance(27)
    rig.hub.heard(rig.subscriber)
    rig.turns.advance(22)
    assert not rig.gone()


def test_a_client_that_takes_nothing_is_gone_within_15_s() -> None:
    """From its first stuck byte, wherever that falls between two sweeps."""
    for start in (0.1, 2.5, 4.9):
        rig = Rig()
        rig.watch()
        rig.turns.advance(start)
        rig.sink.room = 0
        rig.publish()
        rig.turns.advance(9.9)
        assert not rig.gone()
        rig.publish()
        rig.turns.advance(5.1)
        assert rig.gone()


def test_a_client_that_takes_a_little_at_a_time_is_kept() -> None:
    """Its bytes move; new ones may come faster than that."""
    rig = Rig()
    rig.watch()
    rig.sink.room = 0
    for _ in range(30):
        rig.publish()
        rig.sink.drain(10)
        rig.turns.advance(4)
    assert not rig.gone()
    assert rig.sink.buffered() > 10_000


def test_a_stuck_client_is_not_pinged() -> None:
    """The ping would wait behind what it does not take."""
    rig = Rig()
    rig.watch()
    rig.turns.advance(24)
    rig.sink.room = 0
    rig.publish()
    waiting = rig.sink.buffered()
    rig.turns.advance(3)
    assert rig.sink.buffered() == waiting


def test_thousands_are_swept_in_slices() -> None:
    """No turn of the loop pings them all."""
    rig = Rig()
    sinks = [Sink() for _ in range(500)]
    for sink in sinks:
        rig.hub.add(sink)
    rig.turns.step_s = 0.0001
    rig.turns.advance(26)
    assert all(bytes(sink.taken) == PING for sink in sinks)
