"""What may be given to the hub: holes, pages, late deltas, and what is forgotten."""

from collections.abc import Sequence

import pytest

from events.sequence import PATIENCE_S, Sequencer, Source, Stretch
from events.types import Committed, Ephemeral
from tests.unit.events.fakes import scope_of
from tests.unit.events.test_hub import STARTED
from tests.unit.events.test_hub import Rig as HubRig

M1, M2 = scope_of(mission="m1"), scope_of(mission="m2")


def event(
    offset: int, scope: object = M1, size: int = 1, kind: str = "step.completed"
) -> Committed:
    """Make a durable event."""
    assert isinstance(scope, type(M1))
    return Committed(offset, kind, scope, b"x" * size)


def said(text: str, scope: object = M1) -> Ephemeral:
    """Make a delta."""
    assert isinstance(scope, type(M1))
    return Ephemeral("llm.delta", scope, text.encode())


class Ear:
    """A receiver that notes offsets and texts."""

    def __init__(self) -> None:
        self.heard: list[int | str] = []

    def publish(self, events: Sequence[Committed], after: Sequence[Ephemeral]) -> None:
        """Note them."""
        self.heard += [each.offset for each in events]
        for each in after:
            self.publish_ephemeral(each)

    def publish_ephemeral(self, event: Ephemeral) -> None:
        """Note it."""
        self.heard.append(event.body.decode())


class Rig:
    """A sequencer between nodes 7 and 8, by hand."""

    def __init__(self, head: int = 0, most_bytes: int = 1 << 20) -> None:
        self.ear = Ear()
        self.core = Sequencer(self.ear, head, most_bytes=most_bytes)
        self.numbers = {7: 0, 8: 0}

    def message(self, token: int, reached: int, fresh: int = 0, now: float = 0.0) -> Source:
        """Begin the next message of a node."""
        self.numbers[token] += 1
        source = self.core.begin(token, self.numbers[token], reached, fresh, now)
        assert source is not None
        return source

    def unit(self, token: int, *offsets: int, reached: int = 0) -> None:
        """Hand in a message with one unit."""
        source = self.message(token, reached)
        self.core.unit(source, [event(each) for each in offsets], (), 0.0)


def test_own_units_go_on_at_once() -> None:
    """A node that is alone notices nothing of all this."""
    rig = Rig()
    rig.core.send([event(1), event(2)], [said("a")], 0.0)
    rig.core.send_ephemeral(said("b"), 0.0)
    rig.core.send([event(3)], [], 0.0)
    assert rig.ear.heard == [1, 2, "a", "b", 3]
    assert rig.core.due() is None


def test_our_own_waits_for_an_earlier_offset() -> None:
    """Two nodes commit; whose message comes first decides nothing."""
    rig = Rig()
    rig.core.send([event(2)], [said("own")], 0.0)
    assert rig.ear.heard == []
    rig.unit(7, 1)
    assert rig.ear.heard == [1, 2, "own"]


def test_a_hole_is_waited_for_then_read() -> None:
    """Only what has not come within the patience is asked of the log, and once."""
    rig = Rig()
    rig.unit(7, 3)
    assert rig.core.missing(PATIENCE_S / 2) is None
    assert rig.core.missing(PATIENCE_S) == Stretch(0, 3)
    assert rig.core.missing(1.0) is None
    assert rig.core.page([event(1)], 1, 1.0) == Stretch(1, 3)
    assert rig.core.page([event(2), event(3)], 3, 1.0) is None
    assert rig.ear.heard == [1, 2, 3]
    assert rig.core.due() is None


def test_each_hole_has_its_own_patience() -> None:
    """A hole that closes in time takes nothing from the next one's."""
    rig = Rig()
    rig.unit(7, 2)
    source = rig.message(8, 0)
    rig.core.unit(source, [event(1)], (), 0.015)
    rig.core.unit(source, [event(4)], (), 0.015)
    assert rig.core.missing(PATIENCE_S) is None
    assert rig.core.missing(0.015 + PATIENCE_S) == Stretch(2, 4)


def test_what_arrives_while_the_log_is_read_is_not_given_twice() -> None:
    """The page is late: all of it has come meanwhile."""
    rig = Rig()
    rig.unit(7, 2, 3)
    rig.core.missing(PATIENCE_S)
    rig.unit(8, 1)
    assert rig.ear.heard == [1, 2, 3]
    assert rig.core.page([event(1), event(2), event(3)], 3, 1.0) is None
    assert rig.ear.heard == [1, 2, 3]


def test_a_unit_that_is_known_in_part_gives_the_rest() -> None:
    """A page may end in the middle of a unit, and its message come then."""
    rig = Rig()
    rig.core.looked(2, 0.0)
    rig.core.missing(PATIENCE_S)
    assert rig.core.page([event(1)], 1, 0.0) == Stretch(1, 2)
    rig.unit(7, 1, 2, 3)
    assert rig.ear.heard == [1, 2, 3]


