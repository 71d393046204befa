"""The ready queue: order, fair shares, slots."""

import pytest

from control_tower.errors import KernelBug
from control_tower.records import Priority
from control_tower.schedule.fair_share import Level
from control_tower.schedule.ready_queue import Grant, ReadyQueue

REALTIME, HIGH, NORMAL, LOW, IDLE = Priority


def drain(queue: ReadyQueue, now: float = 0.0) -> list[str]:
    """Serve everything that can be served; each mission ends as soon as it is."""
    order = []
    while (grant := queue.pop(now)) is not None:
        order.append(grant.pid)
        queue.release(grant.pid, now)
    return order


def test_the_more_urgent_goes_first() -> None:
    """Priorities are served in their order, whatever the order of coming."""
    queue = ReadyQueue(slots=1)
    for priority in reversed(Priority):
        queue.push(priority, "ann", priority, 0.0)
    assert drain(queue) == list(Priority)


def test_one_user_is_served_first_in_first_out() -> None:
    """Missions of one user and priority keep their order."""
    queue = ReadyQueue(slots=1)
    for number in range(20):
        queue.push(f"m{number}", "ann", NORMAL, float(number))
    assert drain(queue, 20.0) == [f"m{number}" for number in range(20)]


def test_users_take_turns() -> None:
    """A hundred missions of one user do not hold up ten of another."""
    queue = ReadyQueue(slots=1)
    for number in range(100):
        queue.push(f"a{number}", "ann", NORMAL, 0.0)
    for number in range(10):
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    order = drain(queue)
    assert order[:4] == ["a0", "b0", "a1", "b1"]
    assert [pid[0] for pid in order[:20]].count("b") == 10


@pytest.mark.parametrize("slots", [1, 4, 32])
def test_users_finish_at_the_same_pace(slots: int) -> None:
    """With missions of five seconds each, two users finish theirs alike while both have some."""
    queue = ReadyQueue(slots=slots)
    for number in range(100):
        queue.push(f"a{number}", "ann", NORMAL, 0.0)
    for number in range(10):
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    done = {"ann": 0, "bob": 0}
    now, running = 0.0, []
    while done["bob"] < 10:
        while (grant := queue.pop(now)) is not None:
            running.append(grant)
        now += 5.0
        for grant in running:
            queue.release(grant.pid, now)
            done[grant.user_id] += 1
        running.clear()
        if queue.queued and done["bob"] < 10:
            assert abs(done["ann"] - done["bob"]) <= 1


def test_time_counts_not_missions() -> None:
    """Who runs long missions gets fewer of them."""
    queue = ReadyQueue(slots=1)
    for number in range(200):
        queue.push(f"a{number}", "ann", NORMAL, 0.0)
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    run_s = {"ann": 0.1, "bob": 1.0}
    had = {"ann": 0.0, "bob": 0.0}
    now = 0.0
    for _ in range(150):
        grant = queue.pop(now)
        assert grant is not None
        now += run_s[grant.user_id]
        had[grant.user_id] += run_s[grant.user_id]
        queue.release(grant.pid, now)
    assert 0.5 < had["ann"] / had["bob"] < 1.0  # a start has a price too


def test_running_time_is_charged_while_it_runs() -> None:
    """Who holds a slot for long gets no turn at the other one until that is made up for."""
    queue = ReadyQueue(slots=2)
    for number in range(30):
        queue.push(f"a{number}", "ann", NORMAL, 0.0)
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    long, other = queue.pop(0.0), queue.pop(0.0)
    assert long is not None
    assert long.user_id == "ann"
    users = []
    for second in range(1, 21):
        assert other is not None
        queue.release(other.pid, float(second))
        other = queue.pop(float(second))
        assert other is not None
        users.append(other.user_id)
    assert users.count("ann") <= 1


def test_weights_divide_the_share() -> None:
    """A user of weight 3 gets three turns for one."""
    queue = ReadyQueue(slots=1, weights={"ann": 3.0})
    for number in range(40):
        queue.push(f"a{number}", "ann", NORMAL, 0.0)
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    assert [pid[0] for pid in drain(queue)[:40]].count("a") == pytest.approx(30, abs=1)


