"""The session gate: who holds a session, who is next."""

import pytest

from control_tower.errors import KernelBug
from control_tower.schedule.session_gate import SessionGate


def test_one_mission_holds_a_session() -> None:
    """The second one finds it busy, and is not queued by asking."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    assert gate.enter("s", "m1")
    assert not gate.enter("s", "m2")
    assert gate.enter("other", "m2")
    assert gate.holders("s") == ("m1",)
    assert gate.position("s", "m2") is None


def test_the_queue_is_first_in_first_out() -> None:
    """Each who leaves hands over to the one who waited longest."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    assert [gate.wait("s", f"m{n}", ahead=False) for n in (2, 3, 4)] == [1, 2, 3]
    assert gate.leave("s", "m1") == "m2"
    assert gate.holders("s") == ("m2",)
    assert not gate.enter("s", "m5")
    assert gate.position("s", "m4") == 2
    assert gate.leave("s", "m2") == "m3"


def test_the_resumed_go_ahead_of_the_queued() -> None:
    """Who has been in the session before goes first, in the order of coming back."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    assert gate.wait("s", "new", ahead=False) == 1
    assert gate.wait("s", "back1", ahead=True) == 1
    assert gate.wait("s", "back2", ahead=True) == 2
    assert gate.position("s", "new") == 3
    order = [gate.leave("s", pid) for pid in ("m1", "back1", "back2", "new")]
    assert order == ["back1", "back2", "new", None]


def test_sharers_hold_it_together() -> None:
    """The session is handed over when the last of them has left."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    gate.share("s", "m2")
    assert gate.holders("s") == ("m1", "m2")
    assert not gate.enter("s", "m2")
    assert gate.wait("s", "m3", ahead=False) == 1
    assert gate.leave("s", "m1") is None
    assert gate.enter("s", "m2")
    assert gate.leave("s", "m2") == "m3"


def test_sharing_a_free_session_holds_it() -> None:
    """A parallel mission keeps a session busy as any other does."""
    gate = SessionGate()
    gate.share("s", "m1")
    assert not gate.enter("s", "m2")


def test_who_shares_waits_no_longer() -> None:
    """A mission that came by another door is not called a second time."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    gate.wait("s", "m2", ahead=False)
    gate.share("s", "m2")
    assert gate.leave("s", "m1") is None
    assert gate.leave("s", "m2") is None


def test_who_withdraws_is_not_called() -> None:
    """A cancelled mission leaves the queue; to withdraw twice does nothing."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    gate.wait("s", "m2", ahead=False)
    gate.wait("s", "m3", ahead=True)
    for _ in range(2):
        gate.withdraw("s", "m3")
        gate.withdraw("s", "m1")
        gate.withdraw("nowhere", "m1")
    assert gate.holders("s") == ("m1",)
    assert gate.leave("s", "m1") == "m2"


def test_leaving_what_one_does_not_hold_does_nothing() -> None:
    """A second leave hands nothing over."""
    gate = SessionGate()
    assert gate.enter("s", "m1")
    gate.wait("s", "m2", ahead=False)
    assert gate.leave("s", "m2") is None
    assert gate.leave("nowhere", "m1") is None
    assert gate.leave("s", "m1") == "m2"
    assert gate.leave("s", "m1") is None
    assert gate.holders("s") == ("m2",)


@pytest.mark.parametrize("pid", ["holder", "waiter"])
def test_nobody_waits_twice_or_for_itself(pid: str) -> None:
    """A mission that holds the session, or waits already, cannot wait: a bug of the shell."""
    gate = SessionGate()
    assert gate.enter("s", "holder")
    gate.wait("s", "waiter", ahead=False)
    with pytest.raises(KernelBug):
        gate.wait("s", pid, ahead=True)


def test_nobody_waits_for_a_free_session() -> None:
    """Nobody would ever hand it over."""
    with pytest.raises(KernelBug):
        SessionGate().wait("s", "m1", ahead=False)


def test_free_sessions_cost_nothing() -> None:
    """A session that nobody holds is forgotten."""
    gate = SessionGate()
    for number in range(1_000):
        assert gate.enter(f"s{number}", "m1")
        gate.leave(f"s{number}", "m1")
    assert len(gate) == 0
    assert gate.holders("s1") == ()