def test_a_source_is_never_overtaken_by_itself() -> None:
    """A unit whose time has come does not pass a delta that still waits in front of it."""
    rig = Rig(head=1)
    source = rig.message(7, reached=2)
    rig.core.unit(source, (), [said("behind 2")], 0.0)
    rig.core.unit(source, [event(3)], [said("behind 3")], 0.0)
    rig.core.unit(source, (), [said("more")], 0.0)
    assert rig.ear.heard == []
    rig.unit(8, 2)
    assert rig.ear.heard == [2, "behind 2", 3, "behind 3", "more"]


def test_a_delta_waits_for_what_its_node_committed_before() -> None:
    """Even if the message with that was lost: then for the log."""
    rig = Rig()
    source = rig.message(7, reached=1)
    rig.core.unit(source, (), [said("text")], 0.0)
    assert rig.ear.heard == []
    assert rig.core.missing(PATIENCE_S) == Stretch(0, 1)
    rig.core.page([event(1)], 1, 1.0)
    assert rig.ear.heard == [1, "text"]


def test_a_delta_of_a_step_that_is_over_is_dropped() -> None:
    """The log gave its mission's next event before its message came."""
    rig = Rig()
    rig.core.looked(2, 0.0)
    rig.core.missing(PATIENCE_S)
    rig.core.page([event(1, M1), event(2, M2)], 2, 1.0)
    source = rig.message(7, reached=0)
    rig.core.unit(source, (), [said("stale", M1), said("fine", scope_of(mission="m3"))], 1.0)
    assert rig.ear.heard == [1, 2, "fine"]
    assert rig.core.figures.late == 1
    source = rig.message(7, reached=1)
    rig.core.unit(source, (), [said("of the next step", M1)], 1.0)
    assert rig.ear.heard[-1] == "of the next step"


def test_a_delta_whose_step_goes_on_is_never_too_late() -> None:
    """Other events of its mission may pass it; the text would have a hole without it."""
    rig = Rig()
    rig.core.looked(1, 0.0)
    rig.core.missing(PATIENCE_S)
    rig.core.page([event(1, M1, kind="step.started")], 1, 1.0)
    source = rig.message(7, reached=0)
    rig.core.unit(source, (), [said("text", M1)], 1.0)
    assert rig.ear.heard == [1, "text"]


def test_a_node_that_has_seen_as_much_is_fresh_without_commits() -> None:
    """Who commits nothing for a while need not for its deltas to be taken."""
    rig = Rig()
    rig.core.looked(5, 0.0)
    rig.core.missing(PATIENCE_S)
    rig.core.page([event(n, M1) for n in range(1, 6)], 5, 1.0)
    source = rig.message(7, reached=0, fresh=5)
    rig.core.unit(source, (), [said("text")], 1.0)
    assert rig.ear.heard[-1] == "text"


def test_a_message_counts_once() -> None:
    """Its deltas would be doubled otherwise."""
    rig = Rig()
    assert rig.core.begin(7, 1, 0, 0, 0.0) is not None
    assert rig.core.begin(7, 1, 0, 0, 0.0) is None
    assert rig.core.begin(7, 3, 0, 0, 0.0) is not None
    assert rig.core.begin(7, 2, 0, 0, 0.0) is None
    assert rig.core.begin(8, 1, 0, 0, 0.0) is not None


def test_what_left_the_log_is_stood_in_for() -> None:
    """Retention took some of it: in the middle, and at the end of what is known to be there."""
    rig = Rig()
    rig.core.looked(5, 0.0)
    assert rig.core.missing(PATIENCE_S) == Stretch(0, 5)
    assert rig.core.page([event(2), event(4)], 5, 1.0) is None
    assert rig.ear.heard == [1, 2, 3, 4, 5]
    assert rig.core.due() is None


def test_offsets_that_the_log_does_not_know_are_not_believed() -> None:
    """A message may say anything; nothing is made up for it, and what is real goes on."""
    rig = Rig(head=3)
    source = rig.message(7, reached=2**60)
    rig.core.unit(source, [event(2**60)], [said("never")], 0.0)
    assert rig.core.missing(PATIENCE_S) == Stretch(3, 2**60)
    assert rig.core.page([event(4)], 2**60, 1.0) is None
    assert rig.core.due() is None
    assert rig.core.waiting_bytes == 0
    rig.core.send([event(5)], [], 1.0)
    assert rig.ear.heard == [4, 5]


def test_what_waits_is_bounded_and_then_comes_from_the_log() -> None:
    """Everything that waits is in the log; nobody needs it in memory."""
    rig = Rig(most_bytes=10_000)
    source = rig.message(7, 0)
    for offset in range(2, 30):
        rig.core.unit(source, [event(offset, size=1_000)], (), 0.0)
        assert rig.core.waiting_bytes <= 10_000
    assert rig.core.figures.forgotten > 0
    assert rig.core.missing(PATIENCE_S) == Stretch(0, 29)
    rig.core.page([event(n) for n in range(1, 30)], 29, 1.0)
    assert rig.ear.heard == list(range(1, 30))


