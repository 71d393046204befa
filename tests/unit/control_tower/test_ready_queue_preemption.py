"""Preemption: who has to yield, to whom, and how often at most."""

from control_tower.records import Priority
from control_tower.schedule.ready_queue import MIN_RUN_S, ReadyQueue

REALTIME, HIGH, NORMAL, LOW, IDLE = Priority


def full_node(*priorities: Priority, per_user: int | None = None) -> ReadyQueue:
    """Return a queue whose slots are taken by m0, m1 …, started a second apart."""
    queue = ReadyQueue(slots=len(priorities), slots_per_user=per_user)
    for number, priority in enumerate(priorities):
        assert queue.take(f"m{number}", f"u{number}", priority, float(number))
    return queue


def test_the_lowest_yields_to_a_higher_one() -> None:
    """The lowest effective priority yields, no other."""
    queue = full_node(HIGH, LOW, NORMAL)
    queue.push("new", "ann", REALTIME, 10.0)
    assert queue.victim(10.0) == "m1"
    assert [queue.should_yield(f"m{n}", 10.0) for n in range(3)] == [False, True, False]


def test_the_latest_started_of_equals_yields() -> None:
    """Who has run longest is disturbed last."""
    queue = full_node(NORMAL, NORMAL, NORMAL)
    queue.push("new", "ann", HIGH, 10.0)
    assert queue.victim(10.0) == "m2"


def test_equals_do_not_preempt() -> None:
    """A mission of the same effective priority waits for a slot."""
    queue = full_node(NORMAL, HIGH)
    queue.push("new", "ann", NORMAL, 10.0)
    assert queue.victim(10.0) is None
    assert not queue.should_yield("m0", 10.0)


def test_nobody_yields_while_a_slot_is_free() -> None:
    """A free slot serves the higher one."""
    queue = ReadyQueue(slots=2)
    assert queue.take("m0", "ann", IDLE, 0.0)
    queue.push("new", "bob", REALTIME, 10.0)
    assert queue.victim(10.0) is None
    assert not queue.should_yield("m0", 10.0)


def test_nobody_yields_to_a_full_user() -> None:
    """Who has all the slots that one may have could not use the one given up."""
    queue = full_node(NORMAL, IDLE, per_user=1)
    queue.push("new", "u0", REALTIME, 10.0)
    assert queue.victim(10.0) is None
    queue.push("other", "ann", REALTIME, 10.0)
    assert queue.victim(10.0) == "m1"


def test_a_mission_runs_a_second_first() -> None:
    """One that has just started does not yield; the next lowest does instead."""
    queue = full_node(IDLE, IDLE)
    queue.push("new", "ann", REALTIME, 1.0)
    assert queue.victim(1.5) == "m0"
    assert not queue.should_yield("m1", 1.5)
    assert queue.victim(1.0 + MIN_RUN_S) == "m1"
    queue.release("m1", 2.0)
    queue.push("m1", "u1", IDLE, 2.0, effective=IDLE)
    assert queue.pop(2.0) is not None
    queue.push("new2", "ann", REALTIME, 2.0)
    queue.release("new", 2.5)
    grant = queue.pop(2.5)
    assert grant is not None
    assert grant.pid == "new2"
    queue.release("new2", 3.0)
    assert queue.pop(3.0) is not None
    queue.push("new3", "ann", REALTIME, 3.0)
    assert not queue.should_yield("m1", 3.9)
    assert queue.should_yield("m1", 4.0)


def test_as_many_yield_as_wait() -> None:
    """Ten who wait do not queue up behind the next call of one."""
    queue = full_node(LOW, NORMAL, IDLE, HIGH)
    queue.push("r1", "ann", REALTIME, 10.0)
    queue.push("r2", "ann", HIGH, 10.0)
    assert [queue.should_yield(f"m{n}", 10.0) for n in range(4)] == [True, False, True, False]
    queue.push("r3", "bob", HIGH, 10.0)
    assert queue.should_yield("m1", 10.0)
    assert not queue.should_yield("m3", 10.0)


def test_no_more_yield_than_can_be_used() -> None:
    """A user with room for one more slot displaces one mission, however many it has waiting."""
    queue = ReadyQueue(slots=3, slots_per_user=2)
    assert queue.take("a0", "ann", REALTIME, 0.0)
    assert queue.take("b0", "bob", IDLE, 0.0)
    assert queue.take("c0", "cem", IDLE, 0.0)
    for number in range(1, 5):
        queue.push(f"a{number}", "ann", REALTIME, 5.0)
    assert queue.should_yield("c0", 5.0)
    assert not queue.should_yield("b0", 5.0)


def test_age_counts_for_preemption() -> None:
    """A waiting mission that has risen displaces, and a running one that had risen stays."""
    queue = full_node(NORMAL)
    queue.push("old", "ann", LOW, 0.0)
    assert queue.victim(59.0) is None
    assert queue.victim(60.0) == "m0"
    queue.release("m0", 60.0)
    assert queue.pop(60.0) is not None
    queue.push("new", "bob", NORMAL, 70.0)
    assert queue.victim(75.0) is None


def test_who_does_not_run_does_not_yield() -> None:
    """Queued and unknown missions have nothing to give up."""
    queue = full_node(IDLE)
    queue.push("new", "ann", REALTIME, 10.0)
    queue.push("low", "ann", IDLE, 10.0)
    assert not queue.should_yield("low", 10.0)
    assert not queue.should_yield("nobody", 10.0)
