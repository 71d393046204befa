"""What a node says that it wants, and what it believes of others."""

import pytest

from events.bus_messages import Heard, Interest
from events.interest import LINGER_S, SILENT_S, OwnInterest, PeerInterests
from tests.unit.events.fakes import scope_of

M1 = scope_of(mission="m1", session="s1", user="u1")


class Rig:
    """What node 1 wants, as node 2 hears of it."""

    def __init__(self, most_topics: int = 100) -> None:
        self.now = 0.0
        self.said: list[Interest] = []
        self.own = OwnInterest(self._say, lambda: self.now, most_topics)
        self.peers = PeerInterests()
        self.known = True
        self.deaf = False

    def _say(self, change: Interest) -> None:
        if self.deaf:
            return
        self.said.append(change)
        self.known = self.peers.hear(1, self.own.number, self.now)
        self.known = self.peers.change(1, change)

    @property
    def topics(self) -> set[str]:
        """What node 2 believes that node 1 wants."""
        return set(self.peers.topics_of(1))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.own.sweep()


def test_a_topic_is_told_once_however_many_read_it() -> None:
    """And given up some time after the last of them has left."""
    rig = Rig()
    rig.own.joins("user:u1")
    rig.own.joins("user:u1")
    rig.own.leaves("user:u1")
    rig.wait(LINGER_S)
    assert rig.topics == {"user:u1"}
    assert len(rig.said) == 1
    rig.own.leaves("user:u1")
    rig.wait(LINGER_S / 2)
    assert rig.topics == {"user:u1"}
    rig.wait(LINGER_S / 2)
    assert rig.topics == set()
    assert rig.known


def test_who_comes_back_in_time_changes_nothing() -> None:
    """A reload of a page is no news to other nodes."""
    rig = Rig()
    for _ in range(5):
        rig.own.joins("session:s1")
        rig.own.leaves("session:s1")
        rig.wait(LINGER_S / 2)
    assert len(rig.said) == 1


def test_who_reads_everything_needs_no_topics() -> None:
    """When they have left, the others' topics are told."""
    rig = Rig()
    rig.own.joins("system")
    rig.own.joins("user:u1")
    rig.own.joins("user:u2")
    rig.own.leaves("user:u2")
    assert rig.topics == {"system"}
    rig.own.leaves("system")
    rig.wait(LINGER_S)
    assert rig.topics == {"user:u1"}
    assert rig.known


def test_a_reader_of_everything_is_kept_when_topics_become_too_many() -> None:
    """Whoever reads everything is not given up with what stands for many."""
    rig = Rig(most_topics=3)
    for number in range(3):
        rig.own.joins(f"mission:{number}")
    rig.own.joins("system")
    for number in range(3):
        rig.own.leaves(f"mission:{number}")
    rig.wait(LINGER_S)
    rig.wait(LINGER_S)
    assert rig.topics == {"system"}


def test_too_many_topics_are_everything() -> None:
    """Until they are few again."""
    rig = Rig(most_topics=3)
    for number in range(5):
        rig.own.joins(f"mission:{number}")
    assert "system" in rig.topics
    rig.wait(LINGER_S)
    assert "system" in rig.topics
    for number in range(3):
        rig.own.leaves(f"mission:{number}")
    rig.wait(LINGER_S)
    rig.wait(LINGER_S)
    assert rig.topics == {"mission:3", "mission:4"}
    assert rig.known


def test_what_is_expected_is_wanted_for_a_while() -> None:
    """Whoever expects it may never come."""
    rig = Rig()
    assert rig.own.expect(["user:u1", "user:u2"], confirmed=0) == 1
    assert rig.said[-1].answer
    rig.wait(LINGER_S / 2)
    rig.own.joins("user:u1")
    rig.wait(LINGER_S / 2)
    assert rig.topics == {"user:u1"}


def test_what_others_have_heard_of_is_not_asked_again() -> None:
    """What they may not have, is; whoever told it."""
    rig = Rig()
    rig.own.joins("user:u1")
    assert not rig.said[-1].answer
    assert rig.own.expect(["user:u1"], confirmed=0) == 2
    assert rig.said[-1] == Interest(2, [], [], whole=False, missed=False, answer=True)
    assert rig.own.expect(["user:u1"], confirmed=2) == 1
    assert len(rig.said) == 2


def test_a_change_that_was_missed_is_noticed() -> None:
    """At the next one, or at the next message; the whole mends it."""
    rig = Rig()
    rig.own.joins("user:u1")
    rig.deaf = True
    rig.own.joins("user:u2")
    rig.deaf = False
    assert not rig.peers.hear(1, rig.own.number, 0.0)
    rig.own.joins("user:u3")
    assert (rig.known, rig.topics) == (False, {"user:u1"})
    rig.own.tell_all(missed=False)
    assert rig.known
    assert rig.topics == {"user:u1", "user:u2", "user:u3"}


@pytest.mark.parametrize("topic", ["system", "user:u1", "session:s1", "mission:m1"])
def test_text_goes_to_whoever_wants_any_topic_of_it(topic: str) -> None:
    """Each once, and nobody else."""
    peers = PeerInterests()
    for token, topics in ((1, [topic]), (2, [topic, "system"]), (3, ["mission:m2"])):
        peers.hear(token, 0, 0.0)
        peers.change(token, Interest(1, topics, [], whole=False, missed=False, answer=False))
    assert set(peers.wanting(M1)) == {1, 2}
    peers.change(1, Interest(2, [], [topic], whole=False, missed=False, answer=False))
    assert set(peers.wanting(M1)) == {2}


def test_confirmed_is_what_all_who_are_there_have_heard_of() -> None:
    """Who is silent is not waited for, and forgotten at last."""
    peers = PeerInterests()
    assert peers.confirmed(0.0) > 10**9
    peers.hear(1, 0, 0.0)
    peers.hear(2, 0, 0.0)
    peers.confirm(1, Heard(5, 9))
    peers.confirm(1, Heard(4, 10))
    peers.confirm(9, Heard(1, 11))
    assert peers.confirmed(0.0) == 0
    peers.hear(1, 0, SILENT_S)
    assert (peers.confirmed(SILENT_S), peers.reached(SILENT_S)) == (5, 9)
    peers.change(2, Interest(1, ["system"], [], whole=False, missed=False, answer=False))
    peers.forget_silent(1_000.0)
    assert list(peers) == []
    assert not peers.wanting(M1)