def test_a_newcomer_has_neither_credit_nor_debt() -> None:
    """Who comes late starts beside the others, and does not catch up on what they had."""
    queue = ReadyQueue(slots=1)
    for number in range(60):
        queue.push(f"a{number}", "ann", NORMAL, 0.0)
    for _ in range(20):
        grant = queue.pop(0.0)
        assert grant is not None
        queue.release(grant.pid, 0.0)
    for number in range(20):
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    assert [pid[0] for pid in drain(queue)[:10]].count("b") == 5


def test_coming_back_wins_nothing() -> None:
    """Who has had more than others still has, after leaving the queue and coming back."""
    queue = ReadyQueue(slots=1)
    for number in range(10):
        queue.push(f"b{number}", "bob", NORMAL, 0.0)
    assert queue.remove("b0")
    queue.push("a0", "ann", NORMAL, 0.0)
    grant = queue.pop(0.0)
    assert grant is not None
    assert grant.user_id == "bob"
    queue.release(grant.pid, 0.0)
    grant = queue.pop(0.0)
    assert grant is not None
    assert grant.user_id == "ann"
    queue.release(grant.pid, 20.0)
    queue.push("a1", "ann", NORMAL, 20.0)
    assert drain(queue, 20.0)[-1] == "a1"


def test_an_idle_level_forgets() -> None:
    """What was had before everyone was idle is not held against anybody."""
    queue = ReadyQueue(slots=1)
    assert queue.take("a0", "ann", NORMAL, 0.0)
    queue.release("a0", 3_600.0)
    queue.push("b1", "bob", NORMAL, 3_600.0)
    queue.push("a1", "ann", NORMAL, 3_600.0)
    queue.push("b2", "bob", NORMAL, 3_600.0)
    assert drain(queue, 3_600.0) == ["b1", "a1", "b2"]


def test_a_full_user_holds_nobody_up() -> None:
    """Who has all the slots that one may have is skipped, and comes again when one is back."""
    queue = ReadyQueue(slots=4, slots_per_user=2)
    for number in range(4):
        queue.push(f"a{number}", "ann", REALTIME, 0.0)
    queue.push("b0", "bob", IDLE, 0.0)
    pids = [grant.pid for grant in iter(lambda: queue.pop(0.0), None)]
    assert pids == ["a0", "a1", "b0"]
    assert (queue.running, queue.free, queue.queued) == (3, 1, 2)
    assert (queue.running_of("ann"), queue.running_of("bob"), queue.running_of("cem")) == (2, 1, 0)
    queue.release("a0", 1.0)
    grant = queue.pop(1.0)
    assert grant is not None
    assert grant.pid == "a2"


def test_a_slot_is_taken_at_once_when_that_is_fair() -> None:
    """``take`` gives a slot past the queue only to what would be next anyway."""
    queue = ReadyQueue(slots=3, slots_per_user=1)
    assert queue.take("a0", "ann", NORMAL, 0.0) == Grant("a0", "ann", NORMAL, NORMAL)
    assert queue.take("a1", "ann", NORMAL, 0.0) is None
    queue.push("b0", "bob", NORMAL, 0.0)
    assert queue.take("c0", "cem", NORMAL, 0.0) is None
    assert queue.take("c0", "cem", HIGH, 0.0) is not None
    assert queue.pop(0.0) is not None
    assert queue.take("d0", "dov", REALTIME, 0.0) is None
    assert queue.free == 0


def test_those_who_cannot_run_do_not_stop_a_taker() -> None:
    """A waiting mission of a full user is nobody to wait behind."""
    queue = ReadyQueue(slots=3, slots_per_user=1)
    assert queue.take("a0", "ann", NORMAL, 0.0)
    queue.push("a1", "ann", REALTIME, 0.0)
    assert queue.take("b0", "bob", IDLE, 0.0)


def test_a_preempted_mission_goes_before_its_users_new_ones() -> None:
    """What has run already does not wait behind a backlog of the same user."""
    queue = ReadyQueue(slots=1)
    for number in range(5):
        queue.push(f"m{number}", "ann", NORMAL, 0.0)
    grant = queue.pop(0.0)
    assert grant is not None
    queue.release(grant.pid, 2.0)
    queue.push(grant.pid, "ann", NORMAL, 2.0, effective=grant.effective)
    assert drain(queue, 2.0)[:2] == ["m1", "m0"]  # the line that waited longer, then in turn


