"""Ageing: what waits rises, a line at a time, and keeps what it got."""

from control_tower.records import Priority
from control_tower.schedule.ageing import AGEING_BATCH
from control_tower.schedule.ready_queue import Grant, ReadyQueue
from control_tower.schedule.seats import AGEING_STEP_S

REALTIME, HIGH, NORMAL, LOW, IDLE = Priority


def effective(queue: ReadyQueue, pid: str, now: float) -> Priority:
    """Return the effective priority that a mission has by now."""
    queue.next_ageing(now)
    return list(Priority)[queue._entries[pid].level]


def test_the_step_is_half_a_minute() -> None:
    """The figure that the documentation states."""
    assert AGEING_STEP_S == 30.0


def test_waiting_raises_a_level_a_step() -> None:
    """An idle mission is realtime after two minutes, and not a moment before."""
    queue = ReadyQueue(slots=1)
    queue.push("m", "ann", IDLE, 1_000.0)
    assert effective(queue, "m", 1_029.9) is IDLE
    assert effective(queue, "m", 1_030.0) is LOW
    assert effective(queue, "m", 1_089.9) is NORMAL
    assert effective(queue, "m", 1_120.0) is REALTIME
    assert effective(queue, "m", 9_999.0) is REALTIME
    assert queue.pop(9_999.0) == Grant("m", "ann", IDLE, REALTIME)


def test_late_looks_miss_nothing() -> None:
    """Ageing that nobody looked at for minutes is the same as if somebody had."""
    queue = ReadyQueue(slots=1)
    queue.push("m", "ann", IDLE, 0.0)
    queue.push("n", "ann", IDLE, 5.0)
    assert effective(queue, "m", 119.0) is HIGH
    assert effective(queue, "n", 119.0) is NORMAL
    assert queue.next_ageing(119.0) == 120.0


def test_the_line_ages_not_each_mission() -> None:
    """A backlog rises one mission at a time, so that priorities keep their meaning."""
    queue = ReadyQueue(slots=1)
    for number in range(1_000):
        queue.push(f"m{number}", "ann", IDLE, 0.0)
    queue.push("chat", "bob", NORMAL, 119.0)
    assert sum(queue._entries[f"m{n}"].level < 4 for n in range(1_000)) == 3
    assert queue.position("chat", 119.0) == 3
    assert effective(queue, "m3", 119.0) is IDLE
    assert effective(queue, "m3", 120.0) is LOW


def test_a_line_that_is_served_does_not_age() -> None:
    """Waiting begins anew when the line before one moves."""
    queue = ReadyQueue(slots=1)
    for number in range(10):
        queue.push(f"m{number}", "ann", LOW, 0.0)
    for turn in range(1, 6):
        grant = queue.pop(turn * 20.0)
        assert grant is not None
        assert grant.effective is LOW
        queue.release(grant.pid, turn * 20.0 + 1.0)
    assert effective(queue, "m5", 129.9) is LOW
    assert effective(queue, "m5", 130.0) is NORMAL


def test_a_risen_mission_takes_turns_with_its_users_own() -> None:
    """Neither the risen ones nor the ones born there starve each other within one user."""
    queue = ReadyQueue(slots=1)
    for number in range(3):
        queue.push(f"low{number}", "ann", LOW, 0.0)
    for number in range(4):
        queue.push(f"own{number}", "ann", NORMAL, 59.0)
    order = []
    while (grant := queue.pop(61.0)) is not None:
        order.append(grant.pid)
        queue.release(grant.pid, 61.0)
    # low0 is high by now; low1 became normal at 60, after own0 came at 59 and before its turn.
    assert order == ["low0", "own0", "low1", "own1", "own2", "own3", "low2"]


def test_preemption_does_not_undo_age() -> None:
    """What was granted as high by its age comes back as high, and ages on."""
    queue = ReadyQueue(slots=1)
    queue.push("m", "ann", LOW, 0.0)
    grant = queue.pop(60.0)
    assert grant == Grant("m", "ann", LOW, HIGH)
    queue.release("m", 62.0)
    queue.push("m", "ann", LOW, 62.0, effective=grant.effective)
    assert effective(queue, "m", 62.0) is HIGH
    assert effective(queue, "m", 92.0) is REALTIME


def test_a_debt_at_the_top_is_forgiven() -> None:
    """Who has had a lot as realtime waits a step behind newcomers without end, and no longer."""
    queue = ReadyQueue(slots=1)
    queue.push("new0", "user0", REALTIME, 0.0)
    queue.push("m", "ann", REALTIME, 0.0)
    queue._levels[0].seats["ann"].tag = 1_000.0
    served = []
    for second in range(1, 40):
        queue.push(f"new{second}", f"user{second}", REALTIME, float(second))
        grant = queue.pop(float(second))
        assert grant is not None
        queue.release(grant.pid, float(second))
        served.append(grant.pid)
    # At 30 s only new29 was there already.
    assert served.index("m") == served.index("new29") + 1
    assert served[:30] == [f"new{n}" for n in range(30)]


def test_the_next_ageing_is_told() -> None:
    """The timer is that of the first line to rise, and none when nobody waits."""
    queue = ReadyQueue(slots=1)
    assert queue.next_ageing(0.0) is None
    queue.push("m", "ann", NORMAL, 10.0)
    queue.push("n", "bob", NORMAL, 12.0)
    assert queue.next_ageing(12.0) == 40.0
    assert queue.remove("m")
    assert queue.next_ageing(12.0) == 42.0
    assert queue.pop(12.0)
    assert queue.next_ageing(12.0) is None


def test_a_removed_missions_line_keeps_its_clock() -> None:
    """Whoever is next after a cancellation has waited as the line has."""
    queue = ReadyQueue(slots=1)
    queue.push("m", "ann", NORMAL, 0.0)
    queue.push("n", "ann", NORMAL, 20.0)
    assert queue.remove("m")
    assert effective(queue, "n", 30.0) is HIGH


def test_an_empty_line_starts_its_clock_anew() -> None:
    """A mission does not inherit the waiting of those who left before it came."""
    queue = ReadyQueue(slots=1)
    queue.push("m", "ann", NORMAL, 0.0)
    queue.push("carried", "ann", LOW, 0.0, effective=NORMAL)
    assert queue.remove("m")
    queue.push("n", "ann", NORMAL, 20.0)
    assert effective(queue, "n", 49.9) is NORMAL
    assert effective(queue, "n", 50.0) is HIGH


def test_a_changed_priority_forgets_age() -> None:
    """Who sets a priority sets the effective one."""
    queue = ReadyQueue(slots=1)
    queue.push("m", "ann", NORMAL, 0.0)
    assert effective(queue, "m", 30.0) is HIGH
    queue.reprioritise("m", IDLE, 40.0)
    assert effective(queue, "m", 69.9) is IDLE
    assert effective(queue, "m", 70.0) is LOW


def test_one_call_ages_a_bounded_number() -> None:
    """Thousands of lines that are due at one instant are spread over calls, none forgotten."""
    queue = ReadyQueue(slots=1)
    users = 3 * AGEING_BATCH
    for number in range(users):
        queue.push(f"m{number}", f"u{number}", NORMAL, 0.0)
    rounds = 0
    while (due := queue.next_ageing(30.0)) is not None and due <= 30.0:
        rounds += 1
        assert sum(entry.level == 1 for entry in queue._entries.values()) <= rounds * AGEING_BATCH
    assert rounds == 2  # the third call leaves none that is due
    assert all(entry.level == 1 for entry in queue._entries.values())
