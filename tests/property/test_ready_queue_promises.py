"""What the ready queue promises to people: nobody starves, and users share fairly."""

from collections.abc import Iterator
from itertools import count, cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from control_tower.records import Priority
from control_tower.schedule.fair_share import SLACK_S
from control_tower.schedule.ready_queue import ReadyQueue
from control_tower.schedule.seats import AGEING_STEP_S, START_CHARGE_S

LEVELS = list(Priority)

run_times = st.sampled_from([1.0, 2.7, 7.0])
crowds = st.lists(
    st.tuples(st.sampled_from(["fresh", "ivo", "jan", "victim"]), st.sampled_from(LEVELS)),
    max_size=1,
)


class Crowd:
    """A node with one slot, at which realtime missions of new users come without end.

    Further slots are held by realtime missions of the victim, which end after all of this.
    ``budget`` is how many grants may still go to others before the victim is served at the top,
    None as long as it may be anything.
    """

    def __init__(self, held: int) -> None:
        self.queue = ReadyQueue(slots=1 + held)
        self.now = 0.0
        self.numbers: Iterator[int] = count()
        self.unserved_since: float | None = None
        self.budget: int | None = None
        for _ in range(held):
            assert self.queue.take(f"held{next(self.numbers)}", "victim", LEVELS[0], self.now)

    def push(self, user: str, priority: Priority) -> str:
        """Queue a mission, of a new user when it is ``fresh``."""
        number = next(self.numbers)
        name = f"fresh{number}" if user == "fresh" else user
        self.queue.push(f"m{number}", name, priority, self.now)
        return f"m{number}"

    def look(self) -> None:
        """Set the budget when the victim has waited a step at the top."""
        self.queue.next_ageing(self.now)
        seats = self.queue._levels[0].seats
        if "victim" not in seats or not seats["victim"].size:
            self.unserved_since = self.budget = None
            return
        if self.unserved_since is None:
            self.unserved_since = seats["victim"].turn
        if self.budget is None and self.now >= self.unserved_since + AGEING_STEP_S:
            self.budget = sum(seat.size > 0 for seat in seats.values()) - 1

    def serve(self, run_s: float) -> str:
        """Run the next mission to its end; return its pid."""
        grant = self.queue.pop(self.now)
        assert grant is not None
        self.now += run_s
        self.queue.release(grant.pid, self.now)
        if grant.user_id == "victim" and grant.effective is Priority.REALTIME:
            self.unserved_since = self.budget = None
        elif self.budget is not None:
            self.budget -= 1
            assert self.budget >= 0
        return grant.pid


@settings(max_examples=150, deadline=None)
@given(
    level=st.integers(0, 4),
    before=st.integers(0, 2),
    held=st.integers(0, 3),
    turns=st.lists(st.tuples(run_times, crowds), min_size=8, max_size=40),
)
def test_nobody_starves_past_the_bound(
    level: int, before: int, held: int, turns: list[tuple[float, list[tuple[str, Priority]]]]
) -> None:
    """Realtime after (k + L) steps; then, a step later, only those already there go first."""
    crowd = Crowd(held)
    own = [crowd.push("victim", LEVELS[level]) for _ in range(before + 1)]
    risen_at = (before + level) * AGEING_STEP_S
    for run_s, coming in cycle(turns):
        for user, priority in [("fresh", Priority.REALTIME), *coming]:
            crowd.push(user, priority)
        crowd.look()
        if crowd.now >= risen_at:
            assert crowd.queue._entries[own[-1]].level == 0
        if crowd.serve(run_s) == own[-1]:
            break


@settings(max_examples=100, deadline=None)
@given(
    users=st.lists(
        st.tuples(st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.01, 0.1, 0.5])),
        min_size=2,
        max_size=5,
    ),
    slots=st.integers(1, 4),
)
def test_users_get_service_by_their_weights(users: list[tuple[float, float]], slots: int) -> None:
    """While all have missions waiting, what they had over their weight stays together."""
    weights = {f"u{number}": weight for number, (weight, _) in enumerate(users)}
    run_s = {f"u{number}": run for number, (_, run) in enumerate(users)}
    queue = ReadyQueue(slots=slots, weights=weights)
    for user in weights:
        for number in range(400):
            queue.push(f"{user}-{number}", user, Priority.NORMAL, 0.0)
    now = 0.0
    had = dict.fromkeys(weights, 0.0)
    ends: list[tuple[float, str, str]] = []
    for _ in range(300):
        while (grant := queue.pop(now)) is not None:
            ends.append((now + run_s[grant.user_id], grant.pid, grant.user_id))
        ends.sort()
        now, pid, user = ends.pop(0)
        queue.release(pid, now)
        had[user] += (run_s[user] + START_CHARGE_S) / weights[user]
    bounds = [(run_s[user] + START_CHARGE_S) / weights[user] for user in weights]
    assert max(had.values()) - min(had.values()) <= 2 * slots * max(bounds) + SLACK_S