def test_an_effective_priority_is_kept() -> None:
    """A mission whose age had raised it comes back as it was, never below its own priority."""
    queue = ReadyQueue(slots=1)
    queue.push("aged", "ann", IDLE, 0.0, effective=HIGH)
    queue.push("own", "bob", HIGH, 0.0, effective=LOW)
    queue.push("new", "cem", NORMAL, 0.0)
    assert queue.pop(0.0) == Grant("aged", "ann", IDLE, HIGH)
    queue.release("aged", 0.0)
    assert queue.pop(0.0) == Grant("own", "bob", HIGH, HIGH)


def test_what_is_removed_is_not_served() -> None:
    """A removed mission is gone; one that runs or is unknown is left alone."""
    queue = ReadyQueue(slots=2)
    for number in range(4):
        queue.push(f"m{number}", "ann", NORMAL, 0.0)
    assert queue.pop(0.0)
    assert not queue.remove("m0")
    assert queue.remove("m1")
    assert not queue.remove("m1")
    assert not queue.remove("nobody")
    assert queue.remove("m2")
    assert queue.queued == len(queue) == 1
    assert drain(queue) == ["m3"]


def test_what_left_the_queue_leaves_no_trace() -> None:
    """Missions that come and are cancelled cost no memory while another one waits."""
    queue = ReadyQueue(slots=1)
    queue.push("stays", "ann", NORMAL, 0.0)
    for number in range(10_000):
        queue.push(f"m{number}", "ann", NORMAL, 0.0)
        queue.push(f"n{number}", f"u{number % 7}", NORMAL, 0.0)
        assert queue.remove(f"m{number}")
        assert queue.remove(f"n{number}")
    level = queue._levels[2]
    assert len(level.seats["ann"].line) < 100
    assert len(level.heap) < 100
    assert drain(queue) == ["stays"]


def test_users_who_left_are_forgotten() -> None:
    """Seats of users who are gone are swept, but for those who have had more than the others."""
    queue = ReadyQueue(slots=2)
    assert queue.take("rich", "rich", NORMAL, 0.0)
    assert queue.take("stays", "ann", NORMAL, 0.0)
    queue._levels[2].seats["rich"].tag = 1_000.0
    queue.release("rich", 0.0)
    for number in range(5_000):
        now = number * 0.01
        queue.push(f"m{number}", f"u{number}", NORMAL, now)
        grant = queue.pop(now)
        assert grant is not None
        queue.release(grant.pid, now)
    assert len(queue._levels[2].seats) < 2_500
    assert queue._levels[2].seats["rich"].tag == 1_000.0


@pytest.mark.parametrize("backlog", [0, 1])
def test_those_who_ran_are_forgotten(backlog: int) -> None:
    """Users who come, run and go leave nothing behind, on an idle node or on a loaded one."""
    queue = ReadyQueue(slots=2)
    for number in range(5_000):
        now = number * 0.01
        for extra in range(backlog):
            queue.push(f"b{number}-{extra}", f"v{number}", IDLE, now)
        queue.push(f"m{number}", f"u{number}", NORMAL, now)
        queue.push(f"n{number}", f"u{number}", IDLE, now)
        for _ in range(2):
            grant = queue.pop(now)
            assert grant is not None
            queue.release(grant.pid, now)
    assert queue.queued == 5_000 * backlog
    assert all(len(level._busy) < 200 for level in queue._levels)
    assert len(queue._levels[2].seats) < 2_500


def test_a_changed_priority_counts_at_once() -> None:
    """A queued mission moves to the end of its new line; the same priority moves nothing."""
    queue = ReadyQueue(slots=1)
    queue.push("m0", "ann", LOW, 0.0)
    queue.push("m1", "ann", LOW, 0.0)
    queue.push("m2", "ann", HIGH, 0.0)
    queue.reprioritise("m0", LOW, 1.0)
    queue.reprioritise("m1", HIGH, 1.0)
    assert drain(queue, 1.0) == ["m2", "m1", "m0"]


def test_a_running_missions_priority_can_change() -> None:
    """It keeps its slot and its start, and is compared by the new priority."""
    queue = ReadyQueue(slots=2)
    assert queue.take("m0", "ann", HIGH, 0.0)
    assert queue.take("m1", "bob", HIGH, 0.5)
    queue.push("m2", "cem", NORMAL, 1.0)
    assert queue.victim(1.25) is None
    queue.reprioritise("m0", IDLE, 1.25)
    assert queue.running == 2
    assert queue.victim(1.25) == "m0"
    queue.release("m0", 2.0)
    grant = queue.pop(2.0)
    assert grant is not None
    assert grant.pid == "m2"