def test_a_log_that_fails_is_asked_again() -> None:
    """After its patience, as for any hole."""
    rig = Rig()
    rig.core.looked(1, 0.0)
    assert rig.core.missing(PATIENCE_S) == Stretch(0, 1)
    rig.core.failed(5.0)
    assert rig.core.due() == pytest.approx(5.0 + PATIENCE_S)
    assert rig.core.missing(6.0) == Stretch(0, 1)


def test_silent_nodes_are_forgotten() -> None:
    """A cluster whose nodes start again for years keeps a bounded number of them."""
    rig = Rig()
    for token in range(100, 400):
        rig.core.begin(token, 1, 0, 0, float(token))
    assert len(rig.core._sources) < 130


def test_a_hub_tells_nobody_of_what_left_the_log() -> None:
    """Not live, and not to who comes back: its offset is taken, and that is all."""
    hub = HubRig()
    sink, _ = hub.watch("system")
    core = Sequencer(hub.hub, 0)
    first, gone, last = (hub.log.commit(STARTED, M1) for _ in range(3))
    core.looked(3, 0.0)
    core.missing(PATIENCE_S)
    core.page([first, last], 3, 0.0)
    hub.turns.run()
    assert hub.hub.head == 3
    assert sink.offsets() == [first.offset, last.offset]
    again, _ = hub.watch("system", since=first.offset)
    assert again.offsets() == [last.offset]
    assert gone.offset == 2


def test_text_that_comes_first_waits_for_its_event() -> None:
    """It is given as soon as that is there, before the event that comes behind it."""
    rig = Rig()
    rig.core.text(7, 2, 2, said("behind 2"), 0.0)
    rig.core.text(7, 2, 2, said("more"), 0.0)
    rig.core.text(7, 3, 3, said("behind 3"), 0.0)
    source = rig.message(7, 0)
    rig.core.unit(source, [event(1)], (), 0.0)
    assert rig.ear.heard == [1]
    rig.core.unit(source, [event(2)], (), 0.0)
    rig.core.unit(source, [event(3), event(4)], (), 0.0)
    assert rig.ear.heard == [1, 2, "behind 2", "more", 3, 4, "behind 3"]
    assert rig.core.waiting_bytes == 0


def test_text_comes_between_events_that_waited_together() -> None:
    """A hole of another node's held all of it up; when it closes, the order is the sender's."""
    rig = Rig()
    rig.core.text(7, 2, 2, said("behind 2"), 0.0)
    source = rig.message(7, 0)
    for offset in (2, 3):
        rig.core.unit(source, [event(offset)], (), 0.0)
    assert rig.ear.heard == []
    rig.unit(8, 1)
    assert rig.ear.heard == [1, 2, "behind 2", 3]


def test_text_of_one_does_not_wait_for_another() -> None:
    """What is due is given, whoever else waits."""
    rig = Rig(head=1)
    rig.core.text(7, 9, 9, said("later"), 0.0)
    rig.core.text(8, 1, 1, said("now"), 0.0)
    assert rig.ear.heard == ["now"]


def test_text_tells_of_events_that_are_missing() -> None:
    """The message with them was lost: they are read, and the text comes between them."""
    rig = Rig()
    rig.core.text(7, 1, 1, said("behind 1"), 0.0)
    assert rig.core.missing(PATIENCE_S) == Stretch(0, 1)
    rig.core.looked(2, PATIENCE_S)
    assert rig.core.page([event(1), event(2)], 2, 1.0) is None
    assert rig.ear.heard == [1, "behind 1", 2]


def test_text_that_comes_after_the_end_from_the_log_is_dropped() -> None:
    """Its step is over: what was read ahead of its node's messages says so."""
    rig = Rig()
    rig.core.looked(2, 0.0)
    rig.core.missing(PATIENCE_S)
    rig.core.page([event(1, kind="step.started"), event(2)], 2, 1.0)
    rig.core.text(7, 1, 1, said("late"), 1.0)
    rig.core.text(7, 1, 1, said("of another", M2), 1.0)
    assert rig.ear.heard == [1, 2, "of another"]
    assert rig.core.figures.late == rig.core.missed == 1


def test_too_much_text_is_forgotten_with_the_rest() -> None:
    """A bound is a bound, whichever way it came."""
    rig = Rig(most_bytes=1_000)
    for _ in range(20):
        rig.core.text(7, 5, 5, said("x" * 100), 0.0)
    assert rig.core.waiting_bytes <= 1_000
    assert rig.core.missed == 20
    assert not rig.core.short


def test_of_our_own_text_it_is_known_which_mission_s_was_forgotten() -> None:
    """No other node could be asked for it."""
    rig = Rig(most_bytes=1_000)
    rig.core.send([event(2)], (), 0.0)
    rig.core.send_ephemeral(said("a", M1), 0.0)
    rig.core.send([event(3, M2, size=1_000)], (), 0.0)
    assert rig.core.short == {"mission:m1"}
    assert rig.core.missed == 1