def test_places_are_the_order_of_serving() -> None:
    """The place told to each of many users is the one at which it is then served."""
    queue = ReadyQueue(slots=1, weights={"u1": 2.0})
    for number in range(60):
        priority = list(Priority)[number * 7 % 5]
        queue.push(f"m{number}", f"u{number * 5 % 7}", priority, 0.0)
    places = {queue.position(f"m{number}", 0.0): f"m{number}" for number in range(60)}
    assert drain(queue) == [places[place] for place in range(1, 61)]


def test_who_does_not_wait_has_no_place() -> None:
    """A running or unknown mission has no place; a full user's has the one it would have."""
    queue = ReadyQueue(slots=2, slots_per_user=1)
    assert queue.take("a0", "ann", NORMAL, 0.0)
    assert queue.position("a0", 0.0) is None
    assert queue.position("nobody", 0.0) is None
    queue.push("a1", "ann", NORMAL, 0.0)
    queue.push("b0", "bob", NORMAL, 0.0)
    assert queue.position("a1", 0.0) == 2
    assert queue.position("b0", 0.0) == 1


def test_a_newcomer_is_told_its_place_at_the_worst() -> None:
    """All who are eligible and not less urgent may go first; those who cannot run do not."""
    queue = ReadyQueue(slots=4, slots_per_user=1)
    assert queue.arrival(IDLE) == 1
    assert queue.take("a0", "ann", NORMAL, 0.0)
    for number, (user, priority) in enumerate(
        [("ann", HIGH), ("bob", HIGH), ("cem", NORMAL), ("dov", IDLE)], 1
    ):
        queue.push(f"m{number}", user, priority, 0.0)
    places = [queue.arrival(priority) for priority in Priority]
    assert places == [1, 2, 3, 3, 4]


def test_bugs_of_the_shell_are_named() -> None:
    """What cannot be is refused: twice in the queue, a release of what does not run."""
    queue = ReadyQueue(slots=1)
    queue.push("m0", "ann", NORMAL, 0.0)
    with pytest.raises(KernelBug):
        queue.push("m0", "ann", NORMAL, 0.0)
    with pytest.raises(KernelBug):
        queue.take("m0", "ann", NORMAL, 0.0)
    with pytest.raises(KernelBug):
        queue.release("m0", 0.0)
    with pytest.raises(KernelBug):
        queue.reprioritise("m1", HIGH, 0.0)
    assert queue.pop(0.0)
    queue.release("m0", 0.0)
    with pytest.raises(KernelBug):
        queue.release("m0", 0.0)
    assert (queue.running, queue.queued) == (0, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"slots": -1}, {"slots": 1, "slots_per_user": 0}, {"slots": 1, "weights": {"ann": 0.0}}],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    """A share of nothing and a slot for nobody are errors of configuration."""
    with pytest.raises(ValueError, match=r"weight|slots"):
        ReadyQueue(**wrong)  # type: ignore[arg-type]


def test_a_clock_that_steps_back_breaks_nothing() -> None:
    """Tags do not fall and missions are served when the wall clock is set back."""
    queue = ReadyQueue(slots=2)
    assert queue.take("m0", "ann", NORMAL, 1_000.0)
    for number in range(1, 4):
        queue.push(f"m{number}", "ann", NORMAL, 500.0)
    queue.push("b", "bob", NORMAL, 400.0)
    queue.release("m0", 300.0)
    assert sorted(drain(queue, 200.0)) == ["b", "m1", "m2", "m3"]


def test_a_seat_is_brought_up_to_date_only_when_it_matters() -> None:
    """Ties are not resolved by running time smaller than the slack."""
    level = Level(2, {}, set())
    queue = ReadyQueue(slots=3)
    queue._levels = (*queue._levels[:2], level, *queue._levels[3:])
    for user in ("ann", "bob"):
        for number in range(3):
            queue.push(f"{user}{number}", user, NORMAL, 0.0)
    assert [queue.pop(0.01 * n).user_id for n in range(3)] == [  # type: ignore[union-attr]
        "ann",
        "bob",
        "ann",
    ]
